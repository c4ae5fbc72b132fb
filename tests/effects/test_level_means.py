"""Means of a factor's levels by task, with intervals: against plain computations and the intervals of single runs."""

import numpy as np
import pandas as pd
import pytest
from ftexp.effects import Analysis, level_means, means
from ftexp.effects.metrics import Mean
from helpers.effect_tables import TWO, Table, planned, scored, simulated, without
from scipy import stats

ANALYSIS = Analysis(TWO, "match")


def row(table: Table, level: str, task: str = "words") -> "pd.Series[float]":
    found = table[(table["level"] == level) & (table["task"] == task)]
    assert len(found) == 1
    return found.iloc[0]


def test_of_one_run_it_is_the_interval_of_means() -> None:
    runs = planned({"a": ["x", "y"]})
    for values, metrics in (({}, {}), ({"score": lambda t: t["score"] * 3}, {"match": Mean(bounds=None)})):
        scores = simulated(runs, 60).assign(**values)
        found = level_means(scores, runs, Analysis({"a": ["x", "y"]}, "match", metrics=metrics), "a")
        single = means(scores, metrics).set_index("run")
        assert list(found["level"]) == ["x", "y", "base"]
        for level, run in (("x", "x_s1"), ("y", "y_s1"), ("base", "base")):
            assert row(found, level)[["mean", "low", "high"]].tolist() == single.loc[run, ["value", "low", "high"]].tolist()
        assert set(found["scope"]) == {"models"}


def test_a_level_is_the_mean_of_its_cells_alike_and_of_a_cells_seeds() -> None:
    """One cell of x has three seeds, the other one: each counts half."""
    runs = planned(TWO, 3)
    runs, scores = without(runs, simulated(runs, 80), "x_2_s2", "x_2_s3")
    of_run = scores.groupby("run")["score"].mean()
    found = row(level_means(scores, runs, ANALYSIS, "a"), "x")
    wanted = (of_run[["x_1_s1", "x_1_s2", "x_1_s3"]].mean() + of_run["x_2_s1"]) / 2
    assert found["mean"] == pytest.approx(wanted)
    assert row(level_means(scores, runs, ANALYSIS, "b"), "2")["mean"] == pytest.approx(
        (of_run["x_2_s1"] + of_run[["y_2_s1", "y_2_s2", "y_2_s3"]].mean()) / 2
    )


def test_over_new_items_and_seeds_it_has_the_variance_of_the_definition() -> None:
    runs = planned({"a": ["x", "y"]}, 3, has_control=False)
    scores = simulated(runs, 250)
    found = row(level_means(scores, runs, Analysis({"a": ["x", "y"]}, "match"), "a"), "x")
    y = scores.pivot(index="run", columns="item", values="score").loc[["x_s1", "x_s2", "x_s3"]].to_numpy()
    v_item, v_seed = y.mean(axis=0).var(ddof=1) / 250, y.mean(axis=1).var(ddof=1) / 3
    noise = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0, keepdims=True) + y.mean()
    residual = (noise**2).sum() / (2 * 249) / 250 / 3
    variance = max(v_item + v_seed - residual, v_item, v_seed)
    large = max(v_seed * 2 / stats.chi2.ppf(0.2, 2) - residual, 0)
    shares = np.array([large, v_item]) / (large + v_item)
    half = stats.t.ppf(0.975, 1 / (shares**1.3 / [2, 249]).sum()) * variance**0.5
    assert (found["low"], found["high"]) == pytest.approx((y.mean() - half, y.mean() + half)) and found["scope"] == "recipe"


def test_over_new_items_only_cells_are_averaged_item_by_item() -> None:
    runs = planned(TWO)
    scores = simulated(runs, 90, cluster_size=3)
    found = row(level_means(scores, runs, ANALYSIS, "a"), "y")
    y = scores[scores["run"].isin(["y_1_s1", "y_2_s1"])].groupby("cluster")["score"].mean()
    half = stats.t.ppf(0.975, 29) * y.std(ddof=1) / 30**0.5
    assert (found["low"], found["high"]) == pytest.approx((y.mean() - half, y.mean() + half)) and found["scope"] == "models"


def test_an_end_of_the_scale_is_not_passed_and_all_alike_is_no_certainty() -> None:
    runs = planned(TWO, 2)
    scores = scored({run: np.ones(20) for run in runs["run"]})
    found = level_means(scores, runs, ANALYSIS, "a")
    assert (found["mean"] == 1).all() and (found["high"] <= 1).all() and (found["low"] < 0.95).all()


def test_every_task_of_the_metric_has_its_rows_and_what_was_not_asked_no_numbers() -> None:
    runs = planned(TWO, 2)
    words = simulated(runs, 40)
    names = simulated(runs, 30, seed=1).assign(task="names")
    names["item"] = "n" + names["item"]
    names = names[~names["run"].str.startswith("y")]
    other = words.assign(metric="other")
    found = level_means(pd.concat([words, names, other]), runs, ANALYSIS, "a")
    assert list(zip(found["task"], found["level"], strict=True)) == [
        (task, level) for task in ("words", "names") for level in ("x", "y", "base")
    ]
    empty = row(found, "y", "names")
    assert empty[["mean", "low", "high"]].isna().all() and empty["scope"] == ""
    assert row(found, "x", "names")["low"] < row(found, "x", "names")["mean"]
    assert set(level_means(pd.concat([words, other]), runs, ANALYSIS, "a", "other")["task"]) == {"words"}
    assert level_means(words, runs, ANALYSIS, "a", "none").empty


def test_items_that_a_run_of_the_level_has_no_score_of_are_left_out() -> None:
    runs = planned(TWO)
    scores = simulated(runs, 40)
    gap = (scores["run"] == "x_1_s1") & (scores["item"] < "i0005")
    found = level_means(scores.assign(score=scores["score"].mask(gap)), runs, ANALYSIS, "a")
    kept = scores[(scores["item"] >= "i0005") & scores["run"].str.startswith("x")]
    assert row(found, "x")["mean"] == pytest.approx(kept["score"].mean())
    plain = scores[scores["run"].str.startswith("y")]
    assert row(found, "y")["mean"] == pytest.approx(plain["score"].mean())
