"""Effects of experiments with runs missing or excluded, and tables that contradict each other."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ftexp.effects import Analysis, effects
from ftexp.effects.errors import UnusableTable
from ftexp.reporting.conclusions import conclusions
from helpers.effect_tables import TWO, is_empty, pick, planned, scored, simulated, without


def test_items_that_differ_unexpectedly_are_refused_naming_both_runs() -> None:
    runs = planned({"a": ["x", "y"]}, has_control=False)
    scores = scored({"x_s1": [0, 1, 1], "y_s1": [1, 1]})
    with pytest.raises(UnusableTable, match=r"x_s1 and y_s1 .*1 only of x_s1, 0 only of y_s1.*i0002"):
        effects(scores, runs, Analysis({"a": ["x", "y"]}, "match"))
    runs = planned({"a": ["x", "y"]})
    scores = scored({"base": [0, 1, 1], "x_s1": [1, 1], "y_s1": [1, 1]})
    with pytest.raises(UnusableTable, match="base and x_s1"):
        effects(scores, runs, Analysis({"a": ["x", "y"]}, "match", test_set_factors=["a"]))


@pytest.mark.parametrize(("change", "message"), [
    (lambda s, r: (s.assign(score="good"), r), "run x_s1, item i0000: must be a number .*, got 'good'"),
    (lambda s, r: (s.assign(score=np.inf), r), "run x_s1, item i0000: must be a number, or empty where there is none, got inf"),
    (lambda s, r: (pd.concat([s, s]), r), "is there twice in epoch 1"),
    (lambda s, r: (s.assign(run="who"), r), "not in the table of runs, got who"),
    (lambda s, r: (s.assign(cluster=s["run"]), r), "item i0000 has two values"),
    (lambda s, r: (s.drop(columns="cluster"), r), "cluster: missing column"),
    (lambda s, r: (s, r.drop(columns="a")), "a: missing column"),
    (lambda s, r: (s, r.assign(a="z")), "a level that is not declared, got 'z'"),
    (lambda s, r: (s, r.assign(a="x")), "x_s1 and y_s1 have the same levels and the same seed"),
    (lambda s, r: (s, r.assign(run="x_s1")), "must be unique, got x_s1 twice"),
    (lambda s, r: (s, r.assign(control="gone")), "control: not in the table of runs, got gone"),
    (lambda s, r: (s, r.assign(control="x_s1")), "control: run x_s1: must name a run of kind control, got x_s1"),
    (lambda s, r: (s, r.assign(kind=["trainde", "trained"])), "kind: run x_s1: must be trained or control, got 'trainde'"),
    (lambda s, r: (s, r.assign(kind=[None, "trained"])), "kind: run x_s1: must be trained or control, got ''"),
    (lambda s, r: (s, r.assign(run=["x_s1", ""])), "runs: run: is empty in row 2 of 2"),
])
def test_tables_that_contradict_each_other_are_refused(change: Any, message: str) -> None:
    scores, runs = change(scored({"x_s1": [0, 1], "y_s1": [1, 1]}), planned({"a": ["x", "y"]}, has_control=False))
    with pytest.raises(UnusableTable, match=message):
        effects(scores, runs, Analysis({"a": ["x", "y"]}, "match"))


def test_a_missing_cell_leaves_the_strata_that_are_whole_and_warns() -> None:
    levels = {"a": ["x", "y"], "b": [1, 2, 3]}
    runs = planned(levels)
    scores = simulated(runs, 40)
    runs, scores = without(runs, scores, "y_2_s1")
    table = effects(scores, runs, Analysis(levels, "match"))
    main = pick(table, "main", factor="a")
    of_run = scores.groupby("run")["score"].mean()
    assert main["estimate"] == pytest.approx(np.mean([of_run[f"y_{b}_s1"] - of_run[f"x_{b}_s1"] for b in (1, 3)]))
    assert main["n_strata"] == 2 and "incomplete" in main["flags"]
    assert main["reason"] == "1 of 6 runs are missing (y_2_s1: failed, out of memory), and failures may depend on the factor"
    lost = pick(table, "interaction", level="y x 2")
    assert is_empty(lost) and lost["reason"].startswith("no stratum has all four cells; without a finished run: a=y, b=2")
    assert not is_empty(pick(table, "interaction", level="y x 3"))
    gone = pick(table, "control", level="a=y, b=2")
    assert is_empty(gone) and gone["reason"].startswith("no finished run of a=y, b=2")
    average = pick(table, "average")
    assert average["n_strata"] == 5 and "incomplete" in average["flags"]
    assert pick(table, "trend")["n_strata"] == 1
    assert pick(table, "level", level="3")["reason"] == ""


def test_every_empty_row_says_why() -> None:
    levels = {"a": [1, 2, 3]}
    runs = planned(levels)
    runs, scores = without(runs, simulated(runs, 40), "1_s1", "base")
    table = effects(scores, runs, Analysis(levels, "match"))
    assert all(is_empty(row) and row["reason"] for _, row in table.iterrows())
    assert "no finished run of a=1" in pick(table, "level", level="2")["reason"]
    assert "no stratum has all 3 levels" in pick(table, "trend")["reason"]
    assert "no finished run of the control base" in pick(table, "control", level="a=2")["reason"]
    assert "no cell has finished runs" in pick(table, "average")["reason"]


def test_a_cell_that_the_design_excludes_is_said_to_be_excluded() -> None:
    runs = planned(TWO)
    scores = simulated(runs, 40)
    table = effects(scores[scores["run"] != "y_2_s1"], runs[runs["run"] != "y_2_s1"], Analysis(TWO, "match"))
    assert pick(table, "interaction")["reason"] == "no stratum has all four cells; the design excludes cells"
    main = pick(table, "main", factor="a")
    assert (main["n_strata"], main["flags"]) == (1, "incomplete")
    assert main["reason"] == "averaged over b=1 only: the design excludes cells"


def test_factors_that_move_together_are_not_claimed_apart() -> None:
    runs = planned(TWO)
    runs = runs[~runs["run"].isin(["x_2_s1", "y_1_s1"])]
    analysis = Analysis(TWO, "match")
    table = effects(simulated(runs, 40), runs, analysis)
    mains = table[table["kind"] == "main"]
    assert len(mains) == 4 and mains["estimate"].isna().all()
    assert set(mains["reason"]) == {"no stratum has both levels; the design excludes cells"}
    assert pick(table, "level", factor="a")["reason"] == "the design has no run of a=y, b=1"
    of_factors = [conclusion for conclusion in conclusions(table, analysis) if conclusion.subject in TWO]
    assert len(of_factors) == 2 and all("nothing known of" in it.text and not it.is_claim for it in of_factors)


def test_an_average_without_one_of_its_controls_says_so_and_names_those_it_used() -> None:
    runs = planned({"prompt": ["p", "q"], "b": [1, 2]}, 2, has_control=False)
    controls = pd.DataFrame([{"run": f"base_{prompt}", "kind": "control", "control": ""} for prompt in ("p", "q")])
    runs = pd.concat([controls, runs.assign(control="base_" + runs["prompt"])], ignore_index=True)
    analysis = Analysis({"prompt": ["p", "q"], "b": [1, 2]}, "match")
    scores = simulated(runs, 40)
    whole = pick(effects(scores, runs, analysis), "average")
    assert whole["reference"] == "base_p, base_q" and "incomplete" not in whole["flags"] and whole["reason"] == ""
    row = pick(effects(scores[scores["run"] != "base_q"], runs, analysis), "average")
    assert row["reference"] == "base_p" and row["n_strata"] == 2 and "incomplete" in row["flags"]
    assert "1 of 10 runs are missing (base_q" in row["reason"]
