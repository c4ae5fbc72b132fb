"""The variance that items give to contrasts: cluster-robust, for clusters of unequal size too, paired within a test set.

R runs, U units (clusters of items), K test sets, M contrasts.
"""

import numpy as np

from ftexp.effects.arrays import BoolArray, FloatArray
from ftexp.effects.variances import ItemPart, Measured, corrections

FEW_ITEMS = 200
NO_VARIANCE = 1e-20  # of rounding alone, relative to the squared range


def item_part(weights: FloatArray, measured: Measured) -> ItemPart:
    """V_item of each contrast, for new items and these very runs.

    With one test set, e_g the sum of the runs' weighted deviations in cluster g, and q_g the cluster's share of the test set
    (of a ratio, of its denominator), V_item is sum_g e_g^2 / (1 - q_g): CR2 of an intercept (Bell & McCaffrey 2002; Pustejovsky
    & Tipton 2018) with independent items as the working model; with clusters of equal size G / (G - 1) * sum_g e_g^2, and s^2 / N
    where each item is its own cluster. Degrees of freedom as `bell_mccaffrey` gives them. Test sets that share no item add
    their variances (Welch); what they share enters with its covariance.

    Of a proportion, where V_item is 0 or a test set has fewer than 200 items, two pseudo-items are added to each set, each a
    cluster of its own, at the largest and the least value that the contrast of an item can take: for paired proportions that
    is Bonett & Price 2012 (Agresti & Min 2005: one in each discordant cell), for two independent ones Agresti & Caffo 2000.
    They move the interval's centre towards 0, not the estimate.

    Args:
        weights: (M, R) weight of each run in each contrast.
        measured: The values.
    """
    plain = _sum_over_sets(weights, measured, is_adjusted=False)
    if measured.bounds is None or not measured.is_proportion:
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


def bell_mccaffrey(shares: FloatArray) -> float:
    """Degrees of freedom of CR2's variance of a mean over clusters with these shares (G,), which sum to 1.

    The trace of the variance's quadratic form, squared, by the trace of its square, if items are independent (Bell &
    McCaffrey 2002): 1 / (sum q^2 + (sum u)^2 - sum u^2) with u = q^2 / (1 - q); G - 1 where all q are 1 / G.
    """
    u = shares**2 / (1 - shares)
    return float(1 / ((shares**2).sum() + u.sum() ** 2 - (u**2).sum()))


def _sum_over_sets(weights: FloatArray, measured: Measured, *, is_adjusted: bool) -> ItemPart:
    """Item parts of all test sets together; the degrees of freedom after Welch and Satterthwaite."""
    count = len(weights)
    centre, extra, spread, own_sum = np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(count)
    least_df = np.full(count, np.inf)
    errors = np.zeros((count, measured.deviations.shape[1]))
    for index, shares in enumerate(measured.leverages):
        is_here = measured.test_sets == index
        part = weights[:, is_here]
        estimate, error = part @ measured.means[is_here], part @ measured.deviations[is_here]
        if is_adjusted:
            estimate, error, pseudo, shares = _with_pseudo_items(part, measured, index, (estimate, error))
        else:
            error, pseudo = error * measured.corrections[index], np.zeros(count)
        is_in = (part != 0).any(axis=1)
        df = bell_mccaffrey(shares[shares > 0]) if measured.n_clusters[index] > 1 else np.nan
        own = np.where(is_in, (error**2).sum(axis=1) + pseudo, 0.0)
        centre += np.where(is_in, estimate, 0.0)
        extra += np.where(is_in, pseudo, 0.0)
        errors += np.where(is_in[:, None], error, 0.0)
        own_sum += own
        spread += np.where(is_in, own**2 / df, 0.0)
        least_df = np.where(is_in, np.fmin(least_df, df), least_df)
    variance = (errors**2).sum(axis=1) + extra
    df = np.divide(own_sum**2, spread, out=least_df, where=spread > 0)
    return ItemPart(centre, variance, df, np.full(count, is_adjusted))


def _with_pseudo_items(
    part: FloatArray, measured: Measured, index: int, plain: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Centre, clusters' errors, the pseudo-items' own variance and all shares, with a pseudo-item at each of the extremes."""
    assert measured.bounds is not None
    estimate, error = plain
    low, high = measured.bounds
    positive, negative = np.maximum(part, 0).sum(axis=1), np.minimum(part, 0).sum(axis=1)
    most, least = high * positive + low * negative, low * positive + high * negative
    items = measured.n_items[index]
    sizes = measured.leverages[index] * items
    centre = (items * estimate + most + least) / (items + 2)
    shares = np.append(sizes, [1.0, 1.0]) / (items + 2)
    factors = corrections(shares[None])[0]
    moved = (items * error + sizes * (estimate - centre)[:, None]) / (items + 2)
    pseudo = ((most - centre) ** 2 + (least - centre) ** 2) * (factors[-1] / (items + 2)) ** 2
    return centre, moved * factors[:-2], pseudo, shares
