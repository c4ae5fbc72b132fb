"""The report of an experiment that asks everything: its tables hold what was asked, and its page shows each kind of task."""

import html
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.reporting.columns import KEPT, TABLES
from helpers.broad_experiment import FAILED, STALE, make_broad
from helpers.fake_results import make_report, read_csv

MEASURES = {
    "english": ["exact", "ignore_case", "includes", "macro_f1", "mcc"],
    "italian": ["exact", "ignore_case", "includes", "macro_f1", "mcc"], "stance": ["exact", "brier", "ece", "auc"],
    "age": ["numeric", "rmse", "mae", "r2"],
    "summary": ["f1", "rouge_l", "chrf", "perplexity", "tone", "bleu", "corpus_chrf"],
    "letters": ["perplexity", "bits_per_byte"], "arc": ["choice", "speed"],
}

pytestmark = pytest.mark.usefixtures("outside_of_dvc")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiment, reported."""
    folder = tmp_path_factory.mktemp("broad")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        make_broad(folder)
    return folder


@pytest.fixture
def broad(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reported experiment; only read."""
    monkeypatch.chdir(made)
    return made


def page() -> str:
    return html.unescape(paths.REPORT_HTML.read_text(encoding="utf-8"))


def section(title: str) -> str:
    return page().partition(f"<h2>{title}</h2>")[2].partition("<h2>")[0]


@pytest.mark.usefixtures("broad")
def test_results_are_exactly_runs_by_tasks_by_metrics() -> None:
    rows = read_csv(paths.RESULTS_CSV)
    wanted = [(run.id, task, metric) for run in planned_runs() for task, names in MEASURES.items() for metric in names]
    assert [(row["run"], row["task"], row["metric"]) for row in rows] == wanted
    for row in rows:
        is_empty = row["run"] == FAILED or (row["run"].startswith("corpus-B") and row["task"] == "arc")
        is_empty |= row["run"] == STALE and row["task"] in ("english", "italian", "age", "summary")
        assert (row["score"] == "") == is_empty and (row["reason"] != "") >= is_empty, row
    assert {row["reason"] for row in rows if row["run"] == "corpus-B_r4_s1" and row["task"] == "arc"} == {
        "not asked: evaluation.matrix"
    }
    valid = {row["task"] for row in rows if row["valid"]}
    assert valid == {"english", "italian", "stance", "age"}, "of free texts, documents and inspect's tasks nothing is a label"


@pytest.mark.usefixtures("broad")
def test_a_gap_has_its_reason_and_is_no_zero() -> None:
    rows = {(row["run"], row["task"], row["metric"]): row for row in read_csv(paths.RESULTS_CSV)}
    items = pd.read_parquet(paths.ITEMS_PARQUET)
    for run in ("base", "corpus-A_r4_s1"):
        own = items[(items["run"] == run) & (items["task"] == "summary")]
        gaps = own["tone"].isna()
        row = rows[run, "summary", "tone"]
        assert (int(row["n"]), int(row["unscored"])) == (30, gaps.sum()) and gaps.sum() > 0
        assert float(row["score"]) == pytest.approx(own["tone"].mean(), rel=1e-5)
        assert row["reason"].startswith(f"{gaps.sum()} answers have no tone: the scorer gave nan")
        assert (own["tone:why"] != "").equals(gaps)
        assert f"summary/tone: {row['reason']}" in section("What is missing, failed or forced")
    row = rows["published", "age", "mae"]
    own = items[(items["run"] == "published") & (items["task"] == "age")]
    known = own["number"].notna()
    assert int(row["unscored"]) == (~known).sum() > 0 and float(row["valid"]) == pytest.approx(known.mean(), rel=1e-5)
    error = (own["number"] - own["target"].astype(float)).abs()
    assert float(row["score"]) == pytest.approx(error[known].mean(), rel=1e-5)


@pytest.mark.usefixtures("broad")
def test_cells_are_means_over_seeds_and_come_first_on_the_page() -> None:
    results, cells = pd.read_csv(paths.RESULTS_CSV), pd.read_csv(paths.CELLS_CSV)
    own = results[results["run"].isin(["corpus-A_r4_s1", "corpus-A_r4_s2"])]
    for (task, metric), rows in own.groupby(["task", "metric"]):
        cell = cells[(cells["cell"] == "corpus A, lora_rank 4") & (cells["task"] == task) & (cells["metric"] == metric)].iloc[0]
        assert (cell["mean"], cell["sd"]) == pytest.approx((rows["score"].mean(), rows["score"].std()), rel=1e-4)
        assert cell["n_seeds"] == 2
    assert not ((cells["task"] == "arc") & (cells["corpus"] == "B")).any(), "what a cell is not asked is no row"
    titles = re.findall("<h2>(.*?)</h2>", page())
    assert titles[:3] == ["Cells", "Design", "Effects"]
    heads = re.findall("<th>(.*?)</th>", section("Cells"))
    assert heads[4:11] == [
        "english: exact", "italian: exact", "stance: exact", "age: numeric", "summary: f1", "letters: perplexity", "arc: choice",
    ], "tasks side by side"


@pytest.mark.usefixtures("broad")
def test_tasks_are_contrasted_and_paired_where_items_are() -> None:
    table = pd.read_csv(paths.EFFECTS_CSV)
    of_pair = table[(table["kind"] == "cells") & (table["scope"] == "models")].set_index("task")
    assert list(of_pair.index) == ["italian minus english", "stance minus english"]
    items = pd.read_parquet(paths.ITEMS_PARQUET)
    means = items[items["task"].isin(["english", "stance"])].groupby(["task", "run"])["exact"].mean().unstack("task").dropna()
    cells = means[means.index.str.startswith("corpus")].groupby(lambda run: run[:-3]).mean()
    assert of_pair.loc["stance minus english", "estimate"] == pytest.approx((cells["stance"] - cells["english"]).mean(), abs=1e-6)
    assert of_pair["method"].str.startswith("paired").tolist() == [False, True]
    shown = section("Cells")
    assert "<h3>italian minus english, exact</h3>" in shown and "item by item, as both are asked of the same items" in shown


