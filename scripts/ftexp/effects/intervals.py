"""Intervals and tests: t with given degrees of freedom, and Wilson's for a single proportion."""

import numpy as np
from scipy import special
from statsmodels.stats.proportion import proportion_confint

from ftexp.effects.arrays import FloatArray, IntArray


def t_interval(centre: FloatArray, se: FloatArray, df: FloatArray, alpha: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Low and high end of a two-sided interval and the p value of `centre` being 0, all (M,); nan where se is 0 or nan.

    p is below alpha exactly where the interval excludes 0.
    """
    known = np.where(se > 0, se, np.nan)
    half = special.stdtrit(df, 1 - alpha / 2) * known
    p = 2 * special.stdtr(df, -np.abs(centre / known))
    return centre - half, centre + half, p


def wilson_interval(successes: FloatArray, counts: IntArray, alpha: float = 0.05) -> tuple[FloatArray, FloatArray]:
    """Wilson's intervals of proportions (Wilson 1927), by statsmodels' `proportion_confint`; both ends (R,) in [0, 1]."""
    low, high = proportion_confint(successes, counts, alpha=alpha, method="wilson")
    return np.asarray(low), np.asarray(high)
