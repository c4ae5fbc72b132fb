"""Metrics: the value of each run, and what each of its rows adds to the value's error, by the delta method.

A metric is a function g of sums over the rows of a run: each row has a short vector x, and the value is g(sum of x). Where row l
is given the weight w_l (1 in the run as it is), the derivative of g(sum of w_l x_l) with respect to w_l is the row's influence,
the product of g's gradient and x_l. The sum over a cluster of its rows' influences is to first order what the value would lose
without the cluster (the infinitesimal jackknife: Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, chapter 6),
so that a metric enters all variances as a mean does. Every g here depends on proportions of sums alone: the influences of a run
sum to 0 (Euler's theorem on homogeneous functions).

L rows, R runs, D sums, B resamples, U units (clusters).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeGuard

import numpy as np

from ftexp.effects.arrays import Anything, FloatArray, IntArray
from ftexp.effects.limits import Limits, known
from ftexp.effects.sums import Terms, dense, resampled_sums, summed

MOST_ROWS = 1 << 18  # at once
MOST_NUMBERS = 1 << 22  # at once, in the sums of resamples


@dataclass(frozen=True)
class Rows:
    """What was asked and answered: L rows (run x item x repetition) of R runs.

    Attributes:
        runs: (L,) index of the row's run, 0 to R - 1.
        n_runs: R.
        columns: Per name of a column of `scores` (L,) its values.
    """

    runs: IntArray
    n_runs: int
    columns: Mapping[str, Anything]

    def counts(self) -> FloatArray:
        """(R,) rows of each run."""
        return np.bincount(self.runs, minlength=self.n_runs).astype(np.float64)

    def parts(self, most_rows: int = MOST_ROWS, most_runs: int | None = None) -> Iterator[tuple[IntArray, int, "Rows"]]:
        """Runs that follow each other, with few enough rows (one run at least): their rows, the first run, and they alone."""
        order = np.argsort(self.runs, kind="stable")
        ends = np.cumsum(self.counts()).astype(np.int64)
        first, start = 0, 0
        while first < self.n_runs:
            last = max(int(np.searchsorted(ends, start + most_rows, side="right")), first + 1)
            last = min(last, first + most_runs) if most_runs else last
            end = int(ends[last - 1])
            index = order[start:end]
            columns = {name: values[index] for name, values in self.columns.items()}
            yield index, first, Rows(self.runs[index] - first, last - first, columns)
            first, start = last, end


@dataclass(frozen=True)
class Influences:
    """Values and influences of R runs with L rows.

    Attributes:
        values: (R,) the metric of each run; nan where it is not defined.
        influences: (L,) derivative of the run's value with respect to the row's weight; sums to 0 over a run.
        shares: (L,) the row's share in what the value is divided by, its leverage; sums to 1 over a run.
    """

    values: FloatArray
    influences: FloatArray
    shares: FloatArray


class Metric(Protocol):
    """What is measured. Columns that it reads beside run, item and epoch; its range, and which end of it is better.

    Attributes:
        columns: Names of columns of `scores`.
        bounds: Least and largest value; None without bounds.
        higher_is_better: Whether more of it is better.
        limits: Per column, where not every number will do, those that will.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """See the class."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """See the class."""

    @property
    def higher_is_better(self) -> bool:
        """See the class."""

    @property
    def limits(self) -> Mapping[str, Limits]:
        """See the class."""

    def influences(self, rows: Rows) -> Influences:
        """The value of each run and the influence of each row."""

    def resampled(self, rows: Rows, units: IntArray, counts: FloatArray) -> FloatArray:
        """(B, R) values where unit u of the (L,) rows' `units` is drawn counts[b, u] times (or weighs as much)."""


