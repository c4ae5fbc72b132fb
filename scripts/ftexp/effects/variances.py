"""Variances of contrasts of run values: of items, of seeds, and both together with their degrees of freedom.

R runs, U units (clusters of items), K test sets, M contrasts, C cells. Every function is linear algebra on whole matrices: no
loop over items, runs or contrasts.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from ftexp.effects.arrays import BoolArray, FloatArray, IntArray

# Of a cell's seed variance at so low a quantile its upper limit decides how much the cell counts in the degrees of freedom, by
# shares to such a power: the least widening with which every design of benchmarks/effects.md covers .93 (Satterthwaite: 2, none).
LOW_QUANTILE, POWER_OF_SHARES = 0.2, 1.3


@dataclass(frozen=True)
class Measured:
    """What all runs scored, by one measure, on one group of items; of a difference both measures' runs, one after the other.

    Attributes:
        means: (R,) value of each run.
        deviations: (R, U) what each cluster adds to the error of the run's value: the sum of its items' influences; 0
            where the run was not asked them.
        test_sets: (R,) index of the run's test set.
        shares: (R, U) each cluster's share of what the run's value is divided by: of its test set, or of a denominator; sums
            to 1.
        asked: (K, N) which items a test set has.
        bounds: Least and largest possible value, or None.
        is_proportion: Whether every item is right or wrong, and the value the share of right ones.
        runs: (R,) positions in the table of runs.
        sides: (R,) 0; of a difference 1 where the run stands for what is subtracted.
    """

    means: FloatArray
    deviations: FloatArray
    test_sets: IntArray
    shares: FloatArray
    asked: BoolArray
    bounds: tuple[float, float] | None
    is_proportion: bool
    runs: IntArray
    sides: IntArray | None = None

    @property
    def sides_or_zeros(self) -> IntArray:
        """(R,) `sides`, 0 where there is no difference."""
        return np.zeros(len(self.runs), dtype=np.int64) if self.sides is None else self.sides

    @cached_property
    def n_items(self) -> IntArray:
        """(K,) items per test set."""
        return np.asarray(self.asked.sum(axis=1))

    @cached_property
    def n_clusters(self) -> IntArray:
        """(K,) clusters per test set."""
        return np.asarray(self.has_cluster.sum(axis=1))

    @cached_property
    def has_cluster(self) -> BoolArray:
        """(K, U) which clusters a test set has."""
        return np.asarray((self.test_sets == np.arange(len(self.asked))[:, None]) @ self.shares > 0)

    @cached_property
    def corrected(self) -> FloatArray:
        """(R, U) deviations of each run with CR2's factors, see `item_variance`; nan in a test set of one cluster."""
        return self.deviations * corrections(self.shares)


def corrections(shares: FloatArray) -> FloatArray:
    """(M, U) 1 / sqrt(1 - q) of clusters with shares q, of which rows sum to 1; nan where one cluster has all."""
    return np.asarray(1 / np.sqrt(np.where(shares < 1 - 1e-12, 1 - shares, np.nan)))


@dataclass(frozen=True)
class Replication:
    """Which runs repeat each other: `cells` (R,) the cell's index, -1 for a control; `seeds` (R,) the seed's index."""

    cells: IntArray
    seeds: IntArray


@dataclass(frozen=True)
class ItemPart:
    """Per contrast (M,): the interval's centre, V_item, its degrees of freedom, and whether pseudo-items were added."""

    centre: FloatArray
    variance: FloatArray
    df: FloatArray
    is_adjusted: BoolArray


@dataclass(frozen=True)
class SeedPart:
    """What seeds add to the variance of M contrasts, by cell.

    Attributes:
        by_cell: (M, C) each cell's part of V_seed; what a cell of one seed borrows is a part of those that lend.
        residuals: (M, C) of it item-by-seed noise, which V_item holds too.
        df: (C,) or (M, C) degrees of freedom of the cell's variance; nan where nothing is known of it.
        seeds: (C,) measured seeds of the cell.
    """

    by_cell: FloatArray
    residuals: FloatArray
    df: FloatArray
    seeds: IntArray

    @property
    def variance(self) -> FloatArray:
        """(M,) V_seed."""
        return np.asarray(self.by_cell.sum(axis=1))


def combined(items: ItemPart, seeds: SeedPart) -> tuple[FloatArray, FloatArray]:
    """V = max(V_item + V_seed - residual, V_item, V_seed) of each contrast (M,), and its degrees of freedom.

    The residual is subtracted because both V_item and V_seed hold it. Satterthwaite 1946 has V^2 / sum of (V_j^2 / df_j) over
    independent parts j. Where a part has one or two degrees of freedom, its estimate is often small by chance just where V is
    too small, and that rule then gives it no weight: intervals cover down to .84. So a cell counts with what its
    variance may be, s_c^2 * max(df_c / (chi-squared quantile of .2 with df_c), 1), less the residual; and with q_j each part's
    share of the sum of these, the degrees of freedom are 1 / sum of (q_j^1.3 / df_j): more than Satterthwaite's cautious, equal
    to it where one part has all (benchmarks/effects.md has both beside each other).
    """
    variance = np.maximum(
        items.variance + seeds.variance - seeds.residuals.sum(axis=1), np.maximum(items.variance, seeds.variance)
    )
    return variance, degrees_of_freedom(items, seeds)


def degrees_of_freedom(items: ItemPart, seeds: SeedPart) -> FloatArray:
    """(M,) degrees of freedom of V, see `combined`; nan where nothing varies, or nothing is known."""
    of_cells, of_items = reciprocals(items, seeds)
    return np.asarray(1 / (of_cells.sum(axis=1) + of_items))


def reciprocals(items: ItemPart, seeds: SeedPart) -> tuple[FloatArray, FloatArray]:
    """What each cell (M, C), and the items (M,), add to 1 / the degrees of freedom."""
    at_most = np.maximum(seeds.df / special.chdtri(seeds.df, 1 - LOW_QUANTILE), 1.0)
    is_part = seeds.by_cell != 0
    large = np.maximum(np.where(is_part, seeds.by_cell * at_most, 0.0) - seeds.residuals, 0.0)
    total = large.sum(axis=1) + items.variance
    known = np.where(total > 0, total, np.nan)
    of_cells = np.where(is_part, (large / known[:, None]) ** POWER_OF_SHARES / seeds.df, 0.0)
    return of_cells, (items.variance / known) ** POWER_OF_SHARES / items.df
