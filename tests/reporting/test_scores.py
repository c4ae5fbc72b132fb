"""Scores, their errors and their differences from a control: against computation by hand."""

import math
from typing import Any

import pandas as pd
from ftexp.effects import run_table
from ftexp.effects.metrics import Mean

RUNS = pd.DataFrame([
    {"run": "base", "kind": "control", "control": ""}, {"run": "tuned", "kind": "trained", "control": "base"},
])


def measured(tuned: str, base: str = "", *, order: int = 1, cluster_size: int = 1) -> "pd.Series[Any]":
    """The row of a run that answered items i0, i1, ... with these scores, and whose control did, in another order."""
    scores = pd.DataFrame([
        {
            "run": run, "task": "test", "metric": "exact", "item": f"i{k}", "cluster": f"c{k // cluster_size}", "epoch": 1,
            "score": float(score),
        }
        for run, said, step in (("tuned", tuned, 1), ("base", base, order)) for k, score in list(enumerate(said))[::step]
    ])
    table = run_table(scores, RUNS, {"exact": Mean()})
    return table[table["run"] == "tuned"].iloc[0]


def test_score_and_its_error_equal_hand_computation() -> None:
    found = measured("1110")
    assert (found["n_items"], found["value"]) == (4, 0.75)
    assert math.isclose(found["se"], math.sqrt((3 * 0.0625 + 0.5625) / 3 / 4))
    assert math.isnan(measured("1")["se"])


def test_the_error_over_clusters_equals_hand_computation() -> None:
    # mean 0.5; the clusters' sums of deviations are 1, 0 and -1: G / (G - 1) * 2 = 3
    assert math.isclose(measured("110100", cluster_size=2)["se"], math.sqrt(3) / 6)
    assert math.isnan(measured("1101", cluster_size=4)["se"])


def test_paired_difference_equals_hand_computation() -> None:
    # differences 1, 0, 0, -1, 1, by id and not by position: mean 1/5, sum of squares around it 3 - 5/25 = 2.8
    found = measured("11001", "01010", order=-1)
    assert math.isclose(found["diff_control"], 0.2)
    assert math.isclose(found["diff_control_se"], math.sqrt(2.8 / 4 / 5))
    assert math.isnan(measured("111", "11")["diff_control"])
