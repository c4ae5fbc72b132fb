"""What effects cannot be computed from is refused in one sentence, or counts as not there; never a warning or a wrong number."""

import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ftexp.effects import Analysis, Difference, Measure, effects, means
from ftexp.effects.errors import UnusableTable
from ftexp.effects.label_metrics import BalancedAccuracy, MacroF1, Mcc
from ftexp.effects.metrics import Metric
from ftexp.effects.option_metrics import MacroAuc, OptionsBrier
from ftexp.effects.probability_metrics import Auc, Brier, CalibrationError
from ftexp.effects.ratio_metrics import BitsPerByte, Ratio, TokenPerplexity
from ftexp.effects.text_metrics import Chrf, CorpusBleu
from helpers.effect_tables import Table, is_empty, pick, planned, simulated

LEVELS = {"a": ["x", "y"]}
RUNS = planned(LEVELS, 2)
SCORES = simulated(RUNS, 30)
EMPTY = pytest.mark.parametrize("empty", [np.nan, None, "", pd.NA])


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def with_value(table: Table, name: str, value: Any, row: int = 3) -> Table:
    column = table[name].astype(object).copy()
    column.iloc[row] = value
    return table.assign(**{name: column})


def with_columns(**columns: Any) -> Table:
    return SCORES.assign(**{name: np.resize(values, len(SCORES)) for name, values in columns.items()})


@EMPTY
@pytest.mark.parametrize("name", ["run", "task", "metric", "item", "cluster", "epoch"])
def test_an_empty_key_is_refused_in_one_row_and_in_all(name: str, empty: Any) -> None:
    of_row = {"run": "base", "task": "words", "metric": "match", "item": "i0003"}
    where = ", ".join(f"{key} {value}" for key, value in of_row.items() if key != name)
    for table, count in ((with_value(SCORES, name, empty), 1), (SCORES.assign(**{name: empty}), 150)):
        with pytest.raises(UnusableTable, match=f"scores: {name}: .*is empty, as in {count} of 150 rows"):
            effects(table, RUNS, Analysis(LEVELS, "match"))
    with pytest.raises(UnusableTable, match=f"scores: {name}: {where}: is empty"):
        means(with_value(SCORES, name, empty), {})


def test_an_empty_cluster_is_told_from_the_item_that_stands_there_where_there_is_none() -> None:
    with pytest.raises(UnusableTable, match="Write the item there where it belongs to no cluster"):
        effects(SCORES.assign(cluster=""), RUNS, Analysis(LEVELS, "match"))
    own = effects(SCORES.assign(cluster=SCORES["item"]), RUNS, Analysis(LEVELS, "match"))
    assert pick(own, "level")["n_clusters"] == 30
    categories = SCORES.astype(dict.fromkeys(["run", "task", "metric", "item", "cluster"], "category"))
    found, expected = (effects(scores, RUNS, Analysis(LEVELS, "match")) for scores in (categories, SCORES))
    pd.testing.assert_frame_equal(found, expected)


SURE = {"probability": [0.2, 0.9, 0.6], "correct": [0, 1]}
CHOICES = {
    "probability_1": [0.2, 0.9, 0.6], "probability_2": [0.7, 0.1, 0.4], "probability_3": [0.1, 0, 0], "target": [0, 1, 1, 2],
}
LABELS = {"target": [0, 1, 2], "prediction": [0, 1, -1, 2]}
TEXT = {name: [5, 3, 4] for metric in (CorpusBleu(), Chrf()) for name in metric.columns}


