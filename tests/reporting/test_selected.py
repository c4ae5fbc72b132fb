"""What was kept of validated trainings, and what was chosen among them: tables, page, sentences, cite."""

import html
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import cite
import pandas as pd
import pytest
import report
import yaml
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.trainers.validation_csv import Look, Rule
from helpers.fake_results import finish_eval, finish_training, make_report, plan, read_csv, results

EXPERIMENT = """\
experiment: chosen
question: Which corpus, at its own best rate?
data: {source: data/raw/words.json, split: {train: 0.5, test: 0.5}}
factors:
  corpus: {plain: {prompt.system: null}, polite: {prompt.system: Please.}}
  lr: [1.0e-4, 3.0e-3, 6.0e-3]
  seed: [1, 2]
constants: {model: tiny, epochs: 2, batch_size: 2, trainer: transformers}
evaluation: {max_tokens: 8, scorers: [exact, ignore_case]}
validation: {patience: 1}
select: {over: lr}
"""
# Per cell the kept validation losses of its two seeds: the last polite one of 6e-3 is no number.
KEPT = {
    ("plain", "1e-4"): (2.0, 2.0), ("plain", "3e-3"): (1.5, 2.7), ("plain", "6e-3"): (1.0, 2.5),
    ("polite", "1e-4"): (0.5, 0.5), ("polite", "3e-3"): (0.5, 0.5), ("polite", "6e-3"): (0.1, math.nan),
}
STEPS = 18  # in two epochs
pytestmark = pytest.mark.usefixtures("outside_of_dvc")


def _finish(shares: Mapping[str, int]) -> None:
    """Train and evaluate as KEPT says; of every so many answers of a rate one is right."""
    for run in planned_runs():
        if run.is_control:
            finish_eval(run.id, lambda position: position % 10 == 0)
            continue
        level = run.id.split("_")[1].removeprefix("lr")
        value = KEPT[run.levels["corpus"], level][run.levels["seed"] - 1]
        looks = [Look(9, 1, {"loss": value}), Look(STEPS, 2, {"loss": value + 1})]
        kept = Rule.of(run.validation).kept(looks)
        finish_training(run.id, looks=[kept if look.step == kept.step else look for look in looks])
        finish_eval(run.id, lambda position, level=level: position % shares[level] == 0)


@pytest.fixture(scope="module")
def _chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chosen")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("data/raw").mkdir(parents=True)
        Path("data/raw/words.json").write_text(json.dumps([{"input": f"w{i:02}", "output": f"W{i}"} for i in range(40)]))
        Path("models/tiny").mkdir(parents=True)
        Path("models/tiny/config.json").write_text("{}")
        Path("models/tiny/model.safetensors").write_bytes(b"")
        plan(EXPERIMENT)
        _finish({"1e-4": 2, "3e-3": 4, "6e-3": 5})
        assert report.main([]) == 0
    return folder


