"""Values of runs and their differences from their controls: against other libraries, run by run, with gaps and without."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from ftexp.effects import means, run_table
from ftexp.effects.arrays import FloatArray
from ftexp.effects.errors import UnusableTable
from ftexp.effects.label_metrics import MacroF1, Mcc
from ftexp.effects.metrics import Rows
from helpers.effect_tables import TWO, Table, planned, scored, simulated
from helpers.metric_rows import CASES, Case, rows_of

RUNS = planned(TWO, 2)


def row_of(table: Table, run: str, **columns: str) -> "pd.Series[Any]":
    rows = table[table["run"] == run]
    for name, value in columns.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def clustered_mean(values: FloatArray, clusters: Any) -> tuple[float, float]:
    """Mean and standard error as statsmodels has them, robust for clusters."""
    groups = pd.factorize(clusters)[0]
    fit = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": groups})
    return float(fit.params[0]), float(fit.bse[0])


@pytest.mark.parametrize("cluster_size", [1, 7])
def test_means_and_paired_differences_have_the_errors_of_another_library(cluster_size: int) -> None:
    scores = simulated(RUNS, 90, cluster_size=cluster_size)
    scores["score"] = scores["score"] * 0.5 + np.random.default_rng(2).random(len(scores)) / 2
    table = run_table(scores, RUNS, {})
    wide = scores.pivot(index=["item", "cluster"], columns="run", values="score").reset_index()
    assert list(table["run"]) == list(RUNS["run"]) and set(table["n_clusters"]) == {-(-90 // cluster_size)}
    for run in RUNS["run"]:
        row = row_of(table, run)
        own = clustered_mean(wide[run].to_numpy(), wide["cluster"])
        np.testing.assert_allclose(row[["value", "se"]].to_list(), own, rtol=1e-12)
        if run != "base":
            expected = clustered_mean((wide[run] - wide["base"]).to_numpy(), wide["cluster"])
            np.testing.assert_allclose(row[["diff_control", "diff_control_se"]].to_list(), expected, rtol=1e-12, atol=1e-14)
        if cluster_size == 1:
            assert row["se"] == pytest.approx(wide[run].std(ddof=1) / np.sqrt(90), rel=1e-12)
    assert (table[["n_items", "n_scored"]] == 90).all(axis=None) and not table["control_reason"].any()
    np.testing.assert_allclose(table["value"], means(scores, {})["value"], rtol=1e-15)
    assert row_of(table, "base")[["diff_control", "diff_control_se"]].isna().all()


def of_case(case: Case, seed: int = 0) -> Table:
    """Answers of all runs to 60 items in 20 clusters, twice each, about one in twelve a gap; texts left out."""
    rng = np.random.default_rng(seed)
    rows = rows_of(case.made, rng, rng.normal(size=120), len(RUNS))
    keep = {name: np.asarray(rows.columns[name], dtype=float) for name in case.metric.columns}
    items = np.tile(np.arange(60), 2 * len(RUNS))
    table = pd.DataFrame({
        "run": RUNS["run"].to_numpy()[rows.runs], "task": "words", "metric": case.name, "item": [f"i{i}" for i in items],
        "cluster": [f"c{i // 3}" for i in items], "epoch": np.tile(np.repeat([1, 2], 60), len(RUNS)), **keep,
    })
    first = case.metric.columns[0]
    gone = (rng.random((len(RUNS), 60)) < 1 / 12)[rows.runs, items]
    return table.assign(**{first: table[first].where(~gone)})


def alone(case: Case, table: Table) -> tuple[float, "pd.Series[Any]"]:
    """One run's value and the sums of influences by cluster."""
    known = table.dropna()
    found = case.metric.influences(
        Rows(np.zeros(len(known), np.int64), 1, {name: known[name].to_numpy() for name in case.metric.columns}))
    return float(found.values[0]), pd.Series(found.influences).groupby(known["cluster"].to_numpy()).sum()


def error(sums: "pd.Series[Any]") -> float:
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()))


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in ("proportion", "mean")], ids=lambda case: case.name)
def test_each_metric_is_that_of_the_runs_own_items_and_its_difference_that_on_the_items_of_both(case: Case) -> None:
    scores = of_case(case)
    table = run_table(scores.sample(frac=1, random_state=3), RUNS, {case.name: case.metric})
    of_base = scores[scores["run"] == "base"]
    for run, own in scores.groupby("run"):
        row, (value, sums) = row_of(table, run), alone(case, own)
        np.testing.assert_allclose(row[["value", "se"]].to_list(), [value, error(sums)], rtol=1e-9)
        assert (row["n_items"], row["n_scored"], row["n_clusters"]) == (60, own.dropna()["item"].nunique(), len(sums))
        if run == "base":
            continue
        common = set(own.dropna()["item"]) & set(of_base.dropna()["item"])
        assert 40 < len(common) < row["n_scored"]
        (mine, of_mine), (its, of_its) = (alone(case, part[part["item"].isin(common)]) for part in (own, of_base))
        expected = [mine - its, error(of_mine - of_its)]
        np.testing.assert_allclose(row[["diff_control", "diff_control_se"]].to_list(), expected, rtol=1e-9)


