"""Effects against statsmodels, against sums done by hand, and against what must not change them."""

import itertools
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from conftest import REPOSITORY
from ftexp.effects import COLUMNS, Analysis, Spread, detectable, effects, means, power, spread_from_effects, spread_from_means
from ftexp.effects.analysis import FloatArray
from ftexp.effects.errors import UnusableTable
from ftexp.reporting.conclusions import conclusions
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

UNBOUNDED = {"match": None}
Table = pd.DataFrame


def planned(levels: dict[str, list[Any]], seeds: int = 1, *, has_control: bool = True) -> Table:
    """A full factorial, the control first; ids are `<levels>_s<seed>`."""
    base = [{"run": "base", "kind": "control", "control": ""}] if has_control else []
    cells = [dict(zip(levels, cell, strict=True)) for cell in itertools.product(*levels.values())]
    return pd.DataFrame(base + [
        {
            "run": "_".join(map(str, cell.values())) + f"_s{seed}", "kind": "trained", "control": "base" if has_control else "",
            "seed": seed, **cell,
        }
        for cell, seed in itertools.product(cells, range(1, seeds + 1))
    ])


def scored(values: dict[str, Any], *, cluster_size: int = 1, metric: str = "match") -> Table:
    """Scores of items i0, i1, ... per run; items in runs of `cluster_size` share a cluster."""
    return pd.DataFrame([
        {
            "run": run, "task": "words", "metric": metric, "item": f"i{i:04d}", "cluster": f"c{i // cluster_size:04d}",
            "epoch": 1, "score": float(score),
        }
        for run, scores in values.items() for i, score in enumerate(scores)
    ])


def simulated(runs: Table, items: int, *, cluster_size: int = 1, seed: int = 0) -> Table:
    """Right or wrong by item and run."""
    rng = np.random.default_rng(seed)
    item, run = rng.normal(size=items), rng.normal(scale=0.5, size=(len(runs), 1))
    answers = rng.normal(size=(len(runs), items)) < item + run
    return scored(dict(zip(runs["run"], answers, strict=True)), cluster_size=cluster_size)


def pick(table: Table, kind: str, scope: str = "models", **columns: str) -> "pd.Series[Any]":
    """The one row of a kind and scope."""
    rows = table[(table["kind"] == kind) & (table["scope"] == scope)]
    for name, value in columns.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1, rows
    return rows.iloc[0]


def is_empty(row: "pd.Series[Any]") -> bool:
    return bool(row[["estimate", "se_items", "se_seeds", "se", "df", "low", "high", "p", "p_holm"]].isna().all())


TWO = {"a": ["x", "y"], "b": [1, 2]}
# Two items a run; the means are 0.1, 0.2, 0.4, 0.9 and the control's 0.05.
BY_HAND = {"base": [0.0, 0.1], "x_1_s1": [0.0, 0.2], "x_2_s1": [0.1, 0.3], "y_1_s1": [0.4, 0.4], "y_2_s1": [1.0, 0.8]}


@pytest.fixture(scope="module")
def by_hand() -> Table:
    return effects(scored(BY_HAND), planned(TWO), Analysis(TWO, "match", ranges=UNBOUNDED))


@pytest.mark.parametrize(("kind", "columns", "differences"), [
    ("level", {"factor": "a"}, [0.4, 0.2]), ("level", {"factor": "b"}, [0.1, 0.1]),
    ("main", {"factor": "a"}, [0.65, 0.35]), ("main", {"factor": "b"}, [0.35, 0.25]),
    ("interaction", {"factor": "a x b", "level": "y x 2", "reference": "x x 1"}, [0.5, 0.3]),
    ("control", {"level": "a=y, b=2", "reference": "base"}, [1.0, 0.7]),
    ("average", {"reference": "base"}, [0.375, 0.325]),
])
def test_every_kind_equals_the_sum_done_by_hand(
    by_hand: Table, kind: str, columns: dict[str, str], differences: list[float]
) -> None:
    row = pick(by_hand, kind, **columns)
    assert row["estimate"] == pytest.approx(np.mean(differences))
    assert row["se_items"] == pytest.approx(abs(differences[0] - differences[1]) / 2, abs=1e-12)  # s / sqrt(2) of two items
    assert (row["n_items"], row["n_clusters"], row["n_seeds"]) == (2, 2, 1)


