"""Estimates of contrasts in both scopes: the one numerical path, used by `effects` and by the coverage simulation."""

from dataclasses import dataclass

import numpy as np

from ftexp.effects.arrays import BoolArray, FloatArray, IntArray
from ftexp.effects.intervals import t_interval
from ftexp.effects.item_variance import item_part
from ftexp.effects.seed_variance import per_seed_part, seed_part, with_one_more_seed
from ftexp.effects.variances import ItemPart, Measured, Replication, SeedPart, combined, reciprocals


@dataclass(frozen=True)
class Scope:
    """Standard error, degrees of freedom, interval and p value of each contrast (M,) in one scope."""

    se: FloatArray
    df: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray

    @property
    def half(self) -> FloatArray:
        """(M,) half the interval's width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class MoreSeeds:
    """What one more seed would bring to M contrasts.

    Attributes:
        cell: (M,) index, among the measured cells, of the cell whose seeds widen the interval most.
        half_of_cell: (M,) half the interval's width with one more seed of that cell.
        half_of_all: (M,) with one more seed of every cell.
    """

    cell: IntArray
    half_of_cell: FloatArray
    half_of_all: FloatArray


@dataclass(frozen=True)
class Estimates:
    """What M contrasts come to: the weighted values (M,), their variances, and both scopes."""

    estimate: FloatArray
    items: ItemPart
    seeds: SeedPart
    models: Scope
    recipe: Scope
    se_seeds: FloatArray
    is_per_seed: BoolArray


def estimates(
    weights: FloatArray, is_average: BoolArray, *, measured: Measured, replication: Replication, alpha: float
) -> Estimates:
    """Estimate contrasts of run values; the interval's centre is the estimate unless pseudo-items moved it.

    An average over cells, against the control or of a difference between measures, has the wider of two intervals: with each
    cell's own seed variance, and with per-seed means, which hold what a seed does to all cells alike.

    Args:
        weights: (M, R) weight of each run.
        is_average: (M,) averages over cells, which seeds may move together: not differences between cells.
        measured: The values of the R runs.
        replication: Their cells and seeds.
        alpha: Two-sided error.
    """
    items = item_part(weights, measured)
    seeds = seed_part(weights, measured, replication)
    recipe = _recipe(items, seeds, alpha)
    se_seeds = np.sqrt(seeds.variance)
    is_per_seed = np.zeros(len(weights), dtype=bool)
    if is_average.any():
        by_seed = per_seed_part(weights[is_average], measured, replication)
        other = _recipe(_some(items, is_average), by_seed, alpha)
        is_per_seed[is_average] = other.half > recipe.half[is_average]
        chosen = is_per_seed[is_average]
        for mine, theirs in zip((recipe.se, recipe.df, recipe.low, recipe.high, recipe.p, se_seeds), (
            other.se, other.df, other.low, other.high, other.p, np.sqrt(by_seed.variance)), strict=True):
            mine[is_per_seed] = theirs[chosen]
    return Estimates(
        estimate=weights @ measured.means, items=items, seeds=seeds, models=_scope(items.centre, items.variance, items.df, alpha),
        recipe=recipe, se_seeds=se_seeds, is_per_seed=is_per_seed,
    )


def more_seeds(found: Estimates, alpha: float) -> MoreSeeds:
    """What one more seed would bring, were the variances as they are seen."""
    part = found.seeds
    if not part.by_cell.shape[1]:
        nothing = np.full(len(part.by_cell), np.nan)
        return MoreSeeds(np.zeros(len(part.by_cell), dtype=np.int64), nothing, nothing)
    is_in = part.by_cell > 0
    widest = np.where(is_in, reciprocals(found.items, part)[0], -1.0).argmax(axis=1)
    is_widest = is_in & (np.arange(part.by_cell.shape[1]) == widest[:, None])
    of_cell, of_all = (_recipe(found.items, with_one_more_seed(part, which), alpha).half for which in (is_widest, is_in))
    return MoreSeeds(widest, of_cell, of_all)


def _some(items: ItemPart, is_wanted: BoolArray) -> ItemPart:
    return ItemPart(items.centre[is_wanted], items.variance[is_wanted], items.df[is_wanted], items.is_adjusted[is_wanted])


def _recipe(items: ItemPart, seeds: SeedPart, alpha: float) -> Scope:
    variance, df = combined(items, seeds)
    return _scope(items.centre, variance, df, alpha)


def _scope(centre: FloatArray, variance: FloatArray, df: FloatArray, alpha: float) -> Scope:
    se = np.sqrt(variance)
    low, high, p = t_interval(centre, se, df, alpha)
    return Scope(se, df, low, high, p)
