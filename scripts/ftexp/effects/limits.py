"""Limits: which numbers a metric can read from a column; it lists those of each of its columns."""

from dataclasses import dataclass

import numpy as np

from ftexp.effects.arrays import BoolArray, FloatArray

# Beyond it a number's fourth power, which degrees of freedom are made from, is no number of 64 bits.
LARGEST = 1e50


@dataclass(frozen=True)
class Limits:
    """Numbers from `low` to `high`.

    Attributes:
        low: Least.
        high: Largest.
        is_whole: Whether they are whole.
    """

    low: float = -LARGEST
    high: float = LARGEST
    is_whole: bool = False

    def excludes(self, values: FloatArray) -> BoolArray:
        """(L,) which of the values are none of them; an empty one (nan) is not in question."""
        is_out = (values < self.low) | (values > self.high)
        return np.asarray(is_out | (np.isfinite(values) & (values != np.rint(values))) if self.is_whole else is_out)

    def __str__(self) -> str:
        """In words: `a whole number from 0 to 1`."""
        return f"{'a whole number' if self.is_whole else 'a number'} from {self.low:g} to {self.high:g}"


def known(values: FloatArray) -> FloatArray:
    """The values, nan where one is not finite or too large to reckon with: it counts as not defined."""
    return np.where(np.abs(values) <= LARGEST, values, np.nan)