@pytest.fixture
def chosen(_chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reported experiment; the working folder, to be changed."""
    shutil.copytree(_chosen, tmp_path / "chosen")
    monkeypatch.chdir(tmp_path / "chosen")
    return Path.cwd()


@pytest.mark.usefixtures("chosen")
def test_results_say_which_step_was_kept_and_why() -> None:
    rows = results()
    kept = rows["corpus-plain_lr6e-3_s1"]
    assert (kept["validation"], kept["kept_step"], kept["kept_why"]) == ("1", "9", "best validation loss 1 of 2 looks")
    none = rows["corpus-polite_lr6e-3_s2"]
    assert (none["validation"], none["kept_step"]) == ("", "18")
    assert none["kept_why"] == "the last of 2 looks, because no validation loss is a number"
    assert rows["base_corpus-plain"]["kept_step"] == ""


@pytest.mark.usefixtures("chosen")
def test_of_each_cell_of_the_others_the_best_mean_over_the_seeds_is_reported_with_its_test_score() -> None:
    table = pd.read_csv(paths.SELECTED_CSV).set_index(["corpus", "metric"])
    cells = pd.read_csv(paths.CELLS_CSV)
    plain = table.loc[("plain", "exact")]
    assert (plain["lr"], plain["validation"], plain["next_validation"], plain["candidates"]) == (0.006, 1.75, 2.0, 3)
    own = cells[(cells["corpus"] == "plain") & (cells["lr"] == 0.006) & (cells["metric"] == "exact")].iloc[0]
    assert plain["mean"] == own["mean"] and plain["n_seeds"] == plain["runs"] == 2 and plain["mean"] < cells["mean"].max()
    assert len(table) == 4 and set(table["chosen_by"]) == {"loss"}


@pytest.mark.usefixtures("chosen")
def test_what_lacks_a_validation_value_is_never_chosen_and_equal_ones_are_said() -> None:
    polite = pd.read_csv(paths.SELECTED_CSV).set_index(["corpus", "metric"]).loc[("polite", "exact")]
    assert (polite["lr"], polite["validation"]) == (0.0001, 0.5)
    no_number = "not looked at: lr 6e-3 (corpus-polite_lr6e-3_s2: no validation value of the kept step is a number)"
    assert polite["chosen_why"] == f"{no_number}; as good: lr 3e-3; the first of the design was taken"


@pytest.mark.usefixtures("chosen")
def test_the_page_says_what_was_chosen_and_claims_no_effect_of_it() -> None:
    page, table = html.unescape(paths.REPORT_HTML.read_text()), pd.read_csv(paths.EFFECTS_CSV)
    said = "Chosen on validation, by loss (mean over the seeds), lr in each cell of corpus: corpus plain: lr 6e-3 (1.75; of 3 "
    assert said in page and "<h2>Chosen on validation</h2>" in page and "Validation: loss" in page
    assert "lr: chosen by its score, so nothing is claimed of it" in page
    assert page.count("The intervals are over new items and new seeds") == 1, "what all sentences that claim share is said once"
    assert "on average over the 6 cells (of all levels of lr, not only the chosen)" in page
    assert page.count("All levels of lr count here, not only the chosen, which selected.csv has alone.") == 2
    assert "whose exact in the test is 0.200" in page
    assert "Interactions: nothing is claimed of those with lr, which was chosen on validation" in page
    is_average = table["kind"].eq("average") | table["kind"].eq("main") & table["factor"].eq("corpus")
    assert (table["flags"].fillna("").str.contains("all levels") == is_average).all()
    own = table["factor"].str.contains("lr")
    assert own.any() and table.loc[own, ["low", "high", "p"]].isna().all().all()
    assert table.loc[table["factor"] == "corpus", "low"].notna().any()
    assert Path("figures/validation-loss.svg").is_file()


@pytest.mark.usefixtures("chosen")
def test_the_test_set_reaches_no_choice() -> None:
    """Invariant 16, of levels: other answers to the test, other scores, the same choice."""
    before = pd.read_csv(paths.SELECTED_CSV)
    _finish({"1e-4": 5, "3e-3": 3, "6e-3": 1})
    make_report()
    after = pd.read_csv(paths.SELECTED_CSV)
    by_validation = ["corpus", "lr", "validation", "next_validation", "candidates", "chosen_why"]
    assert after[by_validation].equals(before[by_validation])
    assert (after["mean"] != before["mean"]).any()


@pytest.mark.usefixtures("chosen")
def test_a_choice_waits_for_no_run_and_says_which_it_lacks() -> None:
    for run in ("corpus-plain_lr6e-3_s1", "corpus-polite_lr1e-4_s2", "corpus-polite_lr3e-3_s2"):
        paths.RunPaths(run).manifest("train").unlink()
    make_report()
    table = pd.read_csv(paths.SELECTED_CSV).set_index(["corpus", "metric"])
    assert table.loc[("plain", "exact"), "lr"] == 0.0001
    assert "lr 6e-3 (corpus-plain_lr6e-3_s1: training ready)" in table.loc[("plain", "exact"), "chosen_why"]
    polite = table.loc[("polite", "exact")]
    assert polite[["lr", "validation", "mean"]].isna().all() and polite["reason"] == "nothing is chosen"
    assert "corpus polite: nothing, because no candidate" in html.unescape(paths.REPORT_HTML.read_text())


@pytest.mark.usefixtures("chosen")
def test_cite_tells_the_rows_the_metric_the_looks_and_the_kept_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert cite.main(["corpus-plain_lr6e-3_s1"]) == 0
    said = yaml.safe_load(capsys.readouterr().out)
    own = said["validation"]
    assert own["metric"] == "loss" and own["kept_step"] == 9 and own["kept_why"] == "best validation loss 1 of 2 looks"
    assert own["rows"] == 1 and len(own["sha256"]) == 64 and own["looks"][1] == {"step": 18, "loss": 2.0}
    assert said["results"][0]["kept_step"] == "9"


@pytest.mark.usefixtures("chosen")
def test_without_validation_no_table_and_no_file_tells_of_it() -> None:
    text = EXPERIMENT.replace("validation: {patience: 1}\nselect: {over: lr}\n", "")
    plan(text)
    make_report()
    assert not paths.SELECTED_CSV.exists() and "kept_step" not in read_csv(paths.RESULTS_CSV)[0]
    page = paths.REPORT_HTML.read_text()
    assert not any(word in page for word in ("kept_step", "selected.csv", "alidation"))
