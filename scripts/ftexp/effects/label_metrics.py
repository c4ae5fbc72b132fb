"""Metrics of labels: macro F1, balanced accuracy, Matthews' correlation, from sums per label, so that 1,000 labels are no burden.

Columns `target` and `prediction` hold labels as whole numbers from 0 up; a prediction of -1 is an answer that is no label. K
labels take 3 K sums at most: how often each was the target, was claimed, and was both.
"""

from types import MappingProxyType

import numpy as np

from ftexp.effects.arrays import FloatArray, IntArray
from ftexp.effects.limits import Limits
from ftexp.effects.metrics import Influences, Rows, SumMetric
from ftexp.effects.sums import Terms, summed


class _LabelMetric(SumMetric):
    columns = ("target", "prediction")
    bounds: tuple[float, float] | None = (0.0, 1.0)
    higher_is_better = True
    limits = MappingProxyType({"target": Limits(0, 1e15, is_whole=True), "prediction": Limits(-1, 1e15, is_whole=True)})


def _labels(rows: Rows) -> tuple[IntArray, IntArray, int]:
    """Targets and predictions (L,), and K; numbered anew where codes are so far apart that most would be of no label."""
    target = np.asarray(rows.columns["target"], dtype=np.int64)
    prediction = np.asarray(rows.columns["prediction"], dtype=np.int64)
    size = int(max(target.max(initial=-1), prediction.max(initial=-1))) + 1
    if size > 2 * len(target):
        labels, codes = np.unique(np.concatenate([[-1], target, prediction]), return_inverse=True)
        target, prediction = np.split(codes.reshape(-1)[1:] - 1, 2)
        size = len(labels) - 1
    return target, prediction, size


class MacroF1(_LabelMetric):
    """Mean over the labels that are a target of F1 = 2 TP / (2 TP + FP + FN).

    An answer that is no label is a miss of its item's label, and a false alarm of none. F1 of a label that is never answered
    right is 0; without rows the metric is nan. A row's share is its share of 2 TP + FP + FN (targets + claims) of a label,
    averaged over the labels.
    """

    def terms(self, rows: Rows) -> Terms:
        """Per label: targets, claims, hits."""
        target, prediction, size = _labels(rows)
        places = np.column_stack([target, size + np.maximum(prediction, 0), 2 * size + target])
        amounts = np.column_stack([np.ones(len(target)), prediction >= 0, target == prediction])
        return Terms(places, amounts, 3 * size)

    def value(self, sums: FloatArray) -> FloatArray:
        """Mean F1."""
        given, claimed, hits = np.split(sums, 3, axis=-1)
        is_there = given > 0
        f1 = np.where(is_there, 2 * hits / np.where(is_there, given + claimed, 1.0), 0.0)
        return np.asarray(f1.sum(axis=-1) / is_there.sum(axis=-1))

    def gradient(self, sums: FloatArray) -> FloatArray:
        """2 / (targets + claims) by hits, -2 hits / (targets + claims)^2 by targets and by claims, over the labels' number."""
        given, claimed, hits = np.split(sums, 3, axis=-1)
        is_there = given > 0
        both = np.where(is_there, given + claimed, np.inf)
        number = is_there.sum(axis=-1, keepdims=True)
        by_both = -2 * hits / both**2 / number
        return np.concatenate([by_both, by_both, 2 / both / number], axis=-1)

    def shares(self, rows: Rows) -> FloatArray:
        """(L,) share in targets + claims, averaged over the labels that are a target."""
        terms = self.terms(rows)
        given, claimed, _ = np.split(summed(terms, rows.runs, rows.n_runs), 3, axis=-1)
        is_there = given > 0
        part = np.where(is_there, 1 / np.maximum(given + claimed, 1.0), 0.0) / is_there.sum(axis=-1, keepdims=True)
        target, prediction, _ = _labels(rows)
        of_claim = np.where(prediction >= 0, part[rows.runs, np.maximum(prediction, 0)], 0.0)
        return np.asarray(part[rows.runs, target] + of_claim)


