"""The power to see a difference, and the smallest difference that would be seen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ftexp.effects import Analysis, Spread, detectable, effects, power, spread_from_means, spreads
from ftexp.effects.arrays import FloatArray
from ftexp.effects.estimates import estimates
from ftexp.effects.label_metrics import MacroF1
from ftexp.effects.variances import Measured, Replication
from helpers.effect_tables import TWO, pick, planned, simulated
from scipy import stats

ITEMS, BATCHES, BATCH = 50, 20, 50
SHARED, NOISE = 0.3, 0.3  # standard deviations over items: of what a cell's runs share, of what is each run's own
UNEQUAL = (0.005, 0.005, 0.005, 0.08)


def spread_of(seed_sds: tuple[float, ...], seeds: int) -> Spread:
    """Cells of one level, the first half, minus those of the other, averaged; as runs of so many seeds show it."""
    cells, strata = len(seed_sds), len(seed_sds) // 2
    return Spread(
        item_sd=float(np.sqrt(cells * (SHARED**2 + NOISE**2 / seeds))) / strata, seed_sds=tuple(sd / strata for sd in seed_sds),
        noise_sds=(NOISE / strata,) * cells, noise_sd=float(np.sqrt(cells * NOISE**2 / seeds)) / strata,
    )


def share_shown(difference: float, seed_sds: tuple[float, ...], seeds: int) -> float:
    """Share of simulated experiments with that true difference whose interval excludes 0."""
    rng, cells = np.random.default_rng(1), len(seed_sds)
    count = BATCH * cells * seeds
    weights = np.where(np.arange(cells) < cells // 2, 1, -1) / (cells // 2) / seeds
    all_weights = np.kron(np.eye(BATCH), np.repeat(weights, seeds))
    replication = Replication(np.repeat(np.arange(BATCH * cells), seeds), np.tile(np.arange(seeds), BATCH * cells))
    is_shown: list[FloatArray] = []
    for _ in range(BATCHES):
        scores = rng.normal(scale=SHARED, size=(BATCH, cells, 1, ITEMS)) + rng.normal(
            scale=NOISE, size=(BATCH, cells, seeds, ITEMS))
        scores += rng.normal(size=(BATCH, cells, seeds, 1)) * np.array(seed_sds)[:, None, None]
        scores = scores.reshape(count, ITEMS)
        means = scores.mean(axis=1)
        measured = Measured(
            means, (scores - means[:, None]) / ITEMS, np.zeros(count, dtype=np.int64), np.full((count, ITEMS), 1 / ITEMS),
            np.ones((1, ITEMS), dtype=bool), None, False, np.arange(count),
        )
        found = estimates(all_weights, np.zeros(BATCH, dtype=bool), measured=measured, replication=replication, alpha=0.05)
        is_shown.append(np.abs(found.estimate + difference) > found.recipe.half)
    return float(np.mean(is_shown))


def of_recipe(spread: Spread, difference: float, *, items: int, seeds: int) -> "pd.Series[float]":
    return power(spread, difference, n_items=[items], n_seeds=[seeds]).set_index("scope").loc["recipe"]


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_as_many_simulated_experiments_show_a_difference_as_power_says(seeds: int) -> None:
    for seed_sds in (UNEQUAL, (0.03, 0.03)):
        spread = spread_of(seed_sds, seeds)
        size = of_recipe(spread, 0.0, items=ITEMS, seeds=seeds)["detectable"]
        for difference in (size, 0.6 * size):
            said = of_recipe(spread, difference, items=ITEMS, seeds=seeds)["power"]
            assert share_shown(difference, seed_sds, seeds) == pytest.approx(said, abs=0.03), (seed_sds, difference)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_row_of_effects_has_about_the_power_that_its_detectable_difference_claims(seeds: int) -> None:
    for seed_sds, off in ((UNEQUAL, 0.08), ((0.03,) * 4, 0.01)):
        spread = spread_of(seed_sds, seeds)
        seen = of_recipe(spread, 0.0, items=ITEMS, seeds=seeds)
        of_seeds = float(np.sum(np.square(spread.seed_sds) / seeds + np.square(spread.noise_sds) / seeds / ITEMS))
        table = pd.DataFrame([{
            "task": "t", "metric": "m", "kind": "main", "factor": "a", "scope": "recipe", "level": "x", "se": seen["se"],
            "df": seen["df"], "se_items": spread.item_sd / np.sqrt(ITEMS), "se_seeds": np.sqrt(of_seeds), "n_seeds": seeds,
            "n_clusters": ITEMS, "n_strata": 2,
        }])
        claimed = float(detectable(table)["detectable"].iloc[0])
        assert of_recipe(spread, claimed, items=ITEMS, seeds=seeds)["power"] == pytest.approx(0.8, abs=off)


def test_power_over_items_alone_is_that_of_the_t_test() -> None:
    table = power(Spread(0.5, (np.nan, np.nan)), 0.15, n_items=[4, 30, 300], n_seeds=[2]).set_index(["scope", "n_items"])
    for items in (4, 30, 300):
        df, shift = items - 1, 0.15 * np.sqrt(items) / 0.5
        wanted = stats.nct.sf(stats.t.ppf(0.975, df), df, shift) + stats.nct.cdf(-stats.t.ppf(0.975, df), df, shift)
        assert table.loc[("models", items), "power"] == pytest.approx(wanted, abs=2e-4)
    assert table.loc["recipe", ["se", "power", "detectable"]].isna().all(axis=None)  # nothing is known of seeds


def test_power_is_alpha_at_most_without_a_difference_and_80_percent_at_the_detectable_one() -> None:
    spread = spread_from_means((0.5, 0.6), (0.02, 0.02), n_strata=2, correlation=0.5)
    table = power(spread, 0.0, n_items=[300], n_seeds=[1, 3])
    assert table.loc[table["scope"] == "models", "power"].to_numpy() == pytest.approx(0.05, abs=1e-4)
    assert table.loc[(table["scope"] == "recipe") & (table["n_seeds"] == 1), ["se", "power", "detectable"]].isna().all(axis=None)
    assert 0.01 < of_recipe(spread, 0.0, items=300, seeds=3)["power"] < 0.05
    for _, row in table.dropna().iterrows():
        again = power(spread, float(row["detectable"]), n_items=[300], n_seeds=[int(row["n_seeds"])])
        assert again.loc[again["scope"] == row["scope"], "power"].iloc[0] == pytest.approx(0.8, abs=1e-4)
    assert power(Spread(0.0, (0.0, 0.0)), 0.1, n_items=[300], n_seeds=[3])["power"].isna().all()  # nothing varies


def test_with_many_seeds_of_equal_spread_it_is_satterthwaites() -> None:
    row = of_recipe(spread_from_means((0.5, 0.6), (0.05, 0.05), n_strata=2), 0.1, items=300, seeds=20)
    of_items, of_seeds = (0.25 + 0.24) / 300, 0.05**2 * 2 / 2 / 20
    assert row["se"] == pytest.approx(np.sqrt(of_items + of_seeds))
    df = (of_items + of_seeds) ** 2 / (of_items**2 / 299 + of_seeds**2 / (4 * 19))
    wanted = stats.nct.sf(stats.t.ppf(0.975, df), df, 0.1 / row["se"])
    assert row["power"] == pytest.approx(wanted, abs=0.01)


def test_one_level_of_unstable_seeds_needs_a_larger_difference_than_two_of_the_same_sum() -> None:
    both, one = (0.05 / np.sqrt(2),) * 2, (0.05, 0.0)
    equal, unequal = (of_recipe(spread_from_means((0.5, 0.6), sds), 0.1, items=3000, seeds=3) for sds in (both, one))
    assert equal["se"] == pytest.approx(unequal["se"])
    assert unequal["detectable"] > 1.1 * equal["detectable"] and unequal["power"] < equal["power"]


@pytest.mark.parametrize("metric", ["match", "macro_f1"])
def test_a_finished_experiment_has_the_errors_of_its_effects_whatever_the_metric(metric: str) -> None:
    runs = planned(TWO, 3)
    scores = simulated(runs, 300).assign(metric=metric)
    right = scores["score"].to_numpy() == 1
    scores["target"] = pd.factorize(scores["item"])[0] % 3 // 2
    scores["prediction"] = np.where(right, scores["target"], 1 - scores["target"])
    gap = (scores["run"] == "y_2_s3") & (scores["item"] < "i0030")
    scores = scores.assign(score=scores["score"].where(~gap), target=scores["target"].where(~gap))
    analysis = Analysis(TWO, metric, metrics={"macro_f1": MacroF1()})
    table, seen = effects(scores, runs, analysis), spreads(scores, runs, analysis)
    assert list(seen) == ["a", "b"]
    for factor, of_factor in seen.items():
        row = pick(table, "main", "recipe", factor=factor)
        assert (of_factor.n_items, of_factor.n_clusters) == (270, 270) and of_factor.se == pytest.approx(row["se"], rel=1e-4)
        assert len(of_factor.spread.seed_sds) == 4 and len(set(of_factor.spread.seed_sds)) > 1
        again = power(of_factor.spread, 0.1, n_items=[270], n_seeds=[3]).set_index("scope")
        assert again.loc["models", "se"] == pytest.approx(row["se_items"], rel=1e-4)  # shares of runs, averaged
        assert again.loc["recipe", "se"] == pytest.approx(row["se"], rel=1e-4)
        more = power(of_factor.spread, 0.1, n_items=[270], n_seeds=[300]).set_index("scope")["se"]
        assert more["recipe"] < more["models"]  # more seeds average some of the items' noise out, too


def test_the_smallest_detectable_difference_is_given_per_factor() -> None:
    runs = planned(TWO, 3)
    smallest = detectable(effects(simulated(runs, 300), runs, Analysis(TWO, "match")))
    assert list(smallest["factor"]) == ["a", "a", "b", "b"] and set(smallest["kind"]) == {"main"}
    models = smallest[(smallest["factor"] == "a") & (smallest["scope"] == "models")].iloc[0]
    assert models["detectable"] == pytest.approx(2.81 * models["se"], rel=0.01)  # t.975 + t.80 at 299 degrees of freedom


def test_clusters_of_unequal_size_bring_their_fewer_degrees_of_freedom() -> None:
    runs = planned(TWO, 2)
    scores = simulated(runs, 300)
    number = scores["item"].str[1:].astype(int)
    uneven = scores.assign(cluster=np.where(number < 150, "c0", "d" + (number // 10).astype(str)))
    seen = spreads(uneven, runs, Analysis(TWO, "match"))["a"]
    assert seen.n_clusters == 16 and seen.spread.evenness < 0.5
    found = pick(effects(uneven, runs, Analysis(TWO, "match")), "main", "models", factor="a")
    table = power(seen.spread, 0.1, n_items=[16], n_seeds=[2]).set_index("scope")
    assert table.loc["models", "df"] == pytest.approx(found["df"]) and table.loc["models", "se"] == pytest.approx(found["se"])


def test_without_a_second_seed_nothing_is_said_of_seeds_and_of_a_chosen_level_nothing() -> None:
    runs = planned(TWO, 1)
    analysis = Analysis(TWO, "match")
    seen = spreads(simulated(runs, 300), runs, analysis)
    assert not seen["a"].is_over_seeds and np.isnan(seen["a"].spread.seed_sds).all()
    table = power(seen["a"].spread, 0.1, n_items=[300], n_seeds=[3]).set_index("scope")["power"]
    assert 0 < table["models"] < 1 and np.isnan(table["recipe"])
    assert list(spreads(simulated(runs, 300), runs, replace(analysis, chosen=["a"]))) == ["b"]
