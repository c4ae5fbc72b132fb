"""Errors, degrees of freedom, intervals and p-values of effects: against statsmodels, definitions and simulations."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from ftexp.effects import Analysis, effects, means
from helpers.effect_tables import TWO, UNBOUNDED, is_empty, pick, planned, scored, simulated
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint


@pytest.mark.parametrize("cluster_size", [1, 6])
def test_v_item_equals_statsmodels_cluster_robust_ols(cluster_size: int) -> None:
    """With statsmodels' default correction, G / (G - 1) * (N - 1) / (N - K), of which the second factor is 1 as K = 1."""
    runs = planned(TWO, 2)
    scores = simulated(runs, 300, cluster_size=cluster_size)
    wide = scores.pivot(index="item", columns="run", values="score")
    y, x = [wide[[f"{a}_{b}_s{s}" for b in (1, 2) for s in (1, 2)]].mean(axis=1) for a in ("y", "x")]
    clusters = np.arange(300) // cluster_size
    fit = sm.OLS((y - x).to_numpy(), np.ones(300)).fit(cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": True})
    row = pick(effects(scores, runs, Analysis(TWO, "match")), "main", factor="a")
    assert row["se_items"] == pytest.approx(fit.bse[0], rel=1e-9)
    assert row["estimate"] == pytest.approx(fit.params[0])
    assert row["df"] == pytest.approx(len(set(clusters)) - 1)


def test_v_seed_sums_each_cells_own_variance() -> None:
    runs = planned(TWO, 3)
    runs = runs[runs["run"] != "y_2_s3"]
    scores = simulated(runs, 300)
    of_runs = runs[runs["kind"] == "trained"].merge(scores.groupby("run")["score"].mean(), on="run")
    by_cell = of_runs.groupby(["a", "b"])["score"].agg(["var", "count"])
    variances = (by_cell["var"] / by_cell["count"]).to_numpy()
    table = effects(scores, runs, Analysis(TWO, "match"))
    assert pick(table, "main", "recipe", factor="a")["se_seeds"] ** 2 == pytest.approx(variances.sum() / 4)
    assert pick(table, "level", "recipe", factor="a")["se_seeds"] ** 2 == pytest.approx(variances[0] + variances[2])
    assert pick(table, "control", "recipe", level="a=y, b=2")["se_seeds"] ** 2 == pytest.approx(variances[3])


def test_v_and_its_degrees_of_freedom_are_those_of_the_definition() -> None:
    runs = planned({"a": ["x", "y"]}, 3, has_control=False)
    scores = simulated(runs, 250)
    row = pick(effects(scores, runs, Analysis({"a": ["x", "y"]}, "match")), "level", "recipe")
    y = scores.pivot(index="run", columns="item", values="score").loc[runs["run"]].to_numpy().reshape(2, 3, 250)
    v_item = (y[1].mean(axis=0) - y[0].mean(axis=0)).var(ddof=1) / 250
    v_seed = y.mean(axis=2).var(axis=1, ddof=1) / 3
    noise = y - y.mean(axis=1, keepdims=True) - y.mean(axis=2, keepdims=True) + y.mean(axis=(1, 2), keepdims=True)
    residual = (noise**2).sum(axis=(1, 2)) / (2 * 249) / 250 / 3
    variance = max(v_item + v_seed.sum() - residual.sum(), v_item, v_seed.sum())
    assert row["se"] ** 2 == pytest.approx(variance)
    large = np.maximum(v_seed * 2 / stats.chi2.ppf(0.2, 2) - residual, 0)
    shares = np.array([*large, v_item]) / (large.sum() + v_item)
    assert row["df"] == pytest.approx(1 / (shares**1.3 / [2, 2, 249]).sum())


def test_a_cell_counts_in_the_degrees_of_freedom_by_its_share_of_the_variance() -> None:
    """One cell of four whose seeds differ: a contrast with it has its S - 1 degrees of freedom, one without it many more."""
    runs = planned(TWO, 3)
    rng = np.random.default_rng(0)
    chance = {"y_2_s1": 0.1, "y_2_s2": 0.5, "y_2_s3": 0.9}
    scores = scored({run: rng.random(2000) < chance.get(run, 0.5) for run in runs["run"]})
    table = effects(scores, runs, Analysis(TWO, "match"))
    with_it, without = (pick(table, kind, "recipe", **names) for kind, names in (
        ("control", {"level": "a=y, b=2"}), ("control", {"level": "a=x, b=1"})))
    assert with_it["df"] == pytest.approx(2, rel=0.05) and with_it["high"] - with_it["low"] > 1
    assert without["high"] - without["low"] < 0.15
    assert with_it["more_seeds"].startswith("3 seeds of a=y, b=2 tell little of how far seeds differ there; the interval spans 4")
    assert "and one more seed of a=y, b=2 would narrow it from ±1 to about ±0.6" in with_it["more_seeds"]
    assert without["more_seeds"] == ""


def test_an_average_against_the_control_uses_per_seed_means_where_seeds_move_the_cells_together() -> None:
    runs = planned(TWO, 3)
    rng = np.random.default_rng(0)
    chance = {1: 0.3, 2: 0.5, 3: 0.7}
    scores = scored({run: rng.random(250) < chance.get(seed, 0.5) for run, seed in zip(runs["run"], runs["seed"], strict=True)})
    row = pick(effects(scores, runs, Analysis(TWO, "match")), "average", "recipe")
    of_run = scores.groupby("run")["score"].mean()
    by_seed = [of_run[runs.loc[(runs["seed"] == seed), "run"]].mean() for seed in (1, 2, 3)]
    assert row["se_seeds"] == pytest.approx(np.std(by_seed, ddof=1) / np.sqrt(3))
    assert row["method"].endswith("per-seed means") and 2 <= row["df"] < 3


def test_a_cell_of_one_seed_borrows_the_pooled_spread_of_the_others_and_says_so() -> None:
    runs = planned(TWO, 2)
    runs = runs[~runs["run"].isin(["x_1_s2", "x_2_s2"])]
    scores = simulated(runs, 250)
    table = effects(scores, runs, Analysis(TWO, "match"))
    of_runs = scores.groupby("run")["score"].mean()
    own = [of_runs[[f"y_{b}_s1", f"y_{b}_s2"]].var(ddof=1) for b in (1, 2)]
    row = pick(table, "level", "recipe", factor="b")
    assert row["se_seeds"] ** 2 == pytest.approx(2 * np.mean(own))
    assert row["more_seeds"].startswith("a=x, b=1 has one seed and borrows the spread of other cells, which may differ; one more")
    assert row["df"] < 2.1


@pytest.mark.slow
def test_holm_equals_multipletests_within_family_and_scope() -> None:
    levels = {"f": [1, 2, 3, 4], "g": ["p", "q"]}
    runs = planned(levels, 2)
    table = effects(simulated(runs, 100), runs, Analysis(levels, "match"))
    for _, rows in table.groupby(["family", "scope"]):
        np.testing.assert_allclose(rows["p_holm"], multipletests(rows["p"], method="holm")[1])
    assert table["family"].nunique() == table["kind"].nunique() == 6


def test_wilson_equals_proportion_confint() -> None:
    table = means(scored({"r": [1] * 7 + [0] * 13, "s": [1] * 20}), {})
    for (_, row), successes in zip(table.iterrows(), (7, 20), strict=True):
        assert (row["low"], row["high"]) == pytest.approx(proportion_confint(successes, 20, method="wilson"))
        assert row["method"] == "Wilson"
    clustered = means(scored({"r": [1, 1, 0, 0, 1, 0] * 40}, cluster_size=2), {}).iloc[0]
    assert clustered["method"] == "t over clusters" and clustered["n_clusters"] == 120
    partial = means(scored({"r": [0.2, 0.4, 0.9, 0.5]}), {}).iloc[0]
    half = stats.t.ppf(0.975, 3) * np.std([0.2, 0.4, 0.9, 0.5], ddof=1) / 2
    assert partial["method"] == "t over items" and (partial["low"], partial["high"]) == pytest.approx((0.5 - half, 0.5 + half))


def test_pseudo_items_are_bonett_and_prices_adjusted_interval() -> None:
    runs = planned({"a": ["x", "y"]}, has_control=False)
    table = effects(scored({"x_s1": [0] * 20, "y_s1": [1] * 5 + [0] * 15}), runs, Analysis({"a": ["x", "y"]}, "match"))
    row = pick(table, "level")
    gained, lost = 6 / 22, 1 / 22
    assert row["estimate"] == 0.25
    assert (row["low"] + row["high"]) / 2 == pytest.approx(gained - lost)
    assert row["se"] ** 2 == pytest.approx((gained + lost - (gained - lost) ** 2) / 21)  # they divide by n + 2 = 22
    assert "pseudo-items" in row["method"]


def test_all_or_nothing_still_has_an_interval() -> None:
    runs = planned({"a": ["x", "y"]}, has_control=False)
    row = pick(effects(scored({"x_s1": [0] * 400, "y_s1": [1] * 400}), runs, Analysis({"a": ["x", "y"]}, "match")), "level")
    assert 0.97 < row["low"] < row["high"] < 1.01 and row["p"] < 1e-9 and "pseudo-items" in row["method"]


def test_test_sets_apart_by_design_are_contrasted_unpaired() -> None:
    runs = planned({"a": ["x", "y"]}, has_control=False)
    rng = np.random.default_rng(3)
    x, y = (rng.random(size) < 0.5 for size in (300, 400))
    other = scored({"y_s1": y})
    scores = pd.concat([scored({"x_s1": x}), other.assign(item="other" + other["item"], cluster="other" + other["item"])])
    row = pick(effects(scores, runs, Analysis({"a": ["x", "y"]}, "match", test_set_factors=["a"])), "level")
    parts = [v.var(ddof=1) / len(v) for v in (x.astype(float), y.astype(float))]
    assert row["se"] ** 2 == pytest.approx(sum(parts))
    assert row["df"] == pytest.approx(sum(parts) ** 2 / (parts[0] ** 2 / 299 + parts[1] ** 2 / 399))
    assert row["n_items"] == 700 and row["flags"] == "unpaired" and row["method"].startswith("unpaired")


def test_one_item_says_nothing_about_others() -> None:
    runs = planned({"a": ["x", "y"]})
    row = pick(effects(scored({"base": [0], "x_s1": [0], "y_s1": [1]}), runs, Analysis({"a": ["x", "y"]}, "match")), "level")
    assert is_empty(row) and row["reason"] == "one item, or one cluster, says nothing about others"


def test_scores_without_bounds_that_do_not_vary_have_an_estimate_but_no_interval() -> None:
    runs = planned({"a": ["x", "y"]})
    scores = scored({"base": [0, 0], "x_s1": [3, 3], "y_s1": [5, 5]})
    row = pick(effects(scores, runs, Analysis({"a": ["x", "y"]}, "match", metrics=UNBOUNDED)), "level")
    assert row["estimate"] == 2 and row[["low", "high", "p", "df"]].isna().all() and "do not vary" in row["reason"]


def test_no_interval_reaches_past_what_the_range_allows() -> None:
    runs = planned(TWO, 2)
    values = {run: np.ones(30) if "y" in run else np.zeros(30) for run in runs["run"]}
    table = effects(scored(values), runs, Analysis(TWO, "match"))
    main = pick(table, "main", factor="a")
    assert main["high"] == 1.0 and 0 < main["low"] < 1 and main["p"] < 0.05
    assert pick(table, "interaction")["high"] <= 2.0
    unbounded = pick(effects(scored(values), runs, Analysis(TWO, "match", metrics=UNBOUNDED)), "main", factor="a")
    assert unbounded["estimate"] == 1.0