@pytest.mark.usefixtures("broad")
def test_every_kind_of_task_is_shown_as_what_it_is() -> None:
    figures = {path.stem for path in paths.FIGURES_DIR.glob("*.svg")}
    assert figures >= {
        "confusion-english", "confusion-italian", "confusion-stance", "reliability-stance", "numbers-age", "matrix-corpus-exact",
    }
    answers = section("What the answers show")
    for task in ("english", "italian", "stance", "age", "summary", "arc"):
        own = answers.partition(f"<h3>Task {task}</h3>")[2].partition("<h3>Task")[0]
        assert "answers are wrong." in own or "with the worst scores." in own, task
    assert "Task letters" not in answers, "nothing is answered"
    assert re.search(r"<th>label</th>\s*<th>precision</th>", answers)
    first = page().partition("</h1>")[2].partition("<ul")[0]
    assert re.search(r"Task english, the share exactly right: rises from 0\.300 \(untuned model\) to 0\.\d{3} on average", first)
    assert re.search(r"Task letters, perplexity of the reference \(less is better\): falls from .*, which is better", first)
    assert "Fine-tuning (exact in english)" in page() or "raises exact in english by" in page()
    assert "1 control (the untuned base model: base) and 1 existing checkpoint (published)." in page()
    assert {"control against published", "average against published"} <= set(pd.read_csv(paths.EFFECTS_CSV)["kind"])


def test_the_terminal_shows_the_primary_measure_and_says_where_the_others_are(
    broad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_report()
    out = capsys.readouterr().out
    table = out.partition("\n\n")[0].splitlines()
    assert len(table) == 2 + len(planned_runs()) and "task" not in table[0].split()
    assert "This is task english, exact. In results.csv too: english: ignore_case, includes, macro_f1, mcc; italian: exact" in out


@pytest.mark.usefixtures("broad")
def test_the_heat_map_holds_the_means_over_cells() -> None:
    items = pd.read_parquet(paths.ITEMS_PARQUET)
    own = items[items["run"].str.startswith("corpus-B") & (items["task"] == "italian")]
    mean = own.groupby("run")["exact"].mean().groupby(lambda run: run[:-3]).mean().mean()
    svg = (paths.FIGURES_DIR / "matrix-corpus-exact.svg").read_text(encoding="utf-8")
    assert f"{mean:.3f}" in svg and "published" in svg


def test_a_group_called_as_a_scorer_keeps_its_own_column(broad: Path) -> None:
    items = pd.read_parquet(paths.ITEMS_PARQUET)
    assert set(items.loc[items["task"] == "english", "group:tone"]) == {"mild", "harsh"}
    assert items.loc[items["task"] == "english", "tone"].isna().all()


def test_what_another_metric_needs_is_no_column_of_a_task(broad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scorer that is not judged yet in one task says so, though another task has a column of that name."""
    copy = tmp_path / "copy"
    shutil.copytree(broad, copy)
    monkeypatch.chdir(copy)
    text = paths.EXPERIMENT_YAML.read_text()
    changed = text.replace("groups: [tone]", "groups: [tone], scorers: [exact, judged.py@tone]")
    paths.EXPERIMENT_YAML.write_text(changed.replace("neither], scorers", "neither], cluster: tone, scorers"))
    make_report()
    tasks = set(pd.read_csv(paths.EFFECTS_CSV)["task"])
    assert "italian minus english" in tasks
    assert "stance minus english" not in tasks, "what one task takes for independent and another does not is not subtracted"
    rows = [row for row in read_csv(paths.RESULTS_CSV) if (row["task"], row["metric"]) == ("english", "tone")]
    assert {row["reason"] for row in rows if row["run"] in ("base", "published")} == {"not judged yet: `make score`"}
    assert all(row["n"] == "" for row in rows)


@pytest.mark.usefixtures("broad")
def test_every_column_of_every_table_is_documented() -> None:
    """Columns that are named after scorers, groups and factors by what they are called there."""
    scorers = {name for names in MEASURES.values() for name in names} - {"perplexity"}
    documented = {file: {name for row in rows for name in row[0].split(", ")} for file, _, _, rows in TABLES}
    named = dict.fromkeys(("corpus", "lora_rank", "seed"), "<factor>") | {"group:tone": "<group>"}
    named |= {name + suffix: f"<scorer>{suffix}" for name in scorers for suffix in ("", ":why", ":says", ":again")}

    def called(name: str) -> str:
        counted = re.fullmatch(r"((?:bleu|chrf)_[a-z]+)_[1-6]", name)
        return f"{counted[1]}_1 to {4 if name.startswith('bleu') else 6}" if counted else named.get(name, name)

    tables = {
        "results.csv": [*read_csv(paths.RESULTS_CSV)[0]], "cells.csv": [*read_csv(paths.CELLS_CSV)[0]],
        "items.parquet": list(pd.read_parquet(paths.ITEMS_PARQUET)),
        "scores/<task>/<run>.parquet": [name for file in paths.SCORES_DIR.glob("*/*") for name in pd.read_parquet(file)],
    }
    for file, columns in tables.items():
        assert {called(name) for name in columns} <= documented[file], file
    unused = documented["results.csv"] - {called(name) for name in tables["results.csv"]} - {row[0] for row in KEPT}
    assert unused | documented["cells.csv"] - {called(name) for name in tables["cells.csv"]} == set()
