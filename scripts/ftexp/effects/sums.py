"""Sums over the rows of each run, as they are and in resamples of clusters, which are drawn once for all runs.

L rows, R runs, D sums, B resamples, U units (clusters).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ftexp.effects.arrays import Anything, FloatArray, IntArray

SEED = 20240101
MUCH_EMPTY = 16  # times more places than numbers in them: sums are kept without the empty ones


@dataclass(frozen=True)
class Terms:
    """The vectors of L rows, without their empty places: row l adds amounts[l, j] to sum places[l, j], for each of J terms.

    Attributes:
        places: (L, J) 0 to size - 1.
        amounts: (L, J).
        size: D.
    """

    places: IntArray
    amounts: FloatArray
    size: int


def dense(columns: list[Anything]) -> Terms:
    """Terms of rows all of whose places are filled: one sum for each of the columns (L,)."""
    amounts = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
    return Terms(np.broadcast_to(np.arange(len(columns)), amounts.shape), amounts, len(columns))


def summed(terms: Terms, runs: IntArray, n_runs: int) -> FloatArray:
    """(R, D) sums over the rows of each run; `runs` (L,)."""
    keys = terms.places + (runs * terms.size)[:, None]
    flat = np.bincount(keys.ravel(), weights=terms.amounts.ravel(), minlength=n_runs * terms.size)
    return np.asarray(flat, dtype=np.float64).reshape(n_runs, terms.size)


def shares_of(amounts: Anything, runs: IntArray, n_runs: int) -> FloatArray:
    """(L,) share of each row's amount in its run's; all the same where the run has none; `runs` (L,)."""
    amounts = np.asarray(amounts, dtype=np.float64)
    total = np.bincount(runs, weights=amounts, minlength=n_runs)[runs]
    return np.where(total > 0, amounts / np.where(total > 0, total, 1.0), 1 / np.bincount(runs, minlength=n_runs)[runs])


def draws(n_units: int, resamples: int, seed: int = SEED) -> FloatArray:
    """(B, U) how often each unit stands in each resample of as many units, drawn with replacement (Efron 1979)."""
    counts = np.random.default_rng(seed).multinomial(n_units, np.full(n_units, 1 / n_units), size=resamples)
    return counts.astype(np.float64)


def resampled_sums(terms: Terms, runs: IntArray, n_runs: int, units: IntArray, counts: FloatArray) -> FloatArray:
    """(B, R, D) sums where unit u of the (L,) rows' `units` is drawn counts[b, u] times."""
    wide, n_units = n_runs * terms.size, counts.shape[1]
    keys = terms.places + (runs * terms.size)[:, None]
    if wide * n_units > MUCH_EMPTY * keys.size:
        of_rows = np.broadcast_to(units[:, None], keys.shape).ravel()
        of_units = sparse.csr_array((terms.amounts.ravel(), (keys.ravel(), of_rows)), shape=(wide, n_units))
        drawn = (of_units @ counts.T).T
    else:
        flat = np.bincount((keys + units[:, None] * wide).ravel(), weights=terms.amounts.ravel(), minlength=n_units * wide)
        drawn = counts @ flat.reshape(n_units, wide)
    return np.asarray(drawn).reshape(len(counts), n_runs, terms.size)
