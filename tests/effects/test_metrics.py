"""Every metric against another library, its influences against derivatives, the jackknife and the bootstrap."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from ftexp.effects import sums
from ftexp.effects.label_metrics import BalancedAccuracy, MacroF1, Mcc
from ftexp.effects.metrics import Mean, Rows, SumMetric
from ftexp.effects.number_metrics import R2, MeanAbsoluteError, Rmse
from ftexp.effects.option_metrics import MacroAuc, OptionsBrier
from ftexp.effects.probability_metrics import Auc, Brier, CalibrationError
from ftexp.effects.ratio_metrics import BitsPerByte, Ratio
from ftexp.effects.sums import draws
from ftexp.effects.text_metrics import Chrf, CorpusBleu
from helpers.metric_rows import (
    CASES,
    Case,
    Made,
    bleu_oracle,
    chrf_oracle,
    clustered,
    columns,
    macro_auc_oracle,
    macro_f1_oracle,
    of_run,
    rows_of,
    with_counts,
)

each_metric = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
label_metric = pytest.mark.parametrize("metric", [MacroF1(), BalancedAccuracy(), Mcc()], ids=lambda metric: type(metric).__name__)


def made(case: Case, items: int, runs: int) -> Rows:
    return answered(case.made, items, runs)


@functools.cache
def answered(made: Made, items: int, runs: int) -> Rows:
    rng = np.random.default_rng(1)
    return rows_of(made, rng, rng.normal(size=items), runs)


@each_metric
def test_each_run_has_the_value_that_another_library_gives_it(case: Case) -> None:
    rows = made(case, 400, 3)
    expected = [case.oracle(of_run(rows, run).columns) for run in range(3)]
    np.testing.assert_allclose(case.metric.influences(rows).values, expected, rtol=1e-9)


@each_metric
def test_resamples_as_they_are_have_the_value_of_the_run_and_repeated_rows_that_of_the_longer_table(case: Case) -> None:
    rows = made(case, 150, 2)
    units = np.tile(np.arange(150), 2)
    twice = np.ones(150)
    twice[:40], twice[100:] = 2, 0
    found = case.metric.resampled(rows, units, np.stack([np.ones(150), twice]))
    np.testing.assert_allclose(found[0], case.metric.influences(rows).values, rtol=1e-9)
    repeated = np.repeat(np.arange(300), np.tile(twice, 2).astype(int))
    longer = Rows(rows.runs[repeated], 2, {name: values[repeated] for name, values in rows.columns.items()})
    np.testing.assert_allclose(found[1], [case.oracle(of_run(longer, run).columns) for run in range(2)], rtol=1e-9)


@each_metric
def test_influences_are_the_derivatives_by_the_rows_weights(case: Case) -> None:
    rows = made(case, 600, 1)
    chosen, step = np.arange(0, 600, 7), 0.003
    weights = np.ones((2, len(chosen), 600))
    weights[0, np.arange(len(chosen)), chosen] += step
    weights[1, np.arange(len(chosen)), chosen] -= step
    more, less = (case.metric.resampled(rows, np.arange(600), part)[:, 0] for part in weights)
    found = case.metric.influences(rows).influences
    np.testing.assert_allclose(found[chosen], (more - less) / (2 * step), rtol=0, atol=1e-6 * np.abs(found).max())


@each_metric
def test_influences_are_those_of_the_jackknife(case: Case) -> None:
    """To leave a row out differs from its influence by terms of 1 / N^2; the mean of that and of doubling it, of 1 / N^3."""
    rows = made(case, 3000, 1)
    chosen = np.arange(0, 3000, 31)
    weights = np.ones((2, len(chosen), 3000))
    weights[0, np.arange(len(chosen)), chosen] = 0
    weights[1, np.arange(len(chosen)), chosen] = 2
    found = case.metric.influences(rows)
    left_out, doubled = (case.metric.resampled(rows, np.arange(3000), part)[:, 0] for part in weights)
    np.testing.assert_allclose(found.influences[chosen], found.values[0] - left_out, rtol=0, atol=50 / 3000**2 * case.scale)
    np.testing.assert_allclose(found.influences[chosen], (doubled - left_out) / 2, rtol=0, atol=1e-7 * case.scale)


@each_metric
def test_influences_of_a_run_sum_to_0_its_shares_to_1_whatever_the_order_of_rows(case: Case) -> None:
    rows = made(case, 200, 4)
    found = case.metric.influences(rows)
    np.testing.assert_allclose(np.bincount(rows.runs, found.influences), 0, atol=1e-12 * case.scale)
    np.testing.assert_allclose(np.bincount(rows.runs, found.shares), 1)
    for run in range(4):
        alone = case.metric.influences(of_run(rows, run))
        np.testing.assert_allclose(alone.values[0], found.values[run])
        np.testing.assert_allclose(alone.influences, found.influences[rows.runs == run], atol=1e-12 * case.scale)
    order = np.random.default_rng(0).permutation(len(rows.runs))
    shuffled = case.metric.influences(Rows(rows.runs[order], 4, {name: v[order] for name, v in rows.columns.items()}))
    np.testing.assert_allclose(shuffled.influences, found.influences[order], atol=1e-12 * case.scale)
    np.testing.assert_allclose(shuffled.shares, found.shares[order])


@each_metric
def test_runs_are_measured_a_few_at_a_time_without_a_difference(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = made(case, 100, 5)
    whole, units, counts = case.metric.influences(rows), np.tile(np.arange(100) // 5, 5), draws(20, 30)
    drawn = case.metric.resampled(rows, units, counts)
    monkeypatch.setattr("ftexp.effects.metrics.MOST_ROWS", 230)
    monkeypatch.setattr("ftexp.effects.metrics.MOST_NUMBERS", 300)
    monkeypatch.setattr(sums, "MUCH_EMPTY", 0)
    np.testing.assert_allclose(case.metric.influences(rows).influences, whole.influences, atol=1e-12 * case.scale)
    np.testing.assert_allclose(case.metric.resampled(rows, units, counts), drawn, rtol=1e-9)


@each_metric
def test_the_bootstrap_over_clusters_has_the_standard_errors_of_the_influences(case: Case) -> None:
    rng = np.random.default_rng(3)
    difficulty, clusters = clustered(rng, 200, 4)
    rows, units = rows_of(case.made, rng, difficulty, 2), np.tile(clusters, 2)
    found = case.metric.influences(rows).influences
    of_clusters = np.bincount(rows.runs * 200 + units, found).reshape(2, 200)
    drawn = case.metric.resampled(rows, units, draws(200, 1500))
    linear = np.sqrt([(of_clusters[0] ** 2).sum(), (of_clusters[1] ** 2).sum(), ((of_clusters[1] - of_clusters[0]) ** 2).sum()])
    sampled = np.std(np.column_stack([drawn, drawn[:, 1] - drawn[:, 0]]), axis=0)
    np.testing.assert_allclose(sampled, linear, rtol=0.1)


def test_resamples_are_drawn_the_same_each_time() -> None:
    counts = draws(50, 20, seed=7)
    assert counts.shape == (20, 50) and (counts.sum(axis=1) == 50).all() and len(np.unique(counts, axis=0)) == 20
    np.testing.assert_array_equal(draws(50, 20, seed=7), counts)
    assert not np.array_equal(draws(50, 20, seed=8), counts)


def test_the_influences_of_auc_sum_to_the_variance_of_delong() -> None:
    rows = made(next(case for case in CASES if case.name == "AUC"), 300, 1)
    probability, is_right = rows.columns["probability"], rows.columns["correct"] == 1
    wins = np.sign(probability[is_right][:, None] - probability[~is_right]) / 2 + 0.5
    right, wrong = wins.shape
    found = Auc().influences(rows)
    squares = [(found.influences[kind] ** 2).sum() for kind in (is_right, ~is_right)]
    np.testing.assert_allclose(squares[0] * right / (right - 1), wins.mean(axis=1).var(ddof=1) / right)
    np.testing.assert_allclose(squares[1] * wrong / (wrong - 1), wins.mean(axis=0).var(ddof=1) / wrong)
    parts = np.array(squares) / sum(squares)
    np.testing.assert_allclose((found.shares**2).sum(), parts[0] ** 2 / right + parts[1] ** 2 / wrong)


def test_auc_is_not_defined_where_all_answers_are_right_and_certain_where_they_are_parted() -> None:
    rows = Rows(
        np.repeat([0, 1, 2], 4), 3,
        {"probability": np.tile([0.1, 0.2, 0.3, 0.4], 3), "correct": np.array([1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 0, 1])},
    )
    found = Auc().influences(rows)
    np.testing.assert_allclose(found.values, [np.nan, 1.0, 0.75])
    assert np.isnan(found.influences[:4]).all() and not found.influences[4:8].any() and found.influences[8:].any()
    np.testing.assert_allclose(found.shares[4:8], 0.25)
    tied = columns(probability=[0.5, 0.5, 0.5], correct=[1, 0, 0])
    assert Auc().influences(tied).values[0] == 0.5
    assert np.isnan(Auc().resampled(tied, np.arange(3), np.array([[0.0, 2, 1]]))).all()


def test_macro_auc_is_over_the_options_that_are_the_target_of_some_rows_and_not_of_all() -> None:
    first, second, third = [0.6, 0.2, 0.5, 0.1], [0.3] * 4, [0.1, 0.5, 0.2, 0.6]
    probabilities = {"probability_1": first, "probability_2": second, "probability_3": third}
    rows = columns(target=[0, 0, 2, 2], **probabilities)
    found = MacroAuc(3).influences(rows)
    assert found.values[0] == pytest.approx(macro_auc_oracle(rows.columns)) == pytest.approx((0.75 + 0.75) / 2)
    without_one = np.array([[1.0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])
    drawn = MacroAuc(3).resampled(rows, np.arange(4), without_one)[:, 0]
    np.testing.assert_allclose(drawn, [np.nan, 1.0, np.nan])
    one = MacroAuc(3).influences(columns(target=[1] * 4, **probabilities))
    assert np.isnan(one.values).all() and np.isnan(one.influences).all() and np.isfinite(one.shares).all()


def test_of_two_options_macro_auc_is_the_area_of_the_second_with_its_influences_and_shares() -> None:
    rows = made(next(case for case in CASES if case.name == "macro AUC of two options"), 200, 3)
    one = replace(rows, columns={"probability": rows.columns["probability_2"], "correct": rows.columns["target"]})
    found, expected = MacroAuc(2).influences(rows), Auc().influences(one)
    np.testing.assert_allclose(found.values, expected.values)
    np.testing.assert_allclose(found.influences, expected.influences, atol=1e-15)
    np.testing.assert_allclose(found.shares, expected.shares)


def test_a_label_that_is_no_target_counts_for_none_and_an_answer_that_is_none_is_a_miss() -> None:
    rows = columns(target=[0, 0, 1, 1, 3], prediction=[0, 2, 1, -1, -1])
    assert MacroF1().influences(rows).values[0] == pytest.approx(macro_f1_oracle(rows.columns)) == pytest.approx(4 / 9)
    assert BalancedAccuracy().influences(rows).values[0] == pytest.approx(1 / 3)
    np.testing.assert_allclose(BalancedAccuracy().influences(rows).shares, [1 / 4, 1 / 4, 1 / 4, 1 / 4, 0])
    drawn = MacroF1().resampled(rows, np.arange(5), np.array([[2.0, 1, 2, 0, 0]]))
    assert drawn[0, 0] == pytest.approx((4 / 5 + 1) / 2)


@label_metric
def test_a_thousand_labels_are_kept_without_their_empty_places(metric: SumMetric, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    target = rng.permutation(np.arange(2000) % 1000)
    rows = Rows(
        np.repeat([0, 1], 1000), 2, {"target": target, "prediction": np.where(rng.random(2000) < 0.6, target, target[::-1])}
    )
    units, counts = np.tile(np.arange(1000), 2), draws(1000, 10)
    found = metric.resampled(rows, units, counts)
    monkeypatch.setattr(sums, "MUCH_EMPTY", np.inf)
    np.testing.assert_allclose(found, metric.resampled(rows, units, counts), rtol=1e-12)
    assert found.std(axis=0).min() > 0


def test_matthews_correlation_is_not_defined_where_all_answers_are_one() -> None:
    found = Mcc().influences(columns(target=[0, 1, 1], prediction=[1, 1, 1]))
    assert np.isnan(found.values).all() and np.isnan(found.influences).all()
    assert np.isnan(Mcc().influences(columns(target=[1, 1], prediction=[0, 1])).values).all()
    right = Mcc().influences(columns(target=[0, 1, 1], prediction=[0, 1, 1]))
    assert right.values[0] == pytest.approx(1) and np.abs(right.influences).max() < 1e-12


@pytest.mark.parametrize("answers", [
    ["the cat sat on a mat", ""], ["", ""], ["mat", "dog"], ["a dog on the cat", "mat sat dog"], ["x y z", "u v w"],
    ["the cat sat on the mat and on all else", "a dog"],
])
def test_texts_without_matches_and_empty_ones_have_the_value_of_sacrebleu(answers: list[str]) -> None:
    given = with_counts(["the cat sat on the mat", "a dog ran"], answers)
    rows = Rows(np.zeros(2, np.int64), 1, given)
    for metric, oracle in ((CorpusBleu(), bleu_oracle), (Chrf(), chrf_oracle)):
        found = metric.influences(rows)
        assert found.values[0] == pytest.approx(oracle(given), rel=1e-9)
        assert np.isfinite(found.influences).all() and abs(found.influences.sum()) < 1e-9


def test_numbers_without_error_or_without_spread() -> None:
    exact = columns(target=[1.0, 2.0, 4.0], prediction=[1.0, 2.0, 4.0])
    assert Rmse().influences(exact).values[0] == 0 and not Rmse().influences(exact).influences.any()
    assert R2().influences(exact).values[0] == 1
    for constant in (0.1, 1e6 + 0.1):
        assert np.isnan(R2().influences(columns(target=[constant] * 3, prediction=[1.0, 2.0, 3.0])).values[0])


def test_a_run_without_rows_or_without_a_denominator_is_not_defined() -> None:
    for case in CASES:
        rows = made(case, 30, 1)
        rows = replace(rows, runs=rows.runs + 1, n_runs=3)
        found = case.metric.influences(rows)
        assert np.isnan(found.values[[0, 2]]).all() and np.isfinite(found.values[1]) and np.isfinite(found.influences).all()
        drawn = case.metric.resampled(rows, np.arange(30), draws(30, 5))
        assert np.isnan(drawn[:, [0, 2]]).all() and np.isfinite(drawn[:, 1]).all()
    nothing = Ratio("right", "asked").influences(columns(right=[0, 0], asked=[0, 0]))
    assert np.isnan(nothing.values).all() and np.isnan(nothing.influences).all()


def test_the_last_bin_has_both_its_edges_and_a_calibrated_bin_no_slope() -> None:
    rows = columns(probability=[1.0, 1.0, 0.5, 0.5], correct=[1, 0, 1, 0])
    found = CalibrationError(2).influences(rows)
    assert found.values[0] == pytest.approx(0.25) and CalibrationError(4).influences(rows).values[0] == pytest.approx(0.25)
    calibrated = CalibrationError().influences(columns(probability=[0.5, 0.5], correct=[1, 0]))
    assert calibrated.values[0] == 0 and not calibrated.influences.any()


def test_metrics_say_which_end_is_better() -> None:
    assert [Mean().higher_is_better, Auc().higher_is_better, CorpusBleu().higher_is_better] == [True] * 3
    lower = [
        Rmse(), MeanAbsoluteError(), Brier(), CalibrationError(), OptionsBrier(3), BitsPerByte(),
        Mean(None, higher_is_better=False),
    ]
    assert [metric.higher_is_better for metric in lower] == [False] * 7 and MacroAuc(3).higher_is_better
    assert next(case for case in CASES if case.name == "token perplexity").metric.higher_is_better is False
