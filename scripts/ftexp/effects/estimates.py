"""Estimates of contrasts in both scopes: the one numerical path, used by `effects` and by the coverage simulation."""

from dataclasses import dataclass

import numpy as np

from ftexp.effects.arrays import BoolArray, FloatArray
from ftexp.effects.intervals import t_interval
from ftexp.effects.variances import ItemPart, Measured, Replication, SeedPart, combined, item_part, seed_part


@dataclass(frozen=True)
class Scope:
    """Standard error, degrees of freedom, interval and p value of each contrast (M,) in one scope."""

    se: FloatArray
    df: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray


@dataclass(frozen=True)
class Estimates:
    """What M contrasts come to: the weighted means (M,), their variances, and both scopes."""

    estimate: FloatArray
    items: ItemPart
    seeds: SeedPart
    models: Scope
    recipe: Scope


def estimates(
    weights: FloatArray, is_average: BoolArray, *, measured: Measured, replication: Replication, alpha: float
) -> Estimates:
    """Estimate contrasts of run means; the interval's centre is the estimate unless pseudo-items moved it.

    Args:
        weights: (M, R) weight of each run.
        is_average: (M,) contrasts that average cells against the control.
        measured: The scores of the R runs.
        replication: Their cells and seeds.
        alpha: Two-sided error.
    """
    items = item_part(weights, measured)
    seeds = seed_part(weights, measured, replication, is_average)
    variance, df = combined(items, seeds)
    return Estimates(
        estimate=weights @ measured.means, items=items, seeds=seeds,
        models=_scope(items.centre, items.variance, items.df, alpha), recipe=_scope(items.centre, variance, df, alpha),
    )


def _scope(centre: FloatArray, variance: FloatArray, df: FloatArray, alpha: float) -> Scope:
    se = np.sqrt(variance)
    low, high, p = t_interval(centre, se, df, alpha)
    return Scope(se, df, low, high, p)
