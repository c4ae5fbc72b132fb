"""The report: its table, its page and its plots, on experiments made here, with real logs of inspect-ai."""

import csv
import functools
import html
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import report
import split as split_stage
from ftexp import paths, state
from ftexp.code_version import code_versions
from ftexp.eval_file import task_name
from ftexp.filesystem import sha256_json, write_json
from ftexp.inspect_logs import Item, UnusableLog, log_path, read_log
from ftexp.planning import make_plan, read_run, write_plan
from ftexp.plots import Curve, Point, curves_plot, factor_plot, smooth
from ftexp.publishing import write_manifest
from ftexp.results import controls_by_run, estimate, number, paired_difference
from ftexp.state import Work

SCRIPTS = Path(report.__file__).parent
WORDS = [f"word{i:02d}" for i in range(40)]
EXPERIMENT = """
experiment: caps
question: Does <rank> matter & how?
data: {source: data/raw/words.json, split: {train: 0.5, validation: 0, test: 0.5, seed: 0}, input: input, output: output}
factors:
  lora_rank: [2, 16]
  lr: [1.0e-4, 3.0e-3]
  seed: [1, 2]
constants: {model: tiny, epochs: 2, batch_size: 2, dtype: fp32}
evaluation: {scorer: exact, max_tokens: 8}
"""


@pytest.fixture(autouse=True)
def _no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)


@pytest.fixture(autouse=True, scope="module")
def _hash_the_code_once() -> Iterator[None]:
    """Reading the code's syntax trees takes 0.2 s; these tests would do it 300 times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "code_versions", functools.cache(code_versions))
        yield


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A planned experiment, split, nothing trained."""
    root = tmp_path_factory.mktemp("planned")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        Path("data/raw").mkdir(parents=True)
        Path("data/raw/words.json").write_text(json.dumps([{"input": w, "output": w.title()} for w in WORDS]))
        Path("models/tiny").mkdir(parents=True)
        Path("models/tiny/config.json").write_text("{}")
        Path("models/tiny/model.safetensors").write_bytes(b"weights")
        plan(EXPERIMENT)
    return root