@pytest.mark.parametrize(("metric", "columns", "name", "value", "needs"), [
    *((metric, SURE, "probability", value, "a number from 0 to 1") for metric in (Brier(), CalibrationError(), Auc())
      for value in (-0.1, 1.5, 90)),
    *((metric, SURE, "correct", value, "a whole number from 0 to 1") for metric in (Brier(), CalibrationError(), Auc())
      for value in (0.5, 2, -1)),
    *((metric, CHOICES, "probability_3", value, "a number from 0 to 1") for metric in (OptionsBrier(3), MacroAuc(3))
      for value in (-0.1, 1.5)),
    *((metric, CHOICES, "target", value, "a whole number from 0 to 2") for metric in (OptionsBrier(3), MacroAuc(3))
      for value in (-1, 0.5, 3)),
    (BitsPerByte(), {"nll": [9.0, 7.5], "bytes": [5, 4]}, "bytes", -4, "a number from 0 to"),
    *((metric, LABELS, "prediction", value, "a whole number from -1 to") for metric in (MacroF1(), BalancedAccuracy(), Mcc())
      for value in (-3, 0.5)),
    *((metric, LABELS, "target", value, "a whole number from 0 to") for metric in (MacroF1(), BalancedAccuracy(), Mcc())
      for value in (-1, 0.5, 1e30)),
    *((metric, {"nll": [9.0, 7.5], "tokens": [5, 4]}, "tokens", -4, "a number from 0 to")
      for metric in (TokenPerplexity(), Ratio("nll", "tokens"))),
    (CorpusBleu(), TEXT, "bleu_match_2", -1, "a number from 0 to"),
    (Chrf(), TEXT, "chrf_answer_1", -1, "a number from 0 to"),
    (TokenPerplexity(), {"nll": [9.0, 7.5], "tokens": [5, 4]}, "nll", 1e160, "a number up to"),
])
def test_a_number_that_a_metric_cannot_read_is_refused(
    metric: Metric, columns: dict[str, list[Any]], name: str, value: float, needs: str
) -> None:
    analysis = Analysis(LEVELS, "match", metrics={"match": metric})
    scores = with_columns(**columns)
    assert not is_empty(pick(effects(scores, RUNS, analysis), "level"))
    got = re.escape(f"got {value}")
    with pytest.raises(UnusableTable, match=f"scores: {name}: run base, item i0003: must be {needs}.* {got}"):
        effects(with_value(scores, name, value), RUNS, analysis)


def test_truth_values_and_whole_numbers_are_read_as_numbers() -> None:
    analysis = Analysis(LEVELS, "match", metrics={"match": Auc()})
    scores = with_columns(**SURE)
    pd.testing.assert_frame_equal(
        effects(scores.assign(correct=scores["correct"] == 1), RUNS, analysis), effects(scores, RUNS, analysis))


@pytest.mark.parametrize("metric", [MacroF1(), BalancedAccuracy(), Mcc()], ids=lambda metric: type(metric).__name__)
def test_labels_far_apart_have_the_numbers_of_labels_in_a_row(metric: Metric) -> None:
    rng = np.random.default_rng(0)
    scores = SCORES.assign(target=np.tile(rng.integers(0, 3, 30), 5), prediction=rng.integers(-1, 3, len(SCORES)))
    analysis = Analysis(LEVELS, "match", metrics={"match": metric})
    codes = {-1: -1, 0: 7, 1: 40_000, 2: 2_000_000_000}
    far = scores.assign(target=scores["target"].map(codes), prediction=scores["prediction"].map(codes))
    pd.testing.assert_frame_equal(effects(far, RUNS, analysis), effects(scores, RUNS, analysis))


@pytest.mark.parametrize(("changes", "message"), [
    ({"chosen": ["b"]}, "analysis: chosen: not a factor, got 'b'. Valid here: a"),
    ({"test_set_factors": ["b"]}, "analysis: test_set_factors: not a factor, got 'b'. Valid here: a"),
    ({"baseline": {"b": 1}}, "experiment.yaml: baseline.b: not a factor, got 'b'. Valid here: a"),
    ({"baseline": {"a": "z"}}, "experiment.yaml: baseline.a: not a level, got 'z'. Valid here: x, y"),
    ({"kinds": ["mian"]}, "analysis: kinds: not a kind of contrasts, got 'mian'. Valid here: level, main, "),
    ({"design": "factorail"}, "analysis: design: not a design, got 'factorail'. Valid here: factorial, one_at_a_time, list"),
])
def test_names_that_stand_for_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnusableTable, match=message):
        effects(SCORES, RUNS, Analysis(LEVELS, "match", **changes))


