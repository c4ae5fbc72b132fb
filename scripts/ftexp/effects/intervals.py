"""Intervals and tests: t with given degrees of freedom, and Wilson's for a single proportion."""

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from ftexp.effects.arrays import FloatArray, IntArray


def t_interval(centre: FloatArray, se: FloatArray, df: FloatArray, alpha: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Low and high end of a two-sided interval and the p value of `centre` being 0, all (M,); nan where se is 0 or nan.

    p is below alpha exactly where the interval excludes 0.
    """
    known = np.where(se > 0, se, np.nan)
    half = stats.t.ppf(1 - alpha / 2, df) * known
    p = 2 * stats.t.sf(np.abs(centre / known), df)
    return centre - half, centre + half, p


def wilson_interval(successes: float, count: int, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's interval of a proportion (Wilson 1927), by statsmodels' `proportion_confint`; both ends in [0, 1]."""
    low, high = proportion_confint(successes, count, alpha=alpha, method="wilson")
    return float(low), float(high)


def mean_interval(scores: FloatArray, clusters: IntArray, alpha: float = 0.05) -> tuple[float, float, str]:
    """Interval of one run's mean and its method.

    Wilson's where every score is 0 or 1 and every item its own cluster; otherwise t over clusters.

    Args:
        scores: (N,) score of each item.
        clusters: (N,) index of its cluster.
    """
    count = len(scores)
    groups = np.unique(clusters, return_inverse=True)[1]
    number = int(groups.max()) + 1
    if number == count and np.isin(scores, (0.0, 1.0)).all():
        return *wilson_interval(float(scores.sum()), count, alpha), "Wilson"
    if number < 2:
        return float("nan"), float("nan"), "none: one cluster"
    errors = np.bincount(groups, weights=scores - scores.mean())
    se = float(np.sqrt(number / (number - 1) * (errors**2).sum()) / count)
    half = float(stats.t.ppf(1 - alpha / 2, number - 1)) * se
    return float(scores.mean()) - half, float(scores.mean()) + half, "t over items" if number == count else "t over clusters"
