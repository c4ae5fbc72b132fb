"""Reports of designs with fewer combinations than the factorial: what is compared with what, and what is not claimed."""

import html
import re
from pathlib import Path

import pandas as pd
import power
import pytest
from ftexp.ground import paths
from ftexp.reporting.conclusions import Conclusion, conclusions
from helpers.recorded_tables import analysis_here
from helpers.simulated_survey import EMPTY_CELL, EXPERIMENT, make_survey

FEWER = EXPERIMENT.replace(", groups: [language], metrics: [macro_f1]", "").replace("seed: [1, 2, 3]", "seed: [1, 2]")
CELL = ["lr", "lora_rank", "loss"]
BASE = {"lr": 3e-4, "lora_rank": 2, "loss": "completion"}

pytestmark = pytest.mark.usefixtures("outside_of_dvc")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def effects_of(kind: str, scope: str = "recipe") -> pd.DataFrame:
    table = pd.read_csv(paths.EFFECTS_CSV)
    return table[(table["kind"] == kind) & (table["scope"] == scope)]


def cell_means() -> "pd.Series[float]":
    """Mean score by cell, from the answers themselves."""
    runs = pd.read_csv(paths.RUNS_CSV).set_index("run")[CELL]
    scores = pd.read_parquet(paths.ITEMS_PARQUET).groupby("run")["exact"].mean().to_frame()
    return scores.join(runs).dropna().groupby(CELL)["exact"].mean()


def said() -> dict[str, Conclusion]:
    table, analysis = pd.read_csv(paths.EFFECTS_CSV), analysis_here()
    return {conclusion.subject: conclusion for conclusion in conclusions(table, analysis)}


def page() -> str:
    return html.unescape(paths.REPORT_HTML.read_text(encoding="utf-8"))


def figures(kind: str) -> set[str]:
    return {path.stem.removeprefix(f"{kind}-") for path in paths.FIGURES_DIR.glob(f"{kind}-*.svg")}


def test_one_at_a_time_has_differences_at_the_baseline_and_neither_main_effects_nor_interactions(folder: Path) -> None:
    make_survey(folder, FEWER + "design: one_at_a_time\n")
    assert set(pd.read_csv(paths.EFFECTS_CSV)["kind"]) == {"level", "control"}
    means, levels = cell_means(), effects_of("level")
    assert sorted(levels["level"]) == sorted(["1e-4", "1e-3", "3e-3", "16", "full"])
    for _, row in levels.iterrows():
        level = row["level"] if row["factor"] == "loss" else float(row["level"])
        cell = {**BASE, row["factor"]: level}
        wanted = means[tuple(cell[name] for name in CELL)] - means[tuple(BASE.values())]
        assert row["estimate"] == pytest.approx(wanted, abs=1e-6) and row["n_strata"] == 1
    assert said()["lr"].text.startswith("lr, at lora_rank 2, loss completion: 3e-3 instead of 3e-4 raises exact by")
    assert "The interval for 1e-3 spans " in said()["lr"].text
    assert said()["lora_rank"].text.startswith("lora_rank, at lr 3e-4, loss completion: ")
    assert "averaged over" not in " ".join(conclusion.text for conclusion in said().values())
    assert "12 trained runs (one factor at a time from the baseline: 6 cells × 2 seed; baseline: lr 3e-4, lora" in page()
    assert figures("effect") == set(CELL) and figures("interaction") == set()
    assert "averaged over the other factors." not in page() and "the other factors, if any, at their baseline." in page()


LISTED = "design: [{lora_rank: 2}, {lora_rank: 16}, {lr: 1.0e-3, lora_rank: 16}, {lr: 3.0e-3, loss: full}, {lr: 1.0e-4}]\n"


def test_a_listed_cell_is_compared_with_the_baseline_cell_in_all_that_differs(folder: Path) -> None:
    make_survey(folder, FEWER + LISTED)
    means, levels = cell_means(), effects_of("level").set_index("factor")
    assert list(levels.index) == ["lora_rank", "lr, lora_rank", "lr, loss", "lr"]
    wanted = means[(1e-3, 16, "completion")] - means[tuple(BASE.values())]
    row = levels.loc["lr, lora_rank"]
    assert (row["level"], row["reference"]) == ("1e-3, 16", "3e-4, 2") and row["estimate"] == pytest.approx(wanted, abs=1e-6)
    text = f"lr and lora_rank together, at loss completion: 1e-3, 16 instead of 3e-4, 2 raises exact by {wanted:.3f}"
    assert said()["lr, lora_rank"].text.startswith(text) and "Each cell against the baseline cell" in page()
    assert figures("effect") == {"lora_rank", "lr__lora_rank", "lr__loss", "lr"} and figures("interaction") == set()