def test_a_trend_is_the_least_squares_slope_per_doubling_where_levels_are_far_apart() -> None:
    levels = {"rank": [2, 4, 16]}
    values = {"base": [0, 0.2], "2_s1": [0.1, 0.1], "4_s1": [0.2, 0.4], "16_s1": [0.3, 0.9]}
    row = pick(effects(scored(values), planned(levels), Analysis(levels, "match", ranges=UNBOUNDED)), "trend")
    assert row["estimate"] == pytest.approx(np.polyfit([1, 2, 4], [0.1, 0.3, 0.6], 1)[0])
    assert (row["factor"], row["level"], row["reference"]) == ("rank", "per doubling", "")


@pytest.mark.parametrize(("levels", "unit"), [
    ([1, 2, 3], "per unit"), ([-1, 0, 8], "per unit"), (["1", "2", "4"], "per doubling"), ([1, 2], None), (["p", "q", "r"], None),
])
def test_only_numeric_factors_of_three_levels_have_a_trend(levels: list[Any], unit: str | None) -> None:
    runs = planned({"f": levels})
    table = effects(simulated(runs, 20), runs, Analysis({"f": levels}, "match"))
    assert list(table.loc[table["kind"] == "trend", "level"].unique()) == ([unit] if unit else [])


def test_groups_repeat_every_kind_on_their_own_items() -> None:
    runs = planned({"f": [1, 2, 3], "g": ["p", "q"]}, 2)
    scores = simulated(runs, 60)
    scores["group:language"] = np.where(scores["item"].str[-1].astype(int) % 2, "de", "en")
    table = effects(scores, runs, Analysis({"f": [1, 2, 3], "g": ["p", "q"]}, "match", groups=["language"]))
    alone = effects(scores[scores["group:language"] == "de"], runs, Analysis({"f": [1, 2, 3], "g": ["p", "q"]}, "match"))
    within = table[table["level"].str.endswith(" | language=de")]
    assert set(within["kind"]) == {f"{kind} within language" for kind in set(alone["kind"])}
    np.testing.assert_allclose(within[["estimate", "se", "p"]].to_numpy(float), alone[["estimate", "se", "p"]].to_numpy(float))
    assert set(within["n_items"]) == {30}


@pytest.mark.parametrize("cluster_size", [1, 7])
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
    assert row["df"] == len(set(clusters)) - 1


def test_v_seed_equals_the_analysis_of_variance_of_run_means() -> None:
    runs = planned(TWO, 3)
    runs = runs[runs["run"] != "y_2_s3"]
    scores = simulated(runs, 300)
    of_runs = runs[runs["kind"] == "trained"].merge(scores.groupby("run")["score"].mean(), on="run")
    fit = smf.ols("score ~ C(a) * C(b)", of_runs).fit()
    table = effects(scores, runs, Analysis(TWO, "match"))
    row = pick(table, "main", "recipe", factor="a")
    weights = 3 * 3 * (1 / 6) ** 2 + 2 * (1 / 4) ** 2
    assert row["se_seeds"] ** 2 == pytest.approx(fit.mse_resid * weights)
    assert pick(table, "level", "recipe", factor="a")["se_seeds"] ** 2 == pytest.approx(fit.mse_resid * 2 / 3)
    assert fit.df_resid == 7


