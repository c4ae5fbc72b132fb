"""Which effects a table has and their estimates: against sums done by hand, and against what must not change them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ftexp.effects import COLUMNS, Analysis, effects
from ftexp.effects.errors import UnusableTable
from ftexp.effects.metrics import Mean
from helpers.effect_tables import TWO, UNBOUNDED, Table, is_empty, numbers, pick, planned, scored, simulated

# Two items a run; the means are 0.1, 0.2, 0.4, 0.9 and the control's 0.05.
BY_HAND = {"base": [0.0, 0.1], "x_1_s1": [0.0, 0.2], "x_2_s1": [0.1, 0.3], "y_1_s1": [0.4, 0.4], "y_2_s1": [1.0, 0.8]}


@pytest.fixture(scope="module")
def by_hand() -> Table:
    return effects(scored(BY_HAND), planned(TWO), Analysis(TWO, "match", metrics=UNBOUNDED))


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
    row = pick(effects(scored(values), planned(levels), Analysis(levels, "match", metrics=UNBOUNDED)), "trend")
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


def test_means_near_the_ends_of_the_range_are_flagged_and_their_interaction_is_scale_dependent() -> None:
    runs = planned(TWO)
    high = {"base": [1, 0] * 20, "x_1_s1": [1, 0] * 20, "x_2_s1": [1, 0] * 20, "y_1_s1": [0, 1] * 20, "y_2_s1": [1] * 40}
    table = effects(scored(high), runs, Analysis(TWO, "match"))
    assert pick(table, "interaction")["flags"] == "ceiling; scale-dependent"
    assert pick(table, "main", factor="a")["flags"] == "ceiling"
    assert pick(table, "level", factor="a")["flags"] == ""
    wide = effects(scored(high), runs, Analysis(TWO, "match", metrics={"match": Mean((-10, 10))}))
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
    table = effects(scored(values), runs, Analysis({"a": ["x", "y"]}, "match", metrics=UNBOUNDED))
    assert pick(table, "control", reference="base_y")["estimate"] == pytest.approx(0.2)
    assert pick(table, "average")["estimate"] == pytest.approx((0.15 + 0.2) / 2)


def test_repetitions_of_an_item_are_averaged_first() -> None:
    runs = planned({"a": ["x", "y"]})
    scores = simulated(runs, 30)
    twice = pd.concat([scores, scores.assign(epoch=2)])
    pd.testing.assert_frame_equal(
        effects(twice, runs, Analysis({"a": ["x", "y"]}, "match")), effects(scores, runs, Analysis({"a": ["x", "y"]}, "match"))
    )


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
