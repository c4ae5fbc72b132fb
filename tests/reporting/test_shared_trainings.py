"""Two tests of one training: a row each in the results, with the loss of the one training; cited and merged as each run's own."""

import json
from pathlib import Path

import cite
import pytest
import report
import yaml
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.results.provenance import provenance_of_run
from ftexp.results.table import collect_states, with_contents
from ftexp.state.dvc_files import root_pipeline, run_pipeline
from ftexp.state.work import Work
from helpers.fake_results import finish_eval, finish_training, ids, plan, read_csv, results

EXPERIMENT = """\
experiment: shared
question: Does it hold on other words?
data: {train: train.json}
prompt: {user: "{input}"}
factors: {on: {near: {data.test: near.json}, far: {data.test: far.json}}, seed: [1, 2]}
constants: {model: tiny, batch_size: 4, epochs: 2}
evaluation: {max_tokens: 8}
"""


@pytest.fixture(scope="module")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = [{"input": f"w{i}", "output": f"W{i}"} for i in range(60)]
        for name, first, last in (("train", 0, 30), ("near", 28, 40), ("far", 40, 60)):
            Path(f"{name}.json").write_text(json.dumps(words[first:last]))
        Path("models/tiny").mkdir(parents=True)
        Path("models/tiny/config.json").write_text("{}")
        Path("models/tiny/model.safetensors").write_bytes(b"")
        Path("code.json").write_text("{}")
        plan(EXPERIMENT)
        for seed, losses in ((1, (4.0, 3.0, 2.0, 1.0)), (2, (4.0, 3.0, 2.5, 1.5))):
            finish_training(f"on-near_s{seed}", losses)
        for run in planned_runs():
            finish_eval(run.id, lambda position, run=run: position % (2 if run.is_control else 3) == 0)
        assert report.main([]) == 0
    return folder


@pytest.fixture
def finished(_finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reported experiment of four runs and two trainings; only read."""
    monkeypatch.chdir(_finished)
    return _finished


@pytest.mark.usefixtures("finished")
def test_every_run_has_its_row_with_the_training_that_it_is_evaluated_on() -> None:
    rows = results()
    assert list(rows) == ids() == ["base_on-near", "base_on-far", "on-near_s1", "on-near_s2", "on-far_s1", "on-far_s2"]
    for seed, loss in ((1, "1.5"), (2, "2")):
        assert {rows[f"on-{on}_s{seed}"]["train_loss"] for on in ("near", "far")} == {loss}
    assert {(row["train_status"], row["eval_status"]) for row in rows.values() if row["kind"] == "trained"} == {("done", "done")}
    assert [rows[f"on-{on}_s1"]["n"] for on in ("near", "far")] == ["12", "20"]
    assert all(row["diff_control"] for row in rows.values() if row["kind"] == "trained")
    stages = [(row["run"], row["stage"]) for row in read_csv(paths.TIMINGS_CSV)]
    assert [run for run, stage in stages if stage == "train"] == ["on-near_s1", "on-near_s2"], "a training's time is counted once"


@pytest.mark.usefixtures("finished")
def test_the_page_says_how_many_trainings_there_are_and_what_was_held_out() -> None:
    page = paths.REPORT_HTML.read_text(encoding="utf-8")
    assert "4 trained runs, 2 trainings (" in page
    (near,) = {run.asked[0].test_set for run in planned_runs() if run.levels["on"] == "near"}
    assert f"<td>training</td><td class=\"number\">28</td><td>2 of {near}</td>" in page.replace("\n", "")


@pytest.mark.usefixtures("finished")
def test_a_number_is_cited_down_to_the_training_that_it_stands_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cite.main(["on-far_s1"]) == 0
    said = yaml.safe_load(capsys.readouterr().out)
    assert said["training"] == "on-near_s1" and said["config"]["file"] == "runs/on-near_s1/finetune.yaml"
    assert list(said["checkpoint"]) == ["runs/on-near_s1/checkpoint/adapter_model.safetensors"]
    assert said["data"]["rows"] == {"train": 28, "test": 20} and set(said["data"]["sources"]) == {"train.json", "far.json"}
    assert said["jobs"].keys() == {"train", "eval"}
    run = next(run for run in planned_runs() if run.id == "on-near_s1")
    assert provenance_of_run(run)["checkpoint"] == said["checkpoint"]


@pytest.mark.usefixtures("finished")
def test_dvc_evaluates_on_the_checkpoint_of_the_run_that_trains() -> None:
    runs = {run.id: run for run in planned_runs()}
    stages = yaml.safe_load(run_pipeline(runs["on-far_s1"]))["stages"]
    assert list(stages) == ["eval"] and "runs/on-near_s1/checkpoint" in stages["eval"]["deps"]
    assert list(yaml.safe_load(run_pipeline(runs["on-near_s1"]))["stages"]) == ["train", "eval"]
    document = yaml.safe_load(root_pipeline(list(runs.values())))
    assert list(document["plots"][0]["training loss"]["y"]) == ["runs/on-near_s1/train.csv", "runs/on-near_s2/train.csv"]
    assert set(document["stages"]["split"]["outs"]) == {
        f"data/splits/{name}" for run in runs.values() for name, _ in run.row_sets
    }


@pytest.mark.usefixtures("finished")
def test_a_run_waits_for_the_training_of_another_and_says_whose_it_is() -> None:
    manifest = paths.RunPaths("on-near_s2").manifest("train")
    text = manifest.read_text()
    manifest.unlink()
    try:
        facts = {each.id: each for each in with_contents(collect_states(Work(), planned_runs()), {})}
        assert [facts[f"on-{on}_s2"].eval.status for on in ("near", "far")] == ["waiting"] * 2
        assert facts["on-far_s2"].eval.reason.startswith("its training, that of on-near_s2, is ready")
        assert facts["on-far_s2"].train is not None and facts["on-far_s2"].train.status == "ready"
        assert facts["on-far_s2"].losses == () and facts["on-far_s1"].losses != ()
    finally:
        manifest.write_text(text)