def test_v_and_its_degrees_of_freedom_are_those_of_the_definition() -> None:
    runs = planned({"a": ["x", "y"]}, 3, has_control=False)
    scores = simulated(runs, 250)
    row = pick(effects(scores, runs, Analysis({"a": ["x", "y"]}, "match")), "level", "recipe")
    y = scores.pivot(index="run", columns="item", values="score").loc[runs["run"]].to_numpy().reshape(2, 3, 250)
    c = y[1].mean(axis=0) - y[0].mean(axis=0)
    v_item, w2 = c.var(ddof=1) / 250, 2 / 3
    v_seed = y.mean(axis=2).var(axis=1, ddof=1).mean() * w2
    residual = y - y.mean(axis=1, keepdims=True) - y.mean(axis=2, keepdims=True) + y.mean(axis=(1, 2), keepdims=True)
    s2_is = (residual**2).sum() / (4 * 249)
    variance = max(v_item + v_seed - s2_is * w2 / 250, v_item, v_seed)
    assert row["se"] ** 2 == pytest.approx(variance)
    assert row["df"] == pytest.approx(variance**2 / (v_item**2 / 249 + v_seed**2 / 4))


def test_an_average_against_the_control_uses_per_seed_means_where_seeds_move_the_cells_together() -> None:
    runs = planned(TWO, 3)
    rng = np.random.default_rng(0)
    chance = {1: 0.3, 2: 0.5, 3: 0.7}
    scores = scored({run: rng.random(250) < chance.get(seed, 0.5) for run, seed in zip(runs["run"], runs["seed"], strict=True)})
    row = pick(effects(scores, runs, Analysis(TWO, "match")), "average", "recipe")
    of_run = scores.groupby("run")["score"].mean()
    by_seed = [of_run[runs.loc[(runs["seed"] == seed), "run"]].mean() for seed in (1, 2, 3)]
    assert row["se_seeds"] == pytest.approx(np.std(by_seed, ddof=1) / np.sqrt(3))
    assert row["method"].endswith("per-seed means") and 2 < row["df"] < 3


def test_an_average_over_cells_of_one_seed_keeps_the_pooled_seed_variance() -> None:
    runs = planned(TWO, 2)
    runs = runs[~runs["run"].isin(["x_1_s2", "x_2_s2"])]
    scores = simulated(runs, 250)
    table = effects(scores, runs, Analysis(TWO, "match"))
    s2 = pick(table, "level", "recipe", factor="b")["se_seeds"] ** 2 / 2
    row = pick(table, "average", "recipe")
    assert row["se_seeds"] ** 2 == pytest.approx(s2 * (2 / 16 + 4 / 64)) and row["method"].endswith("pooled within cells")


def test_holm_equals_multipletests_within_family_and_scope() -> None:
    levels = {"f": [1, 2, 3, 4], "g": ["p", "q"]}
    runs = planned(levels, 2)
    table = effects(simulated(runs, 100), runs, Analysis(levels, "match"))
    for _, rows in table.groupby(["family", "scope"]):
        np.testing.assert_allclose(rows["p_holm"], multipletests(rows["p"], method="holm")[1])
    assert table["family"].nunique() == table["kind"].nunique() == 6


def test_wilson_equals_proportion_confint() -> None:
    table = means(scored({"r": [1] * 7 + [0] * 13, "s": [1] * 20}))
    for (_, row), successes in zip(table.iterrows(), (7, 20), strict=True):
        assert (row["low"], row["high"]) == pytest.approx(proportion_confint(successes, 20, method="wilson"))
        assert row["method"] == "Wilson"
    clustered = means(scored({"r": [1, 1, 0, 0, 1, 0]}, cluster_size=2)).iloc[0]
    assert clustered["method"] == "t over clusters" and clustered["n_clusters"] == 3


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
    (lambda s, r: (s.assign(score=np.nan), r), "run x_s1, item i0000: must be a number, got nan"),
    (lambda s, r: (pd.concat([s, s]), r), "is there twice in epoch 1"),
    (lambda s, r: (s.assign(run="who"), r), "not in the table of runs, got who"),
    (lambda s, r: (s.assign(cluster=s["run"]), r), "item i0000 has two values"),
    (lambda s, r: (s.drop(columns="cluster"), r), "cluster: missing column"),
    (lambda s, r: (s, r.drop(columns="a")), "a: missing column"),
    (lambda s, r: (s, r.assign(a="z")), "a level that is not declared, got 'z'"),
    (lambda s, r: (s, r.assign(a="x")), "x_s1 and y_s1 have the same levels and the same seed"),
    (lambda s, r: (s, r.assign(run="x_s1")), "must be unique, got x_s1 twice"),
    (lambda s, r: (s, r.assign(control="gone")), "control: not in the table of runs, got gone"),
])
def test_tables_that_contradict_each_other_are_refused(change: Any, message: str) -> None:
    scores, runs = change(scored({"x_s1": [0, 1], "y_s1": [1, 1]}), planned({"a": ["x", "y"]}, has_control=False))
    with pytest.raises(UnusableTable, match=message):
        effects(scores, runs, Analysis({"a": ["x", "y"]}, "match"))