@pytest.fixture(scope="module")
def finished(planned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with every run trained and evaluated, and reported once."""
    root = tmp_path_factory.mktemp("finished")
    shutil.copytree(planned, root, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        finish_all()
        make_report()
    return root


@pytest.fixture
def experiment(planned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the planned experiment; the working folder is its root."""
    return _enter_copy(planned, tmp_path, monkeypatch)


@pytest.fixture
def reported(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished and reported experiment; the working folder is its root."""
    return _enter_copy(finished, tmp_path, monkeypatch)


def _enter_copy(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(source, target, dirs_exist_ok=True)
    monkeypatch.chdir(target)
    return target


def plan(text: str) -> list[str]:
    """Plan the experiment, write what stands for stamp and split, and return the ids of its runs."""
    paths.EXPERIMENT_YAML.write_text(text)
    paths.SITE_YAML.write_text("backend: local\n")
    planned, runs = make_plan()
    write_plan(planned, runs)
    for run in runs:
        places = paths.RunPaths(run.id)
        places.eval_py.write_text(f"# {run.id}")
        if run.kind == "trained":
            places.finetune_yaml.write_text(f"run: {run.id}\n")
    split_stage.main([])
    return [run.id for run in runs]


def ids() -> list[str]:
    return [row["run"] for row in read_csv(paths.RUNS_CSV)]


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def results() -> dict[str, dict[str, str]]:
    return {row["run"]: row for row in read_csv(paths.RESULTS_CSV)}


def finish_training(run_id: str, losses: tuple[float, ...] = (4.0, 3.0, 2.0, 1.0)) -> None:
    """What a training leaves: a checkpoint, two steps per epoch of train.csv, a job record, a manifest."""
    places = paths.RunPaths(run_id)
    places.checkpoint_dir.mkdir(exist_ok=True)
    (places.checkpoint_dir / "adapter_model.safetensors").write_text(run_id)
    rows = [f"{i},{(i + 1) // 2},{loss},0.1,10.0," for i, loss in enumerate(losses, 1)]
    places.train_csv.write_text("\n".join(["step,epoch,loss,lr,tokens_per_s,peak_gb", *rows]) + "\n")
    inputs = Work().inputs(read_run(run_id), "train")
    record_job(run_id, "train", "done", "", inputs)
    write_manifest(run_id, "train", inputs)


def record_job(run_id: str, stage: str, state: str, reason: str, inputs: dict[str, Any]) -> None:
    write_json(paths.RunPaths(run_id).job(stage), {
        "state": state, "input_hash": sha256_json(inputs), "host": "node1", "pid": 1, "started": 1750000000.5,
        "reason": reason, "seconds": 12.5,
    })


def finish_eval(run_id: str, is_right: Callable[[int], bool], **of_log: Any) -> None:
    """What an evaluation leaves: a log, a job record, a manifest."""
    run = read_run(run_id)
    write_log(run, is_right, **of_log)
    inputs = Work().inputs(run, "eval")
    record_job(run_id, "eval", "done", "", inputs)
    write_manifest(run_id, "eval", inputs)


def write_log(
    run: dict[str, Any], is_right: Callable[[int], bool], *, status: Any = "success", owner: str | None = None, drop: int = 0
) -> None:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSample, EvalSpec, write_eval_log
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser
    from inspect_ai.scorer import Score

    lines = (paths.split_dir(run["split"]) / "test.jsonl").read_text().splitlines()
    items = [json.loads(line) for line in lines][drop:]
    samples = [
        EvalSample(
            id=item["item"], epoch=1, target=item["row"]["output"],
            input=[ChatMessageSystem(content="Be brief."), ChatMessageUser(content=item["row"]["input"])],
            scores={"exact": Score(value="CI"[not is_right(i)], answer=item["row"]["output"] if is_right(i) else "<b>no</b>")},
        )
        for i, item in enumerate(items)
    ]
    spec = EvalSpec(
        created="2026-01-01T00:00:00+00:00", task="caps", dataset=EvalDataset(samples=len(items)), model="ftexp/x",
        config=EvalConfig(), metadata={"experiment": task_name(run), "run": owner or run["run"]},
    )
    counts = EvalResults(total_samples=len(items), completed_samples=len(items))
    log = EvalLog(status=status, eval=spec, samples=samples, results=counts)
    log_path(run).parent.mkdir(exist_ok=True)
    write_eval_log(log, str(log_path(run)))


def finish_all() -> None:
    for number_of_run, run_id in enumerate(ids()):
        if run_id.startswith("base"):
            finish_eval(run_id, lambda i: i < 2)
        else:
            finish_training(run_id)
            finish_eval(run_id, lambda i, k=number_of_run: i % 9 < k)  # type: ignore[misc]


def make_report() -> None:
    assert report.main([]) == 0


def test_results_have_exactly_the_rows_of_runs_csv(experiment: Path) -> None:
    make_report()
    assert [row["run"] for row in read_csv(paths.RESULTS_CSV)] == ids()
    finish_eval("base", lambda i: True)
    make_report()
    assert [row["run"] for row in read_csv(paths.RESULTS_CSV)] == ids()
    planned_cells = [list(row.values())[:5] for row in read_csv(paths.RUNS_CSV)]
    assert [list(row.values())[:5] for row in read_csv(paths.RESULTS_CSV)] == planned_cells


def test_the_columns_are_those_of_the_issue(experiment: Path) -> None:
    make_report()
    assert paths.RESULTS_CSV.read_text().splitlines()[0] == (
        "run,kind,lora_rank,lr,seed,train_status,eval_status,reason,task,metric,n,score,score_se,diff_control,"
        "diff_control_se,train_loss"
    )


def test_a_missing_number_is_empty_with_status_and_reason(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish_eval("base", lambda i: False)
    failed, stale, untrained = ids()[1:4]
    record_job(failed, "train", "failed", "killed by SIGKILL", Work().inputs(read_run(failed), "train"))
    finish_training(stale)
    finish_eval(stale, lambda i: True)
    paths.RunPaths(stale).eval_py.write_text("# changed")
    make_report()
    rows, told, page = results(), capsys.readouterr().err, html.unescape(paths.REPORT_HTML.read_text())
    for run_id, train, evaluation, words in (
        (failed, "failed", "waiting", "killed by SIGKILL"), (stale, "done", "stale", "eval.py"),
        (untrained, "ready", "waiting", "make validate"),
    ):
        row = rows[run_id]
        assert (row["train_status"], row["eval_status"]) == (train, evaluation)
        assert words in row["reason"] and f"runs/{run_id}: " in told and f"<td>{row['reason']}</td>" in page
        assert [row[name] for name in ("n", "score", "score_se", "diff_control", "diff_control_se")] == [""] * 5
    assert rows[stale]["train_loss"] == "1.5" and rows[failed]["train_loss"] == ""
    assert rows["base"]["score"] == "0" and rows["base"]["train_status"] == ""


def test_only_a_successful_log_of_this_run_fills_a_cell(experiment: Path) -> None:
    good, broken, foreign, replaced = ids()[1:5]
    for run_id in (good, broken, foreign, replaced):
        finish_training(run_id)
    finish_eval(good, lambda i: True)
    finish_eval(broken, lambda i: True, status="error")
    finish_eval(foreign, lambda i: True, owner=good)
    finish_eval(replaced, lambda i: True)
    write_log(read_run(replaced), lambda i: False)
    make_report()
    rows = results()
    assert rows[good]["score"] == "1"
    assert [rows[run_id]["score"] for run_id in (broken, foreign, replaced)] == ["", "", ""]
    assert rows[broken]["eval_status"] == rows[foreign]["eval_status"] == "failed"
    assert "status error" in rows[broken]["reason"] and f"belongs to run {good}" in rows[foreign]["reason"]
    assert rows[replaced]["eval_status"] == "ready" and "changed" in rows[replaced]["reason"]


def test_a_log_with_a_sample_without_a_score_is_refused(experiment: Path) -> None:
    run = read_run("base")
    finish_eval("base", lambda i: True)
    run["evaluation"]["scorer"] = "another"
    with pytest.raises(UnusableLog, match="no score"):
        read_log(run)


def test_an_item_of_a_log_has_id_target_answer_score_and_the_users_turn(experiment: Path) -> None:
    finish_eval("base", lambda i: i == 0)
    items = read_log(read_run("base"))
    lines = [json.loads(x) for x in (paths.split_dir(read_run("base")["split"]) / "test.jsonl").read_text().splitlines()]
    assert {item.id for item in items} == {line["item"] for line in lines}
    first = next(item for item in items if item.id == lines[0]["item"])
    row = lines[0]["row"]
    assert (first.input, first.target, first.answer, first.score) == (row["input"], row["output"], row["output"], 1.0)


def items_of(scores: str) -> list[Item]:
    return [Item(f"i{k}", "in", "target", "answer", float(score)) for k, score in enumerate(scores)]


def test_score_and_its_error_equal_hand_computation() -> None:
    found = estimate([1, 1, 1, 0])
    assert (found.n, found.mean) == (4, 0.75)
    assert found.se is not None and math.isclose(found.se, math.sqrt((3 * 0.0625 + 0.5625) / 3 / 4))
    assert estimate([1.0]).se is None


def test_paired_difference_equals_hand_computation() -> None:
    # differences 1, 0, 0, -1, 1, by id and not by position: mean 1/5, sum of squares around it 3 - 5/25 = 2.8
    difference = paired_difference(items_of("11001"), items_of("01010")[::-1])
    assert difference is not None and difference.n == 5
    assert math.isclose(difference.mean, 0.2)
    assert difference.se is not None and math.isclose(difference.se, math.sqrt(2.8 / 4 / 5))
    assert paired_difference(items_of("111"), items_of("11")) is None


def test_the_difference_in_the_table_is_against_the_runs_own_control(experiment: Path) -> None:
    wording = "wording: {plain: {prompt.user: '{input}'}, told: {prompt.user: 'caps {input}'}}"
    plan(EXPERIMENT.replace("lora_rank: [2, 16]", wording).replace("seed: [1, 2]", "seed: [1]"))
    pairs = controls_by_run([read_run(run_id) for run_id in ids()])
    controls = [run_id for run_id in ids() if run_id.startswith("base")]
    assert len(controls) == 2 and set(pairs.values()) == set(controls)
    for run_id, control in pairs.items():
        assert control and read_run(control)["prompt"] == read_run(run_id)["prompt"]
    finish_eval(controls[0], lambda i: False)
    finish_eval(controls[1], lambda i: True)
    for run_id in pairs:
        finish_training(run_id)
        finish_eval(run_id, lambda i: True)
    make_report()
    for run_id, control in pairs.items():
        assert results()[run_id]["diff_control"] == ("1" if control == controls[0] else "0")


def test_without_a_finished_control_the_difference_is_empty_and_says_why(experiment: Path) -> None:
    run_id = ids()[1]
    finish_training(run_id)
    finish_eval(run_id, lambda i: True)
    make_report()
    assert results()[run_id]["diff_control"] == "" and "its control base is ready" in results()[run_id]["reason"]
    finish_eval("base", lambda i: True, drop=3)
    make_report()
    assert results()[run_id]["diff_control"] == "" and "other items" in results()[run_id]["reason"]
    assert results()[run_id]["score"] == "1"


def test_train_loss_is_the_mean_of_the_last_epoch(experiment: Path) -> None:
    run_id = ids()[1]
    finish_training(run_id, (9.0, 9.0, 0.25, 0.5))
    make_report()
    assert results()[run_id]["train_loss"] == number(0.375) == "0.375"


def test_no_time_and_no_host_in_the_table_or_the_page(reported: Path) -> None:
    for path in (paths.RESULTS_CSV, paths.REPORT_HTML):
        assert "node1" not in path.read_text() and "12.5" not in path.read_text()
    timings = read_csv(paths.TIMINGS_CSV)
    assert len(timings) == 1 + 2 * 8
    assert list(timings[0]) == ["run", "stage", "host", "started", "seconds"]
    assert list(timings[0].values()) == ["base", "eval", "node1", "2025-06-15T15:06:40+00:00", "12.5"]


def test_timings_of_a_clone_without_job_records_stay(reported: Path) -> None:
    before = paths.TIMINGS_CSV.read_bytes()
    for path in Path("runs").glob("*/*.job.json"):
        path.unlink()
    make_report()
    assert paths.TIMINGS_CSV.read_bytes() == before


def test_report_opens_offline(reported: Path) -> None:
    page = paths.REPORT_HTML.read_text()
    assert "http://" not in page and "https://" not in page and "<script" not in page and "@import" not in page
    assert page.count("<svg") == 3 and "<link" not in page and "<img" not in page
    ids_in_page = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids_in_page) == len(set(ids_in_page))
    assert set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', page)) <= set(ids_in_page)


def test_what_models_and_people_write_is_escaped(reported: Path) -> None:
    page = paths.REPORT_HTML.read_text()
    assert "Does &lt;rank&gt; matter &amp; how?" in page and "&lt;b&gt;no&lt;/b&gt;" in page
    assert "<rank>" not in page and "<b>no" not in page


def test_the_page_shows_five_items_with_the_answers_of_control_and_cells(reported: Path) -> None:
    section = paths.REPORT_HTML.read_text().partition("<h2>Five items</h2>")[2].partition("<h2>")[0]
    assert len(re.findall(r'title="item ', section)) == 5
    assert len(re.findall(r"<th>", section)) == 2 + 1 + 4
    assert "control base" in section and "lora_rank 16, lr 3e-3" in section
    for row in section.split("<tr>")[2:]:
        assert "✓" in row and "✗" in row


def test_same_inputs_same_bytes(reported: Path) -> None:
    before = {path: path.read_bytes() for path in report.OUTPUTS}
    report.MEMORY_JSON.unlink()
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(SCRIPTS), "MPLBACKEND": "agg"}
    for path in report.OUTPUTS:
        path.unlink()
    subprocess.run([sys.executable, str(SCRIPTS / "report.py")], check=True, env=environment, capture_output=True)
    assert {path: path.read_bytes() for path in report.OUTPUTS} == before


def test_a_second_report_changes_nothing_and_still_prints_the_table(
    reported: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_report()
    first = capsys.readouterr().out
    times = {path: path.stat().st_mtime_ns for path in (*report.OUTPUTS, paths.TIMINGS_CSV, paths.EVENTS_JSONL)}
    monkeypatch.setattr(report, "_build", lambda *_: pytest.fail("built again"))
    make_report()
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_an_output_that_was_edited_or_deleted_is_built_again(reported: Path) -> None:
    before = paths.RESULTS_CSV.read_bytes()
    paths.RESULTS_CSV.write_text("edited")
    make_report()
    assert paths.RESULTS_CSV.read_bytes() == before
    paths.RESULTS_CSV.unlink()
    make_report()
    assert paths.RESULTS_CSV.read_bytes() == before


def test_the_table_the_page_and_the_git_commands_are_on_stdout(reported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_report()
    out = capsys.readouterr().out
    assert all(run_id in out for run_id in ids())
    assert str(Path("report.html").resolve()) in out and "git add -A && git commit -m 'caps: results'" in out
    assert "0.100" in out


def test_nothing_is_recorded_while_dvc_runs_the_report(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[int] = []
    monkeypatch.setattr(report, "record_report", lambda runs: recorded.append(len(runs)))
    make_report()
    monkeypatch.setenv("DVC_ROOT", str(experiment))
    make_report()
    assert recorded == [9]


def test_a_run_folder_outside_the_design_is_named_and_not_reported(experiment: Path) -> None:
    Path("runs/r99_lr1e-4_s1").mkdir()
    make_report()
    assert "r99" not in paths.RESULTS_CSV.read_text() and "r99_lr1e-4_s1" in paths.REPORT_HTML.read_text()


def test_plots_cope_with_one_level_no_control_names_and_nothing() -> None:
    assert factor_plot("lr", [1e-4], [], metric="exact").svg == "" and curves_plot([]).svg == ""
    for levels in ([0.1], ["small", "large"], [None, True, "x"], [1, 2, 3], [1e-5, 1.0], [["q"], ["q", "k"]]):
        points = [Point({"f": level, "seed": 1}, 0.5, None) for level in levels]
        assert factor_plot("f", levels, points, metric="exact").svg.startswith("<svg")
    many = [Point({"f": 1, "g": g, "h": h}, 0.1 * h, 0.1 * g) for g in range(4) for h in range(5)]
    assert factor_plot("f", [1, 2], many, metric="exact").svg.startswith("<svg")
    assert curves_plot([Curve({"f": 1}, [1, 2], [2.0, math.nan])]).svg.startswith("<svg")


def test_smoothing_keeps_a_constant_and_averages_around_each_step() -> None:
    assert smooth([2.0] * 5, 3) == [2.0] * 5
    assert smooth([0.0, 3.0, 6.0], 3) == [1.5, 3.0, 4.5]
    assert smooth([1.0, 5.0], 1) == [1.0, 5.0]
