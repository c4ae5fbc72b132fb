"""The intervals that `effects` gave before each cell had a seed variance of its own: what the new ones are put beside.

One seed variance pooled over all cells, one small-sample factor G / (G - 1) for clusters of any size, Satterthwaite's
degrees of freedom for both together. One test set, scores from 0 to 1. Reads nothing. Writes nothing.
"""

import numpy as np
from ftexp.effects.arrays import BoolArray, FloatArray, IntArray
from ftexp.effects.variances import Replication
from scipy import special

FEW_ITEMS = 200
NO_VARIANCE = 1e-20


def pooled_intervals(
    weights: FloatArray, is_average: BoolArray, *, values: FloatArray, clusters: IntArray, replication: Replication
) -> tuple[FloatArray, FloatArray]:
    """Low and high ends (M,) of 95 % intervals in the scope `recipe`.

    Args:
        weights: (M, R) weight of each run.
        is_average: (M,) averages over cells against the control: per-seed means where these vary more.
        values: (R, N) score of each item.
        clusters: (N,) cluster of each item, sorted.
        replication: Cells and seeds of the runs.
    """
    items = values.shape[1]
    means = values.mean(axis=1)
    starts = np.flatnonzero(np.diff(clusters, prepend=-1))
    deviations = (values - means[:, None]) / items
    sizes = np.ones(items)
    if len(starts) < items:
        deviations, sizes = np.add.reduceat(deviations, starts, axis=1), np.add.reduceat(sizes, starts)
    groups = len(starts)
    correction = groups / (groups - 1)
    centre, v_item, df_item = _items(weights, (means, deviations, sizes), items)
    v_seed, residual, df_seed = _seeds(weights, (means, deviations * np.sqrt(correction)), replication, is_average)
    variance = np.maximum(v_item + v_seed - residual, np.maximum(v_item, v_seed))
    df = variance**2 / (v_item**2 / df_item + v_seed**2 / df_seed)
    half = special.stdtrit(df, 0.975) * np.sqrt(variance)
    return centre - half, centre + half


def _items(
    weights: FloatArray, measured: tuple[FloatArray, FloatArray, FloatArray], items: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centre, V_item and its degrees of freedom, with two pseudo-items where items are few or nothing varies."""
    means, deviations, sizes = measured
    groups = len(sizes)
    estimate, errors = weights @ means, weights @ deviations
    variance = (errors**2).sum(axis=1) * groups / (groups - 1)
    df = np.full(len(weights), groups - 1.0)
    scale = np.abs(weights).sum(axis=1) ** 2
    needs = (items < FEW_ITEMS) | (variance <= NO_VARIANCE * scale)
    if not needs.any():
        return estimate, variance, df
    most, least = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    centre = (items * estimate + most + least) / (items + 2)
    moved = items * errors + sizes * (estimate - centre)[:, None]
    total = (moved**2).sum(axis=1) + (most - centre) ** 2 + (least - centre) ** 2
    adjusted = total * (groups + 2) / (groups + 1) / (items + 2) ** 2
    return np.where(needs, centre, estimate), np.where(needs, adjusted, variance), np.where(needs, groups + 1.0, df)


def _seeds(
    weights: FloatArray, measured: tuple[FloatArray, FloatArray], replication: Replication, is_average: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """V_seed, its item-by-seed residual and its degrees of freedom, pooled over cells."""
    is_tuned = replication.cells >= 0
    cells, seeds = (_indicator(codes[is_tuned]) for codes in (replication.cells, replication.seeds))
    counts = cells.sum(axis=1)
    means, scaled = (values[is_tuned] - cells.T @ ((cells @ values[is_tuned]) / _column(counts, values)) for values in measured)
    nu = float((counts - 1).sum())
    own = weights[:, is_tuned]
    squares = (own**2).sum(axis=1) / nu
    variance, residual, df = (means**2).sum() * squares, (scaled**2).sum() * squares, np.full(len(weights), nu)
    for row in np.flatnonzero(is_average) if len(counts) > 1 else ():
        by_seed = (seeds * own[row])[(seeds * own[row]).any(axis=1)]
        count = len(by_seed)
        factor = count / max(count - 1, 1)
        of_means, of_scaled = (factor * float(((by_seed @ values) ** 2).sum()) for values in (means, scaled))
        if count > 1 and of_means - of_scaled > variance[row] - residual[row]:
            variance[row], residual[row], df[row] = of_means, of_scaled, count - 1
    return variance, residual, df


def _column(counts: FloatArray, values: FloatArray) -> FloatArray:
    return counts[:, None] if values.ndim > 1 else counts


def _indicator(codes: IntArray) -> FloatArray:
    return (np.unique(codes)[:, None] == codes).astype(np.float64)
