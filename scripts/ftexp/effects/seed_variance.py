"""The variance that seeds give to contrasts: of each cell its own, or by per-seed means.

R runs, U units (clusters of items), M contrasts, C cells. Of a difference between measures a run has two values, one per side.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ftexp.effects.arrays import BoolArray, FloatArray, IntArray
from ftexp.effects.variances import Measured, Replication, SeedPart


@dataclass(frozen=True)
class _Products:
    """Of two sides (or one with itself) per cell (C,) covariance over seeds, that of item noise and df; weights (M, C)."""

    seeds: FloatArray
    noise: FloatArray
    df: FloatArray
    weights: FloatArray


def seed_part(weights: FloatArray, measured: Measured, replication: Replication, *, lends: bool = True) -> SeedPart:
    """V_seed of each contrast, for new seeds, cell by cell.

    s_c^2 is the variance of the values of cell c's runs, with S_c - 1 degrees of freedom; the cell's part of V_seed is s_c^2
    times the sum of its runs' squared weights. A control has no seed variance. As run values carry item-by-seed noise, which
    V_item holds too, the same sums over the clusters' deviations give the residual part. Nothing is pooled over cells: near a
    floor or ceiling seeds move little, elsewhere much (benchmarks/effects.md). Only a cell of one seed, which says nothing
    itself, borrows the pooled variance of the others.

    Of a difference, s_c^2 is that of the runs' differences: variances of both sides, less twice their covariance.

    Args:
        weights: (M, R).
        measured: The values.
        replication: Cells and seeds of the runs.
        lends: Whether what a cell borrows counts as a part of those that lend, as it is no independent one, or of its own.
    """
    cells = np.unique(replication.cells[replication.cells >= 0])
    sides = measured.sides_or_zeros
    rows = [np.flatnonzero((sides == side) & (replication.cells >= 0)) for side in range(1 + int(sides.max(initial=0)))]
    products = [_products(pair, weights, measured, (replication.cells, cells)) for pair in itertools.product(rows, rows)]
    seeds = np.rint(products[0].df + 1).astype(np.int64)
    df = np.minimum.reduce([product.df for product in products])
    give = _lent if lends else _borrowed
    by_cell = np.add.reduce([give(product.weights, product.seeds, df) for product in products])
    noise = np.add.reduce([give(product.weights, product.noise, df) for product in products])
    known = np.where(df > 0, df, df.sum() or np.nan)
    return SeedPart(np.maximum(by_cell, 0.0), np.maximum(noise, 0.0), known, seeds)


def _lent(weights: FloatArray, variances: FloatArray, df: FloatArray) -> FloatArray:
    """(M, C) parts of the variance where the weights of cells without degrees of freedom go to the others, by theirs."""
    alone, total = df == 0, df.sum()
    if not total:
        return np.full(weights.shape, np.nan)
    return np.asarray(np.where(alone, 0.0, weights + weights[:, alone].sum(axis=1, keepdims=True) * df / total) * variances)


def _borrowed(weights: FloatArray, variances: FloatArray, df: FloatArray) -> FloatArray:
    """(M, C) the same sum, where such cells have the pooled variance of the others."""
    total = df.sum()
    pooled = float((variances * df).sum() / total) if total else np.nan
    return np.asarray(weights * np.where(df > 0, variances, pooled))


def _products(
    pair: tuple[IntArray, IntArray], weights: FloatArray, measured: Measured, of_cells: tuple[IntArray, IntArray]
) -> _Products:
    """Products of two sides within cells, over the runs that both have."""
    run_cells, cells = of_cells
    one, other = pair
    if one is not other:
        _, at, of = np.intersect1d(measured.runs[one], measured.runs[other], return_indices=True)
        one, other = one[at], other[of]
    is_of = np.asarray(run_cells[one] == cells[:, None], dtype=np.float64)
    count = is_of.sum(axis=1)
    df = np.maximum(count - 1, 0.0)
    scale = np.divide(1.0, df, out=np.zeros(len(df)), where=df > 0)
    mean_products = _within(measured.means[one, None], is_of, count) * _within(measured.means[other, None], is_of, count)
    first = _within(_corrected(measured, one), is_of, count)
    second = first if other is one else _within(_corrected(measured, other), is_of, count)
    return _Products(
        scale * (is_of @ mean_products[:, 0]), scale * (is_of @ (first * second).sum(axis=1)), df,
        (weights[:, one] * weights[:, other]) @ is_of.T,
    )


def _corrected(measured: Measured, rows: IntArray | BoolArray) -> FloatArray:
    """(R, U) deviations of some runs with CR2's factors; 0 in a test set of one cluster, of which no noise is known."""
    return np.nan_to_num(measured.corrected)[rows]


def _within(values: FloatArray, is_of: FloatArray, count: FloatArray) -> FloatArray:
    """(R, U) values less their cell's mean."""
    return np.asarray(values - is_of.T @ ((is_of @ values) / np.maximum(count, 1)[:, None]))


def per_seed_part(weights: FloatArray, measured: Measured, replication: Replication) -> SeedPart:
    """V_seed of each contrast by per-seed means, because a seed that all cells share moves them together.

    V_seed is S / (S - 1) * sum_s (sum over runs of seed s of w_r (m_r - cell mean))^2, which is the variance of the S per-seed
    means / S where every cell has every seed; S - 1 degrees of freedom.

    Returns:
        One column in the place of the cells, nan of contrasts of fewer than two seeds.
    """
    is_tuned = replication.cells >= 0
    is_of = _indicator(2 * replication.cells[is_tuned] + measured.sides_or_zeros[is_tuned])
    seeds = _indicator(replication.seeds[is_tuned])
    means = _within(measured.means[is_tuned, None], is_of, is_of.sum(axis=1))
    noise = _within(_corrected(measured, is_tuned), is_of, is_of.sum(axis=1))
    found = np.full((len(weights), 3), np.nan)
    for row, of_runs in enumerate(weights[:, is_tuned]):
        by_seed = (seeds * of_runs)[(seeds * of_runs).any(axis=1)]
        count = len(by_seed)
        if count > 1:
            factor = count / (count - 1)
            found[row] = [*(factor * float(((by_seed @ values) ** 2).sum()) for values in (means, noise)), count - 1]
    return SeedPart(found[:, :1], found[:, 1:2], found[:, 2:], np.zeros(1, dtype=np.int64))


def _indicator(codes: IntArray) -> FloatArray:
    """(C, R) one-hot rows of the distinct codes."""
    return np.asarray(np.unique(codes)[:, None] == codes, dtype=np.float64)


def with_one_more_seed(part: SeedPart, is_chosen: BoolArray) -> SeedPart:
    """What V_seed would be with the same variances and one more seed in the cells that are chosen (M, C)."""
    factor = np.where(is_chosen, part.seeds / (part.seeds + 1), 1.0)
    own = np.where(part.seeds > 1, part.df, 0.0)
    df = np.where(is_chosen, own + 1, part.df)
    return SeedPart(part.by_cell * factor, part.residuals * factor, df, part.seeds)
