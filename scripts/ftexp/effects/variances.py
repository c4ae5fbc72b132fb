"""Variances of contrasts: of items clustered, of seeds pooled within cells or by per-seed means, and both together.

R runs, U units (clusters of items, or bootstrap resamples), K test sets, M contrasts. Every function is linear algebra on
whole matrices: no loop over items, runs or contrasts.
"""

from dataclasses import dataclass

import numpy as np

from ftexp.effects.arrays import BoolArray, FloatArray, IntArray

FEW_ITEMS = 200
NO_VARIANCE = 1e-20  # of rounding alone, relative to the squared range


@dataclass(frozen=True)
class Measured:
    """What all runs scored, for one task and metric, on one group of items.

    Attributes:
        means: (R,) score of each run.
        deviations: (R, U) what each unit contributes to the error of the run's mean: for clusters the sum over the
            cluster's items of (score - mean), divided by the number of items; 0 where the run was not asked them.
        test_sets: (R,) index of the run's test set.
        sizes: (K, U) items per cluster and test set; for a bootstrap (K, 0).
        n_items: (K,) items per test set.
        n_clusters: (K,) clusters per test set.
        bounds: Least and largest possible score, or None.
        resamples: Bootstrap resamples behind `deviations`; 0 where the units are clusters.
    """

    means: FloatArray
    deviations: FloatArray
    test_sets: IntArray
    sizes: FloatArray
    n_items: IntArray
    n_clusters: IntArray
    bounds: tuple[float, float] | None
    resamples: int = 0

    def correction(self) -> FloatArray:
        """(K,) small-sample factor G / (G - 1) of G clusters; nan for one cluster."""
        units = np.full(len(self.n_clusters), self.resamples) if self.resamples else self.n_clusters
        return np.where(units > 1, units / np.maximum(units - 1, 1), np.nan)


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
    """Per contrast (M,): V_seed, the part of it that is item-by-seed residual, and the degrees of freedom."""

    variance: FloatArray
    residual: FloatArray
    df: FloatArray
    is_per_seed: BoolArray


def item_part(weights: FloatArray, measured: Measured) -> ItemPart:
    """V_item of each contrast, for new items and these very runs.

    With one test set, c_i = sum_r w_r y_ri and e_g the sum of c_i - mean(c) over cluster g, V_item is
    G / (G - 1) * sum_g e_g^2 / N^2: the cluster-robust variance of an intercept (statsmodels' `cov_type="cluster"` with
    its default small-sample correction), and s^2 / N where each item is its own cluster. Degrees of freedom: G - 1. Test
    sets that share no item add their variances (Welch); what they share enters with its covariance.

    Where V_item is 0, or a test set has fewer than 200 items, two pseudo-items are added to each set, each a cluster of its
    own, at the largest and the least value that c can take: for paired proportions that is Bonett & Price 2012 (Agresti &
    Min 2005: one in each discordant cell), for two independent ones Agresti & Caffo 2000. They move the interval's centre
    towards 0, not the estimate.

    Args:
        weights: (M, R) weight of each run in each contrast.
        measured: The scores.
    """
    plain = _sum_over_sets(weights, measured, is_adjusted=False)
    if measured.bounds is None or measured.resamples:
        return plain
    involved = involvement(weights, measured)
    has_few = (involved & (measured.n_items < FEW_ITEMS)).any(axis=1)
    scale = (measured.bounds[1] - measured.bounds[0]) ** 2 * np.abs(weights).sum(axis=1) ** 2
    needs = has_few | (plain.variance <= NO_VARIANCE * scale)
    needs &= ~(involved & (measured.n_clusters < 2)).any(axis=1)
    if not needs.any():
        return plain
    adjusted = _sum_over_sets(weights, measured, is_adjusted=True)
    return ItemPart(
        np.where(needs, adjusted.centre, plain.centre), np.where(needs, adjusted.variance, plain.variance),
        np.where(needs, adjusted.df, plain.df), needs,
    )


def involvement(weights: FloatArray, measured: Measured) -> BoolArray:
    """(M, K) whether a contrast weighs a run of the test set."""
    is_of_set = measured.test_sets[:, None] == np.arange(len(measured.n_items))
    return np.asarray((np.abs(weights) @ is_of_set) > 0)


def _sum_over_sets(weights: FloatArray, measured: Measured, *, is_adjusted: bool) -> ItemPart:
    """Item parts of all test sets together; the degrees of freedom after Welch and Satterthwaite."""
    count = len(weights)
    centre, extra, spread = np.zeros(count), np.zeros(count), np.zeros(count)
    errors = np.zeros((count, measured.deviations.shape[1]))
    own_sum = np.zeros(count)
    for index, clusters in enumerate(measured.n_clusters):
        is_here = measured.test_sets == index
        part = weights[:, is_here]
        estimate, error = part @ measured.means[is_here], part @ measured.deviations[is_here]
        if is_adjusted:
            estimate, error, pseudo = _with_pseudo_items(part, measured, index, estimate, error)
            clusters = clusters + 2
        else:
            error, pseudo = error * np.sqrt(measured.correction()[index]), np.zeros(count)
        is_in = (part != 0).any(axis=1)
        own = np.where(is_in, (error**2).sum(axis=1) + pseudo, 0.0)
        centre += np.where(is_in, estimate, 0.0)
        extra += np.where(is_in, pseudo, 0.0)
        errors += np.where(is_in[:, None], error, 0.0)
        own_sum += own
        spread += own**2 / max(clusters - 1, 1)
    variance = (errors**2).sum(axis=1) + extra
    df = np.divide(own_sum**2, spread, out=_fewest_clusters(weights, measured) - 1.0, where=spread > 0)
    return ItemPart(centre, variance, df, np.full(count, is_adjusted))