def test_a_baseline_that_is_no_level_is_refused_and_one_that_is_turns_the_sign() -> None:
    runs = planned({"a": ["x", "y"]})
    scores = simulated(runs, 30)
    with pytest.raises(UnusableTable, match=r"baseline.a: not a level, got 'z'"):
        effects(scores, runs, Analysis({"a": ["x", "y"]}, "match", baseline={"a": "z"}))
    first = pick(effects(scores, runs, Analysis({"a": ["x", "y"]}, "match")), "level")
    second = pick(effects(scores, runs, Analysis({"a": ["x", "y"]}, "match", baseline={"a": "y"})), "level")
    assert second["estimate"] == -first["estimate"] and (second["level"], second["reference"]) == ("x", "y")


def test_one_seed_says_nothing_about_the_next(by_hand: Table) -> None:
    recipe = by_hand[by_hand["scope"] == "recipe"]
    assert all(is_empty(row) for _, row in recipe.iterrows())
    assert set(recipe["reason"]) == {"one seed says nothing about the next"}
    assert by_hand.loc[by_hand["scope"] == "models", "estimate"].notna().all()


def test_one_item_says_nothing_about_others() -> None:
    runs = planned({"a": ["x", "y"]})
    row = pick(effects(scored({"base": [0], "x_s1": [0], "y_s1": [1]}), runs, Analysis({"a": ["x", "y"]}, "match")), "level")
    assert is_empty(row) and row["reason"] == "one item, or one cluster, says nothing about others"


def test_scores_without_bounds_that_do_not_vary_have_an_estimate_but_no_interval() -> None:
    runs = planned({"a": ["x", "y"]})
    scores = scored({"base": [0, 0], "x_s1": [3, 3], "y_s1": [5, 5]})
    row = pick(effects(scores, runs, Analysis({"a": ["x", "y"]}, "match", ranges=UNBOUNDED)), "level")
    assert row["estimate"] == 2 and row[["low", "high", "p", "df"]].isna().all() and "do not vary" in row["reason"]


def without(runs: Table, scores: Table, *ids: str) -> tuple[Table, Table]:
    """The runs with these failed, and the scores without theirs."""
    failed = runs["run"].isin(ids)
    return runs.assign(eval_status=np.where(failed, "failed", "done"), reason=np.where(failed, "out of memory", "")), scores


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


def test_means_near_the_ends_of_the_range_are_flagged_and_their_interaction_is_scale_dependent() -> None:
    runs = planned(TWO)
    high = {"base": [1, 0] * 20, "x_1_s1": [1, 0] * 20, "x_2_s1": [1, 0] * 20, "y_1_s1": [0, 1] * 20, "y_2_s1": [1] * 40}
    table = effects(scored(high), runs, Analysis(TWO, "match"))
    assert pick(table, "interaction")["flags"] == "ceiling; scale-dependent"
    assert pick(table, "main", factor="a")["flags"] == "ceiling"
    assert pick(table, "level", factor="a")["flags"] == ""
    wide = effects(scored(high), runs, Analysis(TWO, "match", ranges={"match": (-10, 10)}))
    assert not wide["flags"].any()


