"""Metrics of probabilities: `probability`, what a run gave its answer, and `correct`, whether it was right (0 or 1).

Brier's score, the calibration error, and the area under the curve (ROC), by DeLong's method.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from ftexp.effects.arrays import BoolArray, FloatArray, IntArray
from ftexp.effects.limits import Limits
from ftexp.effects.metrics import Influences, Mean, Rows, SumMetric
from ftexp.effects.sums import Terms

COLUMNS = ("probability", "correct")
LIMITS: Mapping[str, Limits] = MappingProxyType({"probability": Limits(0, 1), "correct": Limits(0, 1, is_whole=True)})


def _columns(rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Probabilities and whether right (L,), as numbers."""
    first, second = (np.asarray(rows.columns[name], dtype=np.float64) for name in COLUMNS)
    return first, second


class Brier(Mean):
    """Mean of (probability - correct)^2 (Brier 1950), 0 to 1; less is better. Without rows: nan."""

    columns = COLUMNS
    limits = LIMITS

    def __init__(self) -> None:
        super().__init__((0.0, 1.0), higher_is_better=False)

    def scores(self, rows: Rows) -> FloatArray:
        """(L,) squared errors."""
        probability, correct = _columns(rows)
        return np.asarray((probability - correct) ** 2)


class CalibrationError(SumMetric):
    """Expected calibration error (Guo et al. 2017), 0 to 1: mean over rows of |mean probability - accuracy| of the row's bin.

    Less is better; without rows: nan. Bins are equally wide; each has its lower edge, the last both. It is biased upward where a
    run is calibrated, as chance alone makes the two means of a bin differ, the more the fewer rows a bin has; and there its slope
    is a matter of chance too. A difference from such a run is not to be trusted, one between runs that are off in every bin
    is: benchmarks/metric_coverage.md.

    Args:
        bins: Number of bins.
    """

    columns = COLUMNS
    bounds = (0.0, 1.0)
    higher_is_better = False
    limits = LIMITS

    def __init__(self, bins: int = 15) -> None:
        self.bins = bins

    def terms(self, rows: Rows) -> Terms:
        """Per bin: right - probability. The last sum: rows."""
        probability, correct = _columns(rows)
        of_bin = np.clip((probability * self.bins).astype(np.int64), 0, self.bins - 1)
        places = np.column_stack([of_bin, np.full(len(of_bin), self.bins)])
        return Terms(places, np.column_stack([correct - probability, np.ones(len(of_bin))]), self.bins + 1)

    def value(self, sums: FloatArray) -> FloatArray:
        """Sum of the bins' absolute sums / rows."""
        return np.asarray(np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1])

    def gradient(self, sums: FloatArray) -> FloatArray:
        """(Signs of the bins' sums, -value) / rows."""
        signs = np.sign(sums[..., :-1])
        return np.asarray(np.concatenate([signs, -self.value(sums)[..., None]], axis=-1) / sums[..., -1:])


class Auc:
    """Area under the ROC curve: how often a right answer has a higher probability than a wrong one, ties counting half.

    nan for a run whose answers are all right, or all wrong. DeLong, DeLong and Clarke-Pearson 1988: the influence of a right
    answer is (share of the wrong ones below it - AUC) / right answers, that of a wrong one (share of the right ones above it -
    AUC) / wrong ones; their squares sum to DeLong's variance, but for its n / (n - 1) within right and wrong.

    A row's share is 1 / (rows of its kind, right or wrong) times the kind's part of the summed squares, a half each where that
    is 0. The sum of squared shares is then the inverse of Welch's degrees of freedom of a two-sample mean, which AUC is: with
    10 right among 1,000 answers it is known as 10 are, not as 1,000.
    """

    columns: tuple[str, ...] = COLUMNS
    bounds: tuple[float, float] | None = (0.0, 1.0)
    higher_is_better = True
    limits = LIMITS

    def influences(self, rows: Rows) -> Influences:
        """The value of each run and the influence of each row."""
        probability, correct = _columns(rows)
        is_right = correct > 0.5
        kinds = 2 * rows.runs + is_right
        counts = np.bincount(kinds, minlength=2 * rows.n_runs).astype(np.float64)
        own, other = counts[kinds], counts[kinds ^ 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            placements = _wins(rows, probability, is_right) / other
            wins = np.bincount(rows.runs, weights=np.where(is_right, placements, 0.0), minlength=rows.n_runs)
            values = wins / np.where(counts[::2] > 0, counts[1::2], np.nan)
            influences = (placements - values[rows.runs]) / own
            squares = np.bincount(kinds, weights=influences**2, minlength=2 * rows.n_runs)
            both = squares[::2] + squares[1::2]
            parts = np.where(np.repeat(both > 0, 2), squares / np.repeat(both, 2), 0.5)
        return Influences(values, influences, parts[kinds] / own)

    def resampled(self, rows: Rows, units: IntArray, counts: FloatArray) -> FloatArray:
        """(B, R) values where unit u of the (L,) rows' `units` is drawn counts[b, u] times (or weighs as much)."""
        values = np.full((len(counts), rows.n_runs), np.nan)
        of_units = np.ascontiguousarray(counts.T)
        for index, run, part in rows.parts(most_runs=1):
            probability, correct = _columns(part)
            is_right, order = correct > 0.5, np.argsort(probability, kind="stable")
            right, wrong = order[is_right[order]], order[~is_right[order]]
            of_right, of_wrong = (of_units[units[index][kind]] for kind in (right, wrong))
            below = np.concatenate([np.zeros((1, len(counts))), np.cumsum(of_wrong, axis=0)])
            first, last = (np.searchsorted(probability[wrong], probability[right], side) for side in ("left", "right"))
            wins = np.einsum("rb,rb->b", of_right, below[first] + below[last]) / 2
            pairs = of_right.sum(axis=0) * below[-1]
            values[:, run] = np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
        return values


def _wins(rows: Rows, probability: FloatArray, is_right: BoolArray) -> FloatArray:
    """(L,) how many wrong answers of its run are below a right one, or right ones above a wrong one; ties half."""
    order = np.lexsort((probability, rows.runs))
    runs, right = rows.runs[order], is_right[order]
    is_first = np.diff(probability[order], prepend=np.nan) != 0
    is_first |= np.diff(runs, prepend=-1) != 0
    group = np.cumsum(is_first) - 1
    right_in, wrong_in = (np.bincount(group, weights=kind).astype(np.float64) for kind in (right, ~right))
    run_of_group = runs[is_first]
    wrong_below, right_below = (_before(kind, run_of_group, rows.n_runs) for kind in (wrong_in, right_in))
    right_of_run = np.bincount(runs, weights=right, minlength=rows.n_runs)[run_of_group]
    of_right = wrong_below + wrong_in / 2
    of_wrong = right_of_run - right_below - right_in / 2
    wins = np.empty(len(order))
    wins[order] = np.where(right, of_right[group], of_wrong[group])
    return wins


def _before(amounts: FloatArray, runs: IntArray, n_runs: int) -> FloatArray:
    """Sum of the amounts that stand before each, of the same run; `runs` ascend."""
    ends = np.cumsum(np.bincount(runs, weights=amounts, minlength=n_runs))
    starts = np.concatenate([[0.0], ends[:-1]])
    return np.asarray(np.cumsum(amounts) - amounts - starts[runs])