def test_repetitions_of_an_item_are_averaged_first_in_a_mean_of_scores() -> None:
    scores = simulated(RUNS, 40)
    twice = pd.concat([scores, scores.assign(epoch=2, score=1 - scores["score"])])
    assert (run_table(twice, RUNS, {})["value"] == 0.5).all() and (run_table(twice, RUNS, {})["se"] == 0).all()
    assert (run_table(twice, RUNS, {})["n_items"] == 40).all()


def test_why_there_is_no_difference_from_the_control_is_said_of_the_control() -> None:
    scores = simulated(RUNS, 40)
    is_base = scores["run"] == "base"
    other = scores.assign(item=scores["item"].where(~is_base, "o" + scores["item"]))
    half = scores["item"] < "i0020"
    apart = scores.assign(score=scores["score"].where(half == is_base))
    for changed, reason in (
        (other, "was asked other items"), (scores[~is_base], "has no scores"), (scores[~is_base | half], "was asked other items"),
        (apart, "has no scored item in common with it"),
    ):
        table = run_table(changed, RUNS, {})
        tuned = table[table["run"] != "base"]
        assert set(tuned["control_reason"]) == {reason} and tuned["value"].notna().all()
        assert tuned[["diff_control", "diff_control_se"]].isna().all(axis=None)
    failed = RUNS.assign(eval_status=np.where(RUNS["run"] == "base", "failed", "done"))
    pd.testing.assert_frame_equal(run_table(scores, failed, {}), run_table(scores[~is_base], RUNS, {}))
    none = run_table(scores, RUNS.assign(control=np.nan), {})
    assert none["diff_control"].isna().all() and not none["control_reason"].any()


def test_a_metric_that_is_not_defined_for_a_run_gives_an_empty_value() -> None:
    labels = simulated(RUNS, 40).assign(metric="mcc")
    labels = labels.assign(target=np.resize([0, 1], len(labels)), prediction=labels["score"])
    labels["prediction"] = labels["prediction"].where(labels["run"] != "x_1_s1", 1.0)
    table = run_table(labels, RUNS, {"mcc": Mcc()})
    lost = row_of(table, "x_1_s1")
    assert lost[["value", "se", "diff_control", "diff_control_se"]].isna().all() and lost["n_scored"] == 40
    assert lost["control_reason"] == "or the run has no value on their common items: the metric is not defined there"
    assert table.loc[table["run"] != "x_1_s1", ["value", "se"]].notna().all(axis=None)
    gone = labels.assign(prediction=labels["prediction"].where(labels["run"] != "x_1_s1"))
    lost = row_of(run_table(gone, RUNS, {"mcc": Mcc()}), "x_1_s1")
    assert np.isnan(lost["value"]) and (lost["n_items"], lost["n_scored"], lost["n_clusters"]) == (40, 0, 0)


def test_one_cluster_has_no_standard_error() -> None:
    table = run_table(simulated(RUNS, 20, cluster_size=20), RUNS, {})
    assert table[["se", "diff_control_se"]].isna().all(axis=None) and table["value"].notna().all()
    assert table.loc[table["run"] != "base", "diff_control"].notna().all()


def test_there_is_one_row_per_run_task_and_metric_that_has_scores_runs_in_their_order() -> None:
    scores = simulated(RUNS, 30)
    labels = scores.assign(metric="macro_f1", target=np.resize([0, 1, 2], len(scores)), prediction=scores["score"])
    of_other = scores[scores["run"].isin(["base", "y_2_s2"])].assign(task="other", item="z" + scores["item"])
    table = run_table(pd.concat([scores, labels, of_other]), RUNS, {"macro_f1": MacroF1()})
    assert len(table) == 2 * len(RUNS) + 2 and list(table["run"].unique()) == list(RUNS["run"])
    own = table[table["run"] == "y_2_s2"]
    assert list(zip(own["task"], own["metric"], strict=True)) == [("words", "match"), ("words", "macro_f1"), ("other", "match")]
    assert own["diff_control"].notna().all()
    assert list(run_table(scored({"base": [1.0]}).iloc[:0], RUNS, {}).columns) == list(table.columns)


@pytest.mark.parametrize(("runs", "message"), [
    (RUNS.assign(control="gone"), "runs: control: not in the table of runs, got gone"),
    (RUNS.assign(control="x_1_s1"), "must name a run of kind control, got x_1_s1"),
    (RUNS.iloc[1:].assign(control=""), "scores: run: not in the table of runs, got base"),
    (RUNS.drop(columns="kind"), "runs: kind: missing column"),
])
def test_tables_that_contradict_each_other_are_refused(runs: Table, message: str) -> None:
    with pytest.raises(UnusableTable, match=message):
        run_table(simulated(RUNS, 10), runs, {})