def test_one_at_a_time_designs_and_lists_have_contrasts_with_the_baseline_and_the_control_only() -> None:
    runs = planned(TWO)
    one = runs[runs["run"] != "y_2_s1"]
    table = effects(simulated(one, 40), one, Analysis(TWO, "match", design="one_at_a_time"))
    assert set(table["kind"]) == {"level", "control"}
    assert list(table.loc[(table["kind"] == "level") & (table["scope"] == "models"), "factor"]) == ["b", "a"]
    listed = runs[runs["run"].isin(["base", "x_1_s1", "y_2_s1"])]
    row = pick(effects(simulated(listed, 40), listed, Analysis(TWO, "match", design="list")), "level")
    assert (row["factor"], row["level"], row["reference"]) == ("a, b", "y, 2", "x, 1")


def test_each_cell_is_compared_with_its_own_control() -> None:
    runs = planned({"a": ["x", "y"]})
    other = pd.DataFrame([{"run": "base_y", "kind": "control", "control": ""}])
    runs = pd.concat([runs.assign(control=runs["control"].where(runs["run"] != "y_s1", "base_y")), other])
    values = {"base": [0.1, 0.1], "base_y": [0.4, 0.5], "x_s1": [0.3, 0.2], "y_s1": [0.5, 0.8]}
    table = effects(scored(values), runs, Analysis({"a": ["x", "y"]}, "match", ranges=UNBOUNDED))
    assert pick(table, "control", reference="base_y")["estimate"] == pytest.approx(0.2)
    assert pick(table, "average")["estimate"] == pytest.approx((0.15 + 0.2) / 2)


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


def test_no_interval_reaches_past_what_the_range_allows() -> None:
    runs = planned(TWO, 2)
    values = {run: np.ones(30) if "y" in run else np.zeros(30) for run in runs["run"]}
    table = effects(scored(values), runs, Analysis(TWO, "match"))
    main = pick(table, "main", factor="a")
    assert main["high"] == 1.0 and 0 < main["low"] < 1 and main["p"] < 0.05
    assert pick(table, "interaction")["high"] <= 2.0
    unbounded = pick(effects(scored(values), runs, Analysis(TWO, "match", ranges=UNBOUNDED)), "main", factor="a")
    assert unbounded["estimate"] == 1.0


def test_repetitions_of_an_item_are_averaged_first() -> None:
    runs = planned({"a": ["x", "y"]})
    scores = simulated(runs, 30)
    twice = pd.concat([scores, scores.assign(epoch=2)])
    pd.testing.assert_frame_equal(
        effects(twice, runs, Analysis({"a": ["x", "y"]}, "match")), effects(scores, runs, Analysis({"a": ["x", "y"]}, "match"))
    )


def numbers(table: Table) -> FloatArray:
    return table[["estimate", "se", "low", "high", "p", "p_holm"]].to_numpy(dtype=float)


def test_order_of_rows_and_names_of_runs_and_levels_change_no_number() -> None:
    runs = planned(TWO, 2)
    scores = simulated(runs, 50, cluster_size=5)
    table = effects(scores, runs, Analysis(TWO, "match"))
    shuffled = effects(scores.sample(frac=1, random_state=1), runs, Analysis(TWO, "match"))
    np.testing.assert_allclose(numbers(shuffled), numbers(table))
    assert list(shuffled["level"]) == list(table["level"])
    renamed = {"a": ["left", "right"], "b": [1, 2]}
    other = runs.assign(run="r-" + runs["run"], control="r-" + runs["control"].where(runs["control"] != "", ""))
    other = other.assign(a=runs["a"].replace({"x": "left", "y": "right"}), control=other["control"].replace({"r-": ""}))
    again = effects(scores.assign(run="r-" + scores["run"], item="z" + scores["item"]), other, Analysis(renamed, "match"))
    np.testing.assert_allclose(numbers(again), numbers(table))


def test_adding_a_level_leaves_the_other_contrasts_estimates() -> None:
    three = {"a": ["x", "y", "z"], "b": [1, 2]}
    runs = planned(three, 2)
    scores = simulated(runs, 50)
    is_old = runs["a"] != "z"
    before = effects(scores[scores["run"].isin(runs["run"][is_old])], runs[is_old], Analysis(TWO, "match"))
    after = effects(scores, runs, Analysis(three, "match"))
    keys = ["kind", "scope", "factor", "level"]
    is_about_a = before["factor"].isin(["a", "a x b"])
    both = before[is_about_a].merge(after, on=keys)
    assert len(both) == is_about_a.sum() > 0
    np.testing.assert_allclose(both["estimate_x"], both["estimate_y"])


