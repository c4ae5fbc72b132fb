"""The simulation of benchmarks/effects.md: its truth, its fast path, and, slowly, that intervals cover."""

import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
from conftest import REPOSITORY
from ftexp.effects import Analysis, effects
from helpers.effect_tables import scored

UNSTABLE = (0.05, 0.05, 0.05, 0.6)


@pytest.fixture
def simulation(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setattr(sys, "path", [str(REPOSITORY / "benchmarks"), *sys.path])
    import simulate_effects

    yield simulate_effects


@pytest.mark.parametrize("changes", [
    {"seeds": 2},
    {"cell_seeds": (2, 3, 1, 2), "cell_sds": UNSTABLE, "cluster_sd": 1.0, "n_clusters": 12, "size_sd": 1.0},
])
def test_the_simulations_fast_path_gives_the_numbers_of_effects(simulation: ModuleType, changes: dict[str, object]) -> None:
    row = simulation.Row(items=60, **changes)
    found = simulation.simulate(row, experiments=1, sizes=simulation.EFFECTS, seed=5)
    setting = simulation.setting_of(row, simulation.EFFECTS)
    drawn = simulation.experiment(setting, np.random.default_rng(5))
    runs = simulation.table_of_runs(row)
    scores = scored(dict(zip(runs["run"], drawn.values, strict=True)))
    scores["cluster"] = [f"c{cluster}" for _ in range(len(runs)) for cluster in drawn.clusters]
    table = effects(scores, runs, Analysis({"a": [0, 1], "b": [0, 1]}, "match"))
    for scope in ("models", "recipe"):
        np.testing.assert_allclose(table.loc[table["scope"] == scope, "p"], found[f"{scope} p"][0])


def test_the_simulations_truth_is_what_its_experiments_come_to(simulation: ModuleType) -> None:
    row = simulation.Row(
        items=200, seeds=2, mean=0.3, cell_means=(0.0, 0.74, 0.98, 0.5), cell_sds=UNSTABLE, cluster_sd=0.5, n_clusters=40,
        size_sd=0.5,
    )
    setting = simulation.setting_of(row, simulation.EFFECTS)
    rng = np.random.default_rng(1)
    scores = np.mean([simulation.experiment(setting, rng).values.mean(axis=1) for _ in range(300)], axis=0)
    np.testing.assert_allclose(scores, [0.3, 0, 0, 0.74, 0.74, 0.98, 0.98, 0.5, 0.5], atol=0.015)
    wanted = {"level": [0.98, 0.74], "main": [0.37, 0.13], "interaction": [-1.22], "control": [-0.3, 0.44, 0.68, 0.2]}
    for kind, values in wanted.items():
        np.testing.assert_allclose(simulation.recipe_truth(setting)[setting.kinds == kind], values, atol=1e-9)


def test_where_nothing_does_anything_every_contrast_is_exactly_0_whatever_the_spreads(simulation: ModuleType) -> None:
    row = simulation.Row(mean=0.9, cell_sds=UNSTABLE)
    assert np.abs(simulation.recipe_truth(simulation.setting_of(row, simulation.NOTHING))).max() < 1e-9
    assert np.abs(simulation.recipe_truth(simulation.setting_of(row, simulation.EFFECTS))).min() > 0.001


def test_unequal_clusters_hold_all_items_and_one_at_least(simulation: ModuleType) -> None:
    row = simulation.Row(items=100, n_clusters=25, size_sd=1.5, cluster_sd=1.0)
    setting = simulation.setting_of(row, simulation.EFFECTS)
    sizes = np.bincount(simulation.experiment(setting, np.random.default_rng(0)).clusters)
    assert len(sizes) == 25 and sizes.sum() == 100 and sizes.min() >= 1 and sizes.max() > 10


@pytest.mark.slow
def test_intervals_of_both_scopes_cover_the_truth(simulation: ModuleType) -> None:
    for index, row in enumerate([simulation.Row(), simulation.Row(seeds=2, mean=0.2), simulation.Row(seeds=5, mean=0.8)]):
        found = simulation.simulate(row, experiments=2000, sizes=simulation.EFFECTS, seed=index)
        assert 0.93 <= found["models"].mean() <= 0.97
        assert found["recipe"].mean(axis=0).min() >= 0.93
        assert found["z"].mean() < 0.93


@pytest.mark.slow
def test_intervals_cover_where_seeds_or_clusters_are_unequal(simulation: ModuleType) -> None:
    for index, row in enumerate([
        simulation.Row(items=500, seeds=3, cell_sds=UNSTABLE[::-1], item_spread=0.0),
        simulation.Row(items=500, cell_seeds=(5, 5, 5, 2), cell_sds=UNSTABLE),
        simulation.Row(items=500, seeds=3, cluster_sd=1.0, n_clusters=15, size_sd=1.0),
    ]):
        found = simulation.simulate(row, experiments=600, sizes=simulation.EFFECTS, seed=index)
        assert found["recipe"].mean(axis=0).min() >= 0.9 and found["models"].mean() >= 0.92
        assert found["pooled"].mean(axis=0).min() < 0.9
        null = simulation.simulate(row, experiments=600, sizes=simulation.NOTHING, seed=10 + index)
        assert (null["recipe p"] < 0.05).mean(axis=0).max() <= 0.09 < null["pooled error"].mean(axis=0).max()
