"""The variance that items give to contrasts: cluster-robust, for clusters of unequal size too, paired within a test set.

R runs, U units (clusters of items), K test sets, M contrasts.
"""

from dataclasses import dataclass

import numpy as np

from ftexp.effects.arrays import BoolArray, FloatArray
from ftexp.effects.variances import ItemPart, Measured, corrections

FEW_EVENTS = 8
NO_VARIANCE = 1e-20  # of rounding alone, relative to the squared range


def item_part(weights: FloatArray, measured: Measured) -> ItemPart:
    """V_item of each contrast, for new items and these very runs.

    With one test set, e_g the sum of the runs' weighted deviations in cluster g, and q_g the cluster's share of the test set
    (of a ratio, of its denominator; the mean over the contrast's runs where they differ), V_item is sum_g e_g^2 / (1 - q_g):
    CR2 of an intercept (Bell & McCaffrey 2002; Pustejovsky & Tipton 2018) with independent items as the working model; with
    clusters of equal size G / (G - 1) * sum_g e_g^2, and s^2 / N where each item is its own cluster. Degrees of freedom as
    `bell_mccaffrey` gives them. Test sets that share no cluster add their variances (Welch); what they share enters with its
    covariance, and the degrees of freedom are those of the clusters' shares in all of them, by the sets' variances.

    Of a proportion that fewer than 8 events speak for, see `has_few_events`, two pseudo-items are added to each set, each a
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
    scale = (measured.bounds[1] - measured.bounds[0]) ** 2 * np.abs(weights).sum(axis=1) ** 2
    needs = has_few_events(weights, measured) | (plain.variance <= NO_VARIANCE * scale)
    needs &= ~(involvement(weights, measured) & (measured.n_clusters < 2)).any(axis=1)
    if not needs.any():
        return plain
    adjusted = _sum_over_sets(weights, measured, is_adjusted=True)
    return ItemPart(
        np.where(needs, adjusted.centre, plain.centre), np.where(needs, adjusted.variance, plain.variance),
        np.where(needs, adjusted.df, plain.df), needs,
    )


def has_few_events(weights: FloatArray, measured: Measured) -> BoolArray:
    """(M,) contrasts of proportions whose variance is known from fewer than 8 events.

    A run near a floor or ceiling shows few answers of the rarer kind; with none of them it shows no variance, and any number
    of runs on the other side do not make up for it. So of the runs that are added, and of those that are subtracted, their
    rarer answers count: the weighted mean, as many times as there are runs, or would be of equal weight. And runs that hardly
    differ are known by the few items in which they do: (sum e^2)^2 / sum e^4 counts them, of G clusters against G / 4 at most,
    as even normal errors count for a third each only.
    """
    rarer = np.minimum(measured.means, 1 - measured.means) * measured.n_items[measured.test_sets]
    squares = (weights @ measured.deviations) ** 2
    of_clusters = squares.sum(axis=1) ** 2 / np.where(squares.any(axis=1), (squares**2).sum(axis=1), np.inf)
    is_few = of_clusters < np.minimum(FEW_EVENTS, (squares > 0).sum(axis=1) / 4)
    for one_side in (np.maximum(weights, 0.0), np.maximum(-weights, 0.0)):
        total = one_side.sum(axis=1)
        known = np.where(total > 0, total, 1.0)
        runs = known**2 / np.where(total > 0, (one_side**2).sum(axis=1), 1.0)
        is_few |= (total > 0) & (runs * (one_side @ rarer) / known < FEW_EVENTS)
    return np.asarray(is_few)


def involvement(weights: FloatArray, measured: Measured) -> BoolArray:
    """(M, K) whether a contrast weighs a run of the test set."""
    is_of_set = measured.test_sets[:, None] == np.arange(len(measured.n_items))
    return np.asarray((np.abs(weights) @ is_of_set) > 0)


def bell_mccaffrey(shares: FloatArray) -> FloatArray:
    """(M,) degrees of freedom of CR2's variance of a mean over clusters with these shares (M, U), which sum to 1 in each row.

    The trace of the variance's quadratic form, squared, by the trace of its square, if items are independent (Bell &
    McCaffrey 2002): 1 / (sum q^2 + (sum u)^2 - sum u^2) with u = q^2 / (1 - q); G - 1 where all G of them are 1 / G.
    """
    u = shares**2 / np.where(shares < 1, 1 - shares, np.nan)
    reciprocal = (shares**2).sum(axis=1) + u.sum(axis=1) ** 2 - (u**2).sum(axis=1)
    return np.asarray(1 / np.where(reciprocal > 0, reciprocal, np.nan))


def _sum_over_sets(weights: FloatArray, measured: Measured, *, is_adjusted: bool) -> ItemPart:
    """Item parts of all test sets together; the degrees of freedom after Welch and Satterthwaite where they share no cluster."""
    count, units, sets = len(weights), measured.deviations.shape[1], len(measured.asked)
    centre, extra, own_sum, reciprocal = (np.zeros(count) for _ in range(4))
    errors, sharing = np.zeros((count, units)), np.zeros((count, units), dtype=np.int64)
    mixed = np.zeros((count, units + 2 * sets))  # shares of the clusters, and of each set's pseudo-items
    for index in range(sets):
        is_here = measured.test_sets == index
        part = weights[:, is_here]
        is_in = (part != 0).any(axis=1)
        found = _in_set(part, measured, is_here, is_adjusted=is_adjusted)
        own = np.where(is_in, (found.errors**2).sum(axis=1) + found.pseudo, 0.0)
        centre += found.centre
        extra += found.pseudo
        errors += np.where(is_in[:, None], found.errors, 0.0)
        sharing += found.shares[:, :units] > 0
        mixed[:, :units] += own[:, None] * found.shares[:, :units]
        mixed[:, units + 2 * index : units + 2 * index + 2] = own[:, None] * found.shares[:, units:]
        own_sum += own
        reciprocal += np.where(is_in, own**2 / bell_mccaffrey(found.shares), 0.0)
    variance = (errors**2).sum(axis=1) + extra
    known = np.where(own_sum > 0, own_sum, np.nan)
    welch = known**2 / np.where(reciprocal > 0, reciprocal, np.nan)
    df = np.where((sharing > 1).any(axis=1), bell_mccaffrey(mixed / known[:, None]), welch)
    return ItemPart(centre, variance, np.where(own_sum == 0, np.inf, df), np.full(count, is_adjusted))


@dataclass(frozen=True)
class _InSet:
    """Of M contrasts in one test set: centres, clusters' errors (M, U), the pseudo-items' variance, all shares (M, U + 2)."""

    centre: FloatArray
    errors: FloatArray
    pseudo: FloatArray
    shares: FloatArray


def _in_set(part: FloatArray, measured: Measured, is_here: BoolArray, *, is_adjusted: bool) -> _InSet:
    """One test set's part of contrasts, with a pseudo-item at each of the extremes or without; `part` (M, R) weights."""
    size = np.abs(part).sum(axis=1, keepdims=True)
    shares = np.abs(part) @ measured.shares[is_here] / np.where(size > 0, size, 1.0)
    estimate, errors = part @ measured.means[is_here], part @ measured.deviations[is_here]
    nothing = np.zeros((len(part), 2))
    if not is_adjusted:
        return _InSet(estimate, errors * corrections(shares), nothing[:, 0], np.hstack([shares, nothing]))
    assert measured.bounds is not None
    low, high = measured.bounds
    positive, negative = np.maximum(part, 0).sum(axis=1), np.minimum(part, 0).sum(axis=1)
    most, least = high * positive + low * negative, low * positive + high * negative
    items = int(measured.asked[measured.test_sets[is_here][0]].sum())
    sizes = shares * items
    centre = (items * estimate + most + least) / (items + 2)
    moved = (items * errors + sizes * (estimate - centre)[:, None]) / (items + 2)
    every = np.where(size > 0, np.hstack([sizes, nothing + 1]) / (items + 2), 0.0)
    factors = corrections(every)
    pseudo = ((most - centre) ** 2 + (least - centre) ** 2) * (factors[:, -1] / (items + 2)) ** 2
    return _InSet(centre, moved * factors[:, :-2], pseudo, every)
