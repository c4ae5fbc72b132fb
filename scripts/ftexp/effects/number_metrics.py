"""Metrics of numbers, `target` and `prediction`: mean absolute error, and from moments root mean squared error and R2."""

import numpy as np

from ftexp.effects.arrays import FloatArray
from ftexp.effects.metrics import Mean, Rows, SumMetric
from ftexp.effects.sums import Terms, dense

COLUMNS = ("target", "prediction")


def _numbers(rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Targets and errors (L,)."""
    target = np.asarray(rows.columns["target"], dtype=np.float64)
    return target, np.asarray(rows.columns["prediction"], dtype=np.float64) - target


class MeanAbsoluteError(Mean):
    """Mean of |prediction - target|, in the unit of the target; less is better. Without rows: nan."""

    columns = COLUMNS

    def __init__(self) -> None:
        super().__init__(None, higher_is_better=False)

    def scores(self, rows: Rows) -> FloatArray:
        """(L,) absolute errors."""
        return np.abs(_numbers(rows)[1])


class Rmse(SumMetric):
    """Root of the mean squared error, in the unit of the target; less is better. Where it is 0 the influences are 0."""

    columns = COLUMNS
    bounds = None
    higher_is_better = False

    def terms(self, rows: Rows) -> Terms:
        """Squared error and 1."""
        return dense([_numbers(rows)[1] ** 2, np.ones(len(rows.runs))])

    def value(self, sums: FloatArray) -> FloatArray:
        """Root of sum / rows."""
        return np.asarray(np.sqrt(sums[..., 0] / sums[..., 1]))

    def gradient(self, sums: FloatArray) -> FloatArray:
        """(1 / value, -value) / (2 rows)."""
        value = self.value(sums)
        by_square = np.where(value > 0, 1 / np.where(value > 0, value, 1.0), 0.0)
        return np.asarray(np.stack([by_square, -value], axis=-1) / (2 * sums[..., 1:]))


class R2(SumMetric):
    """1 - sum of squared errors / sum of squared distances of the targets from their mean; nan where targets do not vary.

    It is at most 1 and has no least value: less than 0 is worse than to answer the mean.
    """

    columns = COLUMNS
    bounds = None
    higher_is_better = True

    def terms(self, rows: Rows) -> Terms:
        """Squared error; target and its square, from the mean of all rows for the sake of rounding; 1."""
        target, error = _numbers(rows)
        target = target - target.mean() if len(target) else target
        return dense([error**2, target, target**2, np.ones(len(target))])

    def value(self, sums: FloatArray) -> FloatArray:
        """1 - errors / spread."""
        return np.asarray(1 - sums[..., 0] / _spread(sums))

    def gradient(self, sums: FloatArray) -> FloatArray:
        """By each sum, in their order."""
        spread, mean = _spread(sums), sums[..., 1] / sums[..., 3]
        scale = sums[..., 0] / spread**2
        return np.stack([-1 / spread, -2 * mean * scale, scale, mean**2 * scale], axis=-1)


def _spread(sums: FloatArray) -> FloatArray:
    """(...,) sum of squared distances of the targets from their mean; nan where it is rounding alone."""
    spread = sums[..., 2] - sums[..., 1] ** 2 / sums[..., 3]
    return np.where(spread > 1e-12 * sums[..., 2], spread, np.nan)