def test_the_primary_metric_comes_first_and_is_the_confirmatory_one() -> None:
    runs = planned({"a": ["x", "y"]})
    scores = simulated(runs, 30)
    table = effects(pd.concat([scores.assign(metric="also"), scores]), runs, Analysis({"a": ["x", "y"]}, "match"))
    assert list(table["metric"].unique()) == ["match", "also"]
    is_primary = table["metric"] == "match"
    assert table.loc[is_primary, "family"].str.startswith("confirmatory: words, match, ").all()
    assert table.loc[~is_primary, "family"].str.startswith("exploratory: ").all()


def test_a_metric_that_is_no_mean_is_bootstrapped_over_clusters_with_v_seed() -> None:
    runs = planned({"a": ["x", "y"]}, 2)
    scores = simulated(runs, 120, cluster_size=4)
    linear = effects(scores, runs, Analysis({"a": ["x", "y"]}, "match", ranges=UNBOUNDED))
    boot = scores.assign(metric="agree", target=1.0, prediction=scores["score"], score=np.nan)
    analysis = Analysis(
        {"a": ["x", "y"]}, "agree", ranges={"agree": None}, resamples=400,
        custom={"agree": lambda target, prediction: float((target == prediction).mean())},
    )
    table = effects(boot, runs, analysis)
    np.testing.assert_allclose(table["estimate"], linear["estimate"], atol=1e-12)
    np.testing.assert_allclose(table["se_seeds"], linear["se_seeds"], atol=1e-12)
    np.testing.assert_allclose(table["se_items"], linear["se_items"], rtol=0.15)
    np.testing.assert_allclose(table["se"], linear["se"], rtol=0.15)
    assert table["method"].str.contains("bootstrap of clusters").all()
    pd.testing.assert_frame_equal(effects(boot, runs, analysis), table)


def test_resamples_in_which_a_metric_is_not_defined_are_left_out_and_counted() -> None:
    runs = planned({"a": ["x", "y"]})
    target = [0, 0, 0, 0, 1, 1] * 2
    scores = simulated(runs, 12).assign(metric="recall")
    scores = scores.assign(target=target * 3, prediction=scores["score"])
    recall = {"recall": lambda t, p: float(p[t == 1].mean()) if (t == 1).any() else float("nan")}
    table = effects(scores, runs, Analysis({"a": ["x", "y"]}, "recall", custom=recall, resamples=300))
    assert table["reason"].str.contains(r"\d of 300 resamples left out").all()
    with pytest.raises(UnusableTable, match="prediction: missing column"):
        effects(scores.drop(columns="prediction"), runs, Analysis({"a": ["x", "y"]}, "recall", custom=recall))


def test_power_is_alpha_without_a_difference_and_80_percent_at_the_detectable_one() -> None:
    spread = spread_from_means((0.5, 0.6), 0.02, n_strata=2, correlation=0.5)
    table = power(spread, 0.0, n_items=[300], n_seeds=[1, 3])
    assert table["power"].dropna().to_numpy() == pytest.approx(0.05, abs=1e-6)
    assert table.loc[(table["scope"] == "recipe") & (table["n_seeds"] == 1), ["se", "power", "detectable"]].isna().all(axis=None)
    for _, row in table.dropna().iterrows():
        again = power(spread, float(row["detectable"]), n_items=[300], n_seeds=[int(row["n_seeds"])])
        assert again.loc[again["scope"] == row["scope"], "power"].iloc[0] == pytest.approx(0.8, abs=1e-4)


