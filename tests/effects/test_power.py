"""The power to see a difference, and the smallest difference that would be seen."""

import pytest
from ftexp.effects import Analysis, Spread, detectable, effects, power, spread_from_effects, spread_from_means
from helpers.effect_tables import TWO, pick, planned, simulated


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