def test_a_difference_is_of_two_measures_and_there_once() -> None:
    one, other = Measure("words", "match"), Measure("words", "other")
    scores = pd.concat([SCORES, SCORES.assign(metric="other")])
    for differences, message in (
        ([Difference(one, one)], "words/match minus words/match: is of a measure with itself"),
        ([Difference(one, other), Difference(one, other)], "words/match minus words/other: is there twice"),
        ([Difference(one, Measure("words", "gone"))], "words/gone: has no scores. There are: words/match, words/other"),
    ):
        with pytest.raises(UnusableTable, match=f"differences: {message}"):
            effects(scores, RUNS, Analysis(LEVELS, "match", differences=differences))
    assert len(effects(scores, RUNS, Analysis(LEVELS, "match", differences=[Difference(one, other), Difference(other, one)])))


def test_columns_of_runs_that_are_empty_throughout_are_as_ones_of_empty_texts() -> None:
    names = ("control", "status", "reason")
    read, texts = (RUNS.assign(**dict.fromkeys(names, empty), eval_status="done") for empty in (np.nan, ""))
    analysis = Analysis(LEVELS, "match")
    pd.testing.assert_frame_equal(effects(SCORES, read, analysis), effects(SCORES, texts, analysis))
    for empty in (np.nan, None, "", pd.NA):
        assert effects(SCORES, RUNS.assign(eval_status=empty), analysis).empty
    lost = RUNS.assign(reason=np.nan, status="done").assign(eval_status=["done", "killed", *["done"] * 3])
    assert "(x_s1: done)" in pick(effects(SCORES, lost, analysis), "level")["reason"]
    told = lost.assign(reason=[np.nan, "no space", *[np.nan] * 3])
    assert "(x_s1: done, no space)" in pick(effects(SCORES, told, analysis), "level")["reason"]
    one = planned(LEVELS)
    seedless = (effects(SCORES.assign(run=SCORES["run"])[SCORES["run"].isin(one["run"])], one.assign(seed=empty), analysis)
                for empty in (np.nan, None, ""))
    assert all(pick(table, "level")["n_seeds"] == 1 for table in seedless)


def test_a_value_too_large_to_reckon_with_is_not_defined() -> None:
    scores = with_columns(nll=[9.0, 7.5, 11.0], tokens=[5, 4])
    scores["nll"] = scores["nll"].where(scores["run"] != "x_s1", 1e6)
    row = pick(effects(scores, RUNS, Analysis(LEVELS, "match", metrics={"match": TokenPerplexity()})), "level")
    assert row["n_seeds"] == 1 and "x_s1" in row["reason"] and np.isfinite(row["estimate"])
    with pytest.raises(UnusableTable, match=r"run base, item i0003: must be a number up to 1e\+50, .* got 1e\+160"):
        effects(with_value(SCORES, "score", 1e160), RUNS, Analysis(LEVELS, "match"))
    large = effects(SCORES.assign(score=SCORES["score"] * 1e49), RUNS, Analysis(LEVELS, "match"))
    small = effects(SCORES, RUNS, Analysis(LEVELS, "match", metrics={"match": Ratio("score", "epoch")}))
    assert pick(large, "level")["se"] == pytest.approx(pick(small, "level")["se"] * 1e49)


def test_runs_of_one_cell_with_two_controls_are_refused() -> None:
    other = pd.DataFrame([{"run": "other", "kind": "control", "control": ""}])
    runs = pd.concat([with_value(RUNS, "control", "other", 2), other], ignore_index=True)
    with pytest.raises(UnusableTable, match="x_s1 and x_s2 have the same levels and two controls, got base and other"):
        effects(SCORES, runs, Analysis(LEVELS, "match"))
