"""Effects of public data: equal to what R says of them (public_data/README.md has how and why), and to statsmodels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from ftexp.effects import Analysis, effects
from ftexp.effects.metrics import Mean
from ftexp.effects.ratio_metrics import Ratio
from helpers.effect_tables import TWO, Table, pick, planned, scored

FOLDER = Path(__file__).parent / "public_data"
FIGURES = json.loads((FOLDER / "figures.json").read_text())["figures"]
ONE = {"a": ["x", "y"]}
MEAN = {"match": Mean(bounds=None)}
ALL = ("estimate", "se", "df", "p", "low", "high")
ROWS: dict[str, tuple[str, dict[str, str]]] = {
    "level": ("level", {"factor": "a"}), "a": ("main", {"factor": "a"}), "b": ("main", {"factor": "b"}),
    "interaction": ("interaction", {}),
}
DATA = pd.read_csv(FOLDER / "anes96.csv")
SCORES = {"x_1_s1": DATA["selfLR"], "y_1_s1": DATA["PID"], "x_2_s1": 8 - DATA["ClinLR"], "y_2_s1": DATA["DoleLR"]}


def respondents(scores: dict[str, Any], *, is_used: Any = None, is_clustered: bool = False) -> Table:
    """Scores of the runs on the respondents that are used; their places as clusters or each his own."""
    used = DATA[is_used] if is_used is not None else DATA
    table = scored({run: np.asarray(values)[used.index] for run, values in scores.items()})
    items, clusters = used["respondent"].to_numpy(), used["popul" if is_clustered else "respondent"].to_numpy()
    return table.assign(item=np.tile(items, len(scores)), cluster=np.tile(clusters, len(scores)))


def factorial(scores: Table, name: str, scope: str = "models") -> "pd.Series[Any]":
    """The row of one of `ROWS` in the 2 x 2 design of one run a cell."""
    kind, columns = ROWS[name]
    return pick(effects(scores, planned(TWO, has_control=False), Analysis(TWO, "match", metrics=MEAN)), kind, scope, **columns)


def check(row: "pd.Series[Any]", figures: dict[str, float], rel: float = 1e-9) -> None:
    """A row of effects has these figures of R."""
    assert set(figures) == set(ALL) or set(figures) == {"estimate", "se"}
    for name, figure in figures.items():
        assert row[name] == pytest.approx(figure, rel=100 * rel if name == "p" else rel), name


def nine_of_nine_places() -> Any:
    """(N,) the first nine respondents of the places that have as many."""
    of_place = DATA.groupby("popul")["respondent"]
    return (of_place.cumcount() < 9) & (of_place.transform("size") >= 9)


def test_the_data_are_the_public_ones_unchanged() -> None:
    public = sm.datasets.anes96.load_pandas().data
    public = public[public["popul"] >= 200]
    assert list(public.index) == list(DATA["respondent"])
    np.testing.assert_array_equal(DATA.iloc[:, 1:], public[DATA.columns[1:]])


@pytest.mark.parametrize("name", ROWS)
def test_contrasts_of_items_are_rs(name: str) -> None:
    row = factorial(respondents(SCORES), name)
    check(row, FIGURES["items"][name])
    check(row, FIGURES["multivariate"][name])
    if name != "interaction":
        check(row, FIGURES["mixed"][name], rel=1e-6)
    differences = {
        "level": (1, -1, 0, 0), "a": (0.5, -0.5, 0.5, -0.5), "b": (-0.5, -0.5, 0.5, 0.5), "interaction": (-1, 1, 1, -1),
    }
    y = np.column_stack([SCORES[run] for run in ("y_1_s1", "x_1_s1", "y_2_s1", "x_2_s1")]) @ differences[name]
    found = sm.stats.DescrStatsW(y)
    assert (row["p"], row["df"]) == pytest.approx(found.ttest_mean(0)[1:], rel=1e-9)
    assert (row["low"], row["high"]) == pytest.approx(found.tconfint_mean())


@pytest.mark.parametrize("name", ROWS)
def test_contrasts_of_unequal_clusters_are_clubsandwichs(name: str) -> None:
    row = factorial(respondents(SCORES, is_clustered=True), name)
    check(row, FIGURES["clusters"][name])
    assert row["df"] < 14 and row["n_clusters"] == 27


@pytest.mark.parametrize("name", ROWS)
def test_contrasts_of_equal_clusters_are_clubsandwichs_with_g_minus_1_degrees_of_freedom(name: str) -> None:
    row = factorial(respondents(SCORES, is_used=nine_of_nine_places(), is_clustered=True), name)
    check(row, FIGURES["equal_clusters"][name])
    assert row["df"] == pytest.approx(8)


def test_contrasts_of_equal_clusters_are_statsmodels() -> None:
    used = nine_of_nine_places()
    y = (SCORES["y_1_s1"] - SCORES["x_1_s1"])[used].to_numpy(dtype=float)
    groups = {"groups": DATA["popul"][used].to_numpy()}
    fit = sm.OLS(y, np.ones(len(y))).fit(cov_type="cluster", cov_kwds=groups, use_t=True)
    row = factorial(respondents(SCORES, is_used=used, is_clustered=True), "level")
    assert (row["estimate"], row["se"], row["p"]) == pytest.approx((fit.params[0], fit.bse[0], fit.pvalues[0]), rel=1e-9)


@pytest.mark.parametrize("units", ["items", "clusters"])
def test_test_sets_apart_have_the_errors_of_both(units: str) -> None:
    is_large, is_clustered = DATA["popul"] >= 500, units == "clusters"
    scores = pd.concat([
        respondents({"x_s1": DATA["PID"]}, is_used=~is_large, is_clustered=is_clustered),
        respondents({"y_s1": DATA["PID"]}, is_used=is_large, is_clustered=is_clustered),
    ])
    analysis = Analysis(ONE, "match", metrics=MEAN, test_set_factors=["a"])
    check(pick(effects(scores, planned(ONE, has_control=False), analysis), "level"), FIGURES["unpaired"][units])


@pytest.mark.parametrize("units", ["items", "clusters"])
def test_a_ratio_is_a_mean_weighted_by_its_denominators(units: str) -> None:
    age = DATA["age"]
    scores = respondents({"x_s1": DATA["selfLR"] * age, "y_s1": DATA["PID"] * age}, is_clustered=units == "clusters")
    scores = scores.assign(weighted=scores["score"], age=np.tile(age, 2))
    analysis = Analysis(ONE, "match", metrics={"match": Ratio("weighted", "age", bounds=None)})
    check(pick(effects(scores, planned(ONE, has_control=False), analysis), "level"), FIGURES["weighted"][units])


@pytest.mark.parametrize("first", [3, 4])
def test_the_seeds_variance_is_each_cells_own(first: int) -> None:
    """Items differ, but each run adds its own number to all of them: there is no noise but the seeds'."""
    places = [7300, 900, 640, 1600, 350, 290]
    ids = [f"x_s{seed}" for seed in range(1, first + 1)] + [f"y_s{seed}" for seed in range(1, 7 - first)]
    added = DATA.groupby("popul")["PID"].mean()[places]
    scores = respondents({run: DATA["selfLR"] + value for run, value in zip(ids, added, strict=True)})
    runs = planned(ONE, 4, has_control=False)
    row = pick(effects(scores, runs[runs["run"].isin(ids)], Analysis(ONE, "match", metrics=MEAN)), "level", "recipe")
    check(row, FIGURES["seeds"][f"{first} and {6 - first}"])


def test_items_and_seeds_together_are_a_mixed_models() -> None:
    cells = {"b": [1, 2]}
    names = {"x_1_s1": "1_s1", "y_1_s1": "1_s2", "x_2_s1": "2_s1", "y_2_s1": "2_s2"}
    scores = respondents({names[run]: values for run, values in SCORES.items()})
    table = effects(scores, planned(cells, 2, has_control=False), Analysis(cells, "match", metrics=MEAN))
    check(pick(table, "level", "recipe"), FIGURES["recipe"], rel=1e-6)