def _fewest_clusters(weights: FloatArray, measured: Measured) -> FloatArray:
    involved = involvement(weights, measured)
    return np.asarray(np.where(involved, measured.n_clusters, np.inf).min(axis=1, initial=np.inf))


def _with_pseudo_items(
    part: FloatArray, measured: Measured, index: int, estimate: FloatArray, error: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centre, clusters' errors and the pseudo-items' own variance, with two pseudo-items at the contrast's extremes."""
    assert measured.bounds is not None
    low, high = measured.bounds
    positive, negative = np.maximum(part, 0).sum(axis=1), np.minimum(part, 0).sum(axis=1)
    most, least = high * positive + low * negative, low * positive + high * negative
    clusters, items = measured.n_clusters[index], measured.n_items[index]
    centre = (items * estimate + most + least) / (items + 2)
    factor = np.sqrt((clusters + 2) / (clusters + 1)) / (items + 2)
    moved = items * error + measured.sizes[index] * (estimate - centre)[:, None]
    pseudo = ((most - centre) ** 2 + (least - centre) ** 2) * factor**2
    return centre, moved * factor, pseudo


def seed_part(weights: FloatArray, measured: Measured, replication: Replication, is_average: BoolArray) -> SeedPart:
    """V_seed of each contrast, for new seeds.

    s2 is the variance of run means within cells, pooled over all cells with nu = sum (S_c - 1) degrees of freedom: the
    residual mean square of a run-level analysis of variance. V_seed = s2 * sum w_r^2 over tuned runs; a control has no
    seed variance. As run means carry item-by-seed noise, which V_item holds too, the same sums over the units'
    deviations give the residual part: s2_is * sum w_r^2 / N with items that are their own clusters.

    An average over cells against the control takes per-seed means (S - 1 degrees of freedom), because a seed that all cells
    share moves them together: V_seed is S / (S - 1) * sum_s (sum over runs of seed s of w_r (m_r - cell mean))^2, which is
    the variance of the S per-seed means / S where every cell has every seed. Where the pooled V_seed is larger, that is
    kept: per-seed sums miss cells of one seed, and S - 1 of 1 is often small by chance (benchmarks/effects.md).

    Args:
        weights: (M, R).
        measured: The scores.
        replication: Cells and seeds of the runs.
        is_average: (M,) contrasts that average cells against the control.
    """
    is_tuned = replication.cells >= 0
    cells, counts = _indicator(replication.cells[is_tuned])
    scaled = measured.deviations[is_tuned] * np.sqrt(measured.correction()[measured.test_sets[is_tuned]])[:, None]
    means = measured.means[is_tuned]
    means = means - cells.T @ ((cells @ means) / counts)
    scaled = scaled - cells.T @ ((cells @ scaled) / counts[:, None])
    nu = int((counts - 1).sum())
    squares = (weights[:, is_tuned] ** 2).sum(axis=1) / nu if nu else np.full(len(weights), np.nan)
    pooled = SeedPart(
        (means**2).sum() * squares, (scaled**2).sum() * squares,
        np.full(len(weights), nu or np.nan), np.zeros(len(weights), dtype=bool),
    )
    seeds, shared = _indicator(replication.seeds[is_tuned])
    if nu and is_average.any() and len(counts) > 1 and (shared > 1).any() and len(shared) > 1:
        _fill_per_seed(pooled, weights[:, is_tuned], seeds, (means, scaled), is_average)
    return pooled


def _fill_per_seed(
    part: SeedPart, weights: FloatArray, seeds: FloatArray, residuals: tuple[FloatArray, FloatArray], is_average: BoolArray
) -> None:
    """Overwrite the averages' rows of `part` by per-seed means where these give more; `residuals`: of means, deviations."""
    means, scaled = residuals
    for row in np.flatnonzero(is_average):
        by_seed = (seeds * weights[row])[(seeds * weights[row]).any(axis=1)]
        count = len(by_seed)
        factor = count / max(count - 1, 1)
        variance, residual = (factor * float(((by_seed @ values) ** 2).sum()) for values in (means, scaled))
        if count > 1 and variance - residual > part.variance[row] - part.residual[row]:
            part.variance[row], part.residual[row], part.df[row] = variance, residual, count - 1
            part.is_per_seed[row] = True


def _indicator(codes: IntArray) -> tuple[FloatArray, FloatArray]:
    """(C, R) one-hot rows of the distinct codes, and (C,) how many runs each has."""
    rows = (np.unique(codes)[:, None] == codes).astype(np.float64)
    return rows, rows.sum(axis=1)


def combined(items: ItemPart, seeds: SeedPart) -> tuple[FloatArray, FloatArray]:
    """V = max(V_item + V_seed - residual, V_item, V_seed) of each contrast (M,), and Satterthwaite's degrees of freedom.

    The residual is subtracted because both V_item and V_seed hold it. Satterthwaite 1946: V^2 / sum of (V_j^2 / df_j).
    """
    variance = np.maximum(items.variance + seeds.variance - seeds.residual, np.maximum(items.variance, seeds.variance))
    spread = items.variance**2 / items.df + seeds.variance**2 / seeds.df
    df = np.divide(variance**2, spread, out=np.full(len(variance), np.nan), where=spread > 0)
    return variance, df