def test_the_smallest_detectable_difference_is_given_per_factor_and_from_a_finished_experiment() -> None:
    runs = planned(TWO, 3)
    table = effects(simulated(runs, 300), runs, Analysis(TWO, "match"))
    smallest = detectable(table)
    assert list(smallest["factor"]) == ["a", "a", "b", "b"] and set(smallest["kind"]) == {"main"}
    models = smallest[(smallest["factor"] == "a") & (smallest["scope"] == "models")].iloc[0]
    assert models["detectable"] == pytest.approx(2.81 * models["se"], rel=0.01)  # t.975 + t.80 at 299 degrees of freedom
    spread = spread_from_effects(pick(table, "main", "recipe", factor="a"), n_cells=4)
    assert isinstance(spread, Spread)
    assert power(spread, 0.1, n_items=[300], n_seeds=[3])["se"].iloc[0] == pytest.approx(models["se"])


def test_the_table_has_the_issues_columns_and_loads_from_csv_unchanged(tmp_path: Any) -> None:
    runs = planned(TWO, 2)
    table = effects(simulated(runs, 30), runs, Analysis(TWO, "match"))
    assert list(table.columns) == list(COLUMNS)
    table.to_csv(tmp_path / "effects.csv", index=False)
    np.testing.assert_allclose(numbers(pd.read_csv(tmp_path / "effects.csv")), numbers(table))
    control_only = planned({}, 1).iloc[:1]
    assert list(effects(scored({"base": [0, 1]}), control_only, Analysis({}, "match")).columns) == list(COLUMNS)


def test_a_design_of_three_factors_with_everything_in_it_has_every_kind_of_row() -> None:
    levels = {"rank": [2, 4, 8, 32], "lr": ["1e-4", "1e-3"], "data": ["web", "books"]}
    runs = planned(levels, 3)
    lost = runs["run"].str.startswith("32_1e-3_books")
    runs = runs.assign(eval_status=np.where(lost, "failed", "done"), reason=np.where(lost, "job was cancelled", ""))
    scores = simulated(runs, 60, cluster_size=3)
    scores["group:language"] = scores["item"].str[-1].map(lambda digit: "de" if int(digit) % 2 else "en")
    table = effects(scores, runs, Analysis(levels, "match", groups=["language"]))
    kinds = ("level", "main", "interaction", "trend", "control", "average")
    assert set(table["kind"]) == {*kinds, *(f"{kind} within language" for kind in kinds)}
    assert set(table["factor"]) == {"rank", "lr", "data", "rank x lr", "rank x data", "lr x data", ""}
    empty = table[table["estimate"].isna()]
    assert set(empty["kind"]) == {"control", "control within language"}
    assert empty["reason"].str.contains("job was cancelled").all()
    assert pick(table, "main", "recipe", factor="rank", level="32")["n_strata"] == 3
    assert (table["n_clusters"].dropna() <= table["n_items"].dropna()).all()


def test_the_simulations_fast_path_gives_the_numbers_of_effects() -> None:
    sys.path.insert(0, str(REPOSITORY / "benchmarks"))
    import simulate_effects as simulation

    row = simulation.Row(items=60, seeds=2)
    found = simulation.simulate(row, experiments=1, sizes=simulation.EFFECTS, seed=5)
    setting = simulation.setting_of(row, simulation.EFFECTS)
    values, _ = simulation.experiment(setting, np.random.default_rng(5))
    runs = simulation.table_of_runs(row)
    table = effects(scored(dict(zip(runs["run"], values, strict=True))), runs, Analysis({"a": [0, 1], "b": [0, 1]}, "match"))
    for scope in ("models", "recipe"):
        np.testing.assert_allclose(table.loc[table["scope"] == scope, "p"], found[f"{scope} p"][0])


@pytest.mark.slow
def test_intervals_of_both_scopes_cover_the_truth() -> None:
    sys.path.insert(0, str(REPOSITORY / "benchmarks"))
    import simulate_effects as simulation

    for index, row in enumerate([simulation.Row(), simulation.Row(seeds=2, mean=0.2), simulation.Row(seeds=5, mean=0.8)]):
        found = simulation.simulate(row, experiments=2000, sizes=simulation.EFFECTS, seed=index)
        for scope in ("models", "recipe"):
            assert 0.93 <= found[scope].mean() <= 0.97
        assert found["z"].mean() < 0.93