class BalancedAccuracy(_LabelMetric):
    """Mean over the labels that are a target of their recall. Without rows: nan.

    It is a mean of independent means, so a row's share is 1 / items of its label times the label's part of the summed squares: as
    in Welch's degrees of freedom, a label of few items that makes most of the error is known as these few are. A label with one
    item adds nothing to the error, as one item says nothing about others of its label.
    """

    def terms(self, rows: Rows) -> Terms:
        """Per label: targets, hits."""
        target, prediction, size = _labels(rows)
        amounts = np.column_stack([np.ones(len(target)), target == prediction])
        return Terms(np.column_stack([target, size + target]), amounts, 2 * size)

    def value(self, sums: FloatArray) -> FloatArray:
        """Mean recall."""
        given, hits = np.split(sums, 2, axis=-1)
        is_there = given > 0
        return np.asarray((hits / np.where(is_there, given, 1.0)).sum(axis=-1) / is_there.sum(axis=-1))

    def gradient(self, sums: FloatArray) -> FloatArray:
        """(-hits / targets^2, 1 / targets) / labels."""
        given, hits = np.split(sums, 2, axis=-1)
        is_there = given > 0
        each = np.where(is_there, given, np.inf)
        number = is_there.sum(axis=-1, keepdims=True)
        return np.concatenate([-hits / each**2 / number, 1 / each / number], axis=-1)

    def influences(self, rows: Rows) -> Influences:
        """As of any sum, with the shares that the class explains."""
        found = super().influences(rows)
        target, _, size = _labels(rows)
        places = rows.runs * size + target
        squares, items = (
            np.bincount(places, weights=each, minlength=rows.n_runs * size).reshape(rows.n_runs, size)
            for each in (found.influences**2, np.ones(len(places)))
        )
        total = squares.sum(axis=1, keepdims=True)
        is_there = items > 0
        equal = is_there / np.maximum(is_there.sum(axis=1, keepdims=True), 1)
        of_label = np.where(total > 0, squares / np.where(total > 0, total, 1.0), equal)
        shares = (of_label / np.maximum(items, 1.0))[rows.runs, target]
        return Influences(found.values, found.influences, shares)


class Mcc(_LabelMetric):
    """Matthews' correlation of any number of labels, R_K of Gorodkin 2004 (Computational Biology and Chemistry 28).

    With c hits among s rows, label k being p_k times the prediction and t_k times the target, (c s - sum p_k t_k) / sqrt((s^2 -
    sum p_k^2) (s^2 - sum t_k^2)). An answer that is no label counts as a label of its own that is never a target. Where all
    predictions, or all targets, are one label it is nan (scikit-learn says 0).
    """

    bounds = (-1.0, 1.0)

    def terms(self, rows: Rows) -> Terms:
        """Hits, rows; per label and for none of them: predictions; per label: targets."""
        target, prediction, size = _labels(rows)
        of_prediction = 2 + np.where(prediction >= 0, prediction, size)
        zero = np.zeros_like(target)
        places = np.column_stack([zero, zero + 1, of_prediction, 3 + size + target])
        ones = np.ones(len(target))
        return Terms(places, np.column_stack([target == prediction, ones, ones, ones]), 3 + 2 * size)

    def value(self, sums: FloatArray) -> FloatArray:
        """The correlation."""
        hits, rows, claimed, given = _parts(sums)
        spread = _spread(rows, claimed) * _spread(rows, given)
        return np.asarray((hits * rows - (claimed * given).sum(axis=-1)) / np.sqrt(np.where(spread > 0, spread, np.nan)))

    def gradient(self, sums: FloatArray) -> FloatArray:
        """By each sum; -value (d log of each variance) / 2 is that of the denominator."""
        hits, rows, claimed, given = (part[..., None] if part.ndim < sums.ndim else part for part in _parts(sums))
        of_claims, of_targets = (_spread(rows[..., 0], part)[..., None] for part in (claimed, given))
        root, value = np.sqrt(of_claims * of_targets), self.value(sums)[..., None]
        by_claims = value * claimed / of_claims - given / root
        by_targets = value * given / of_targets - claimed / root
        by_rows = hits / root - value * rows * (1 / of_claims + 1 / of_targets)
        return np.concatenate([rows / root, by_rows, by_claims, by_targets[..., :-1]], axis=-1)


def _parts(sums: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Hits (...), rows (...), predictions and targets (..., K + 1): the last of them is no label, which is never a target."""
    size = (sums.shape[-1] - 3) // 2
    given = np.concatenate([sums[..., 3 + size :], np.zeros_like(sums[..., :1])], axis=-1)
    return sums[..., 0], sums[..., 1], sums[..., 2 : 3 + size], given


def _spread(rows: FloatArray, counts: FloatArray) -> FloatArray:
    """s^2 - sum of squared counts; 0 where all rows are of one label, but for rounding."""
    spread = rows**2 - (counts**2).sum(axis=-1)
    return np.where(spread > 1e-12 * rows**2, spread, 0.0)