def test_a_list_without_the_baseline_claims_nothing_of_its_factors_and_says_why(folder: Path) -> None:
    entries = [f"{{lr: {lr}, lora_rank: {rank}, loss: {loss}}}" for lr, rank, loss in (
        ("3.0e-4", 2, "full"), ("3.0e-4", 16, "completion"), ("1.0e-3", 16, "completion"), ("3.0e-3", 2, "full"),
        ("1.0e-4", 16, "full"),
    )]
    make_survey(folder, FEWER + f"design: [{', '.join(entries)}]\n")
    assert set(pd.read_csv(paths.EFFECTS_CSV)["kind"]) == {"control"}
    assert said()["baseline"].text.startswith("lr, lora_rank and loss: nothing to compare; no run is at the baseline (lr 3e-4, ")
    assert len(said()) == 1 and "no run is there, so that no run is compared with another" in page()
    assert figures("effect") == set()


EXCLUDED = "exclude: [{lr: 3.0e-3, lora_rank: 16}, {lr: 1.0e-4, loss: full}, {lr: 1.0e-3, lora_rank: 2, seed: 2}]\n"


def test_a_main_effect_is_averaged_over_the_cells_that_have_both_levels_and_says_which(folder: Path) -> None:
    make_survey(folder, FEWER + EXCLUDED)
    cells = cell_means().unstack("lora_rank")
    both = cells.dropna()
    row = effects_of("main").set_index("factor").loc["lora_rank"]
    assert row["estimate"] == pytest.approx((both[16] - both[2]).mean(), abs=1e-6)
    assert row["n_strata"] == len(both) == 5 and row["flags"] == "incomplete"
    named = "lr=1e-4, loss=completion; lr=3e-4, loss=completion; lr=3e-4, loss=full; lr=1e-3, loss=completion; ..."
    assert row["reason"] == f"averaged over {named} only: the design excludes cells"
    assert said()["lora_rank"].text.startswith("lora_rank, averaged over those cells of lr and loss that the design has: 16")
    assert f"The design excludes cells: all of this is averaged over {named} only" in said()["lora_rank"].text
    assert "not all averaged over the same (1e-4 over " in said()["lr"].text and "only)" in said()["lr"].text
    assert "per doubling over all levels at lora_rank=2, loss=completion" in said()["lr"].text
    trend = effects_of("trend").iloc[0]
    assert trend["n_strata"] == 1 and trend["reason"].startswith("averaged over lora_rank=2, loss=completion only")
    assert "less 10 excluded; excluded: lr 3e-3, lora_rank 16 (4 runs)" in page()
    assert page().count("these means are over different levels of the other factors") == 3


def test_a_failed_cell_beside_an_excluded_one_does_not_count_as_missing_there(folder: Path) -> None:
    """What the design excludes at both ranks' lr leaves nothing that a failed run could have been compared with."""
    make_survey(folder, FEWER + "exclude: [{lr: 3.0e-3, lora_rank: 2, loss: full}]\n")
    main = effects_of("main").set_index("factor").loc["lora_rank"]
    assert EMPTY_CELL not in main["reason"] and "runs are missing" not in main["reason"] and main["n_strata"] == 7
    average = effects_of("average").iloc[0]
    assert "2 of 31 runs are missing" in average["reason"]


@pytest.mark.parametrize(("design", "names"), [
    ("design: one_at_a_time\n", CELL), (LISTED, ["lora_rank", "lr, lora_rank", "lr, loss", "lr"]),
])
def test_power_is_of_the_differences_that_a_design_has(
    design: str, names: list[str], folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_survey(folder, FEWER + design)
    monkeypatch.setenv("ITEMS", "300")
    for name, value in ({"MEANS": ".6,.7", "SEED_SD": ".02"} if design != LISTED else {}).items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert power.main([]) == 0
    table = capsys.readouterr().out.partition("\n\n")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^(\S+(?:, \S+)*) +300 ", table, re.M)) == sorted(names)
    if design != LISTED:  # expected before anything is run: one cell against one
        assert len({tuple(line.split()[1:]) for line in table.splitlines() if " 300 " in line}) == 1