class SumMetric(ABC):
    """A metric that is a function of sums over rows: `terms` are what is summed, `value` the function, `gradient` its derivative.

    The one function serves runs (R, D) and resamples (B, R, D): sums stand along the last axis.
    """

    columns: tuple[str, ...]
    bounds: tuple[float, float] | None
    higher_is_better: bool
    limits: Mapping[str, Limits] = MappingProxyType({})

    @abstractmethod
    def terms(self, rows: Rows) -> Terms:
        """What each row adds to the sums."""

    @abstractmethod
    def value(self, sums: FloatArray) -> FloatArray:
        """(...,) the metric of sums (..., D); nan where it is not defined."""

    @abstractmethod
    def gradient(self, sums: FloatArray) -> FloatArray:
        """(..., D) derivative of the metric with respect to each sum."""

    def shares(self, rows: Rows) -> FloatArray:
        """(L,) share of each row in what its run's value is divided by: here all the same."""
        return np.asarray(1.0 / rows.counts()[rows.runs])

    def influences(self, rows: Rows) -> Influences:
        """The value of each run and the influence of each row."""
        values = np.full(rows.n_runs, np.nan)
        influences, shares = np.empty(len(rows.runs)), np.empty(len(rows.runs))
        for index, first, part in rows.parts():
            terms = self.terms(part)
            sums = summed(terms, part.runs, part.n_runs)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                values[first : first + part.n_runs] = np.where(part.counts() > 0, known(self.value(sums)), np.nan)
                slopes = self.gradient(sums).ravel()
                influences[index] = (slopes[terms.places + (part.runs * terms.size)[:, None]] * terms.amounts).sum(axis=1)
                shares[index] = self.shares(part)
        influences[np.isnan(values)[rows.runs]] = np.nan
        return Influences(values, influences, shares)

    def resampled(self, rows: Rows, units: IntArray, counts: FloatArray) -> FloatArray:
        """(B, R) values where unit u of the (L,) rows' `units` is drawn counts[b, u] times (or weighs as much)."""
        values = np.full((len(counts), rows.n_runs), np.nan)
        if not len(rows.runs):
            return values
        size = self.terms(rows).size
        most_runs = max(MOST_NUMBERS // (max(counts.shape) * size), 1)
        for index, first, part in rows.parts(most_runs=most_runs):
            sums = resampled_sums(self.terms(part), part.runs, part.n_runs, units[index], counts)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                values[:, first : first + part.n_runs] = np.where(part.counts() > 0, known(self.value(sums)), np.nan)
        return values


def slopes_of_ratio(sums: FloatArray) -> FloatArray:
    """(..., 2) derivative of the first of two sums / the second."""
    return np.asarray(np.stack([1 / sums[..., 1], -sums[..., 0] / sums[..., 1] ** 2], axis=-1))


class Mean(SumMetric):
    """The mean of a score. Without rows: nan.

    Args:
        bounds: Least and largest score; None without.
        higher_is_better: Whether more is better.
    """

    columns: tuple[str, ...] = ("score",)

    def __init__(self, bounds: tuple[float, float] | None = (0.0, 1.0), higher_is_better: bool = True) -> None:
        self.bounds, self.higher_is_better = bounds, higher_is_better

    def scores(self, rows: Rows) -> FloatArray:
        """(L,) of which the mean is taken."""
        return np.asarray(rows.columns["score"], dtype=np.float64)

    def terms(self, rows: Rows) -> Terms:
        """The score and 1."""
        return dense([self.scores(rows), np.ones(len(rows.runs))])

    def value(self, sums: FloatArray) -> FloatArray:
        """Sum of scores / rows."""
        return np.asarray(sums[..., 0] / sums[..., 1])

    def gradient(self, sums: FloatArray) -> FloatArray:
        """(1, -value) / rows."""
        return slopes_of_ratio(sums)

    def influences(self, rows: Rows) -> Influences:
        """(score - mean) / rows, at once."""
        scores, counts = self.scores(rows), rows.counts()
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.bincount(rows.runs, weights=scores, minlength=rows.n_runs) / counts
            shares = (1 / counts)[rows.runs]
        return Influences(values, (scores - values[rows.runs]) * shares, shares)


def is_mean_of_scores(metric: Metric) -> TypeGuard[Mean]:
    """Whether a metric is the mean of `score` itself, not of what it makes of other columns."""
    return isinstance(metric, Mean) and metric.columns == ("score",)


# Of a metric that an analysis does not name: a mean, from 0 to 1 as long as its scores are, else without bounds.
UNNAMED = Mean()
