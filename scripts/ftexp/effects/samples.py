"""Samples: one panel, or two whose difference is wanted, and contrasts computed on the items that all their runs have."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from ftexp.effects.arrays import BoolArray, FloatArray, IntArray
from ftexp.effects.estimates import Estimates, Scope, estimates, more_seeds
from ftexp.effects.item_variance import involvement
from ftexp.effects.measurements import Panel, measured, within
from ftexp.effects.metrics import Mean
from ftexp.effects.sums import draws
from ftexp.effects.variances import Measured, Replication

SCOPES = ("models", "recipe")


@dataclass(frozen=True)
class Sample:
    """One panel; or two panels over the same items, of which the second is subtracted."""

    panels: tuple[Panel, ...]
    _drawn: dict[int, FloatArray] = field(default_factory=dict)

    def within(self, is_used: BoolArray, runs: IntArray | None = None) -> "Sample":
        """The same for some items (N,) only, and some runs, by their positions in the table of runs."""
        return Sample(tuple(within(panel, is_used, runs) for panel in self.panels))

    @cached_property
    def measured(self) -> Measured:
        """The values of all panels."""
        first, *others = map(measured, self.panels)
        return _stacked(first, others[0]) if others else first

    def gaps(self, rows: Measured) -> BoolArray | None:
        """(R, N) items that a measured run was asked and has no score of; None where there is none."""
        if all(panel.gaps is None for panel in self.panels):
            return None
        found = np.zeros((len(rows.runs), len(self.panels[0].clusters)), dtype=bool)
        for index, panel in enumerate(self.panels):
            if panel.gaps is not None:
                here = side(rows, index)
                found[here] = panel.gaps[np.searchsorted(panel.runs, rows.runs[here])]
        return found

    def resampled(self, resamples: int) -> FloatArray:
        """(B, R) values in resamples of the clusters, drawn once for all runs; without those in which one is not defined."""
        if resamples not in self._drawn:
            self._drawn[resamples] = self._resampled(resamples)
        return self._drawn[resamples]

    def _resampled(self, resamples: int) -> FloatArray:
        rows = self.measured
        _, units = np.unique(self.panels[0].clusters, return_inverse=True)
        counts = draws(int(units.max()) + 1, resamples)
        drawn = np.hstack([
            panel.metric.resampled(panel.rows, units[panel.items], counts)[:, np.isin(panel.runs, rows.runs[side(rows, index)])]
            for index, panel in enumerate(self.panels)
        ])
        return np.asarray(drawn[np.isfinite(drawn).all(axis=1)])


def side(rows: Measured, index: int) -> BoolArray:
    """(R,) which rows are of a panel."""
    return np.asarray(rows.sides_or_zeros == index)


def _stacked(one: Measured, other: Measured) -> Measured:
    """Both, over the same clusters; test sets that have the same items are one."""
    same = [next((k for k, asked in enumerate(one.asked) if np.array_equal(asked, own)), None) for own in other.asked]
    new = [k for k, found in enumerate(same) if found is None]
    index = np.array([len(one.asked) + new.index(k) if found is None else found for k, found in enumerate(same)])
    return Measured(
        means=np.concatenate([one.means, other.means]), deviations=np.vstack([one.deviations, other.deviations]),
        test_sets=np.concatenate([one.test_sets, index[other.test_sets]]),
        shares=np.vstack([one.shares, other.shares]), asked=np.vstack([one.asked, other.asked[new]]),
        bounds=one.bounds if one.bounds == other.bounds else None, is_proportion=one.is_proportion and other.is_proportion,
        runs=np.concatenate([one.runs, other.runs]), sides=np.repeat([0, 1], [len(one.runs), len(other.runs)]),
    )


@dataclass(frozen=True)
class Linearity:
    """What a bootstrap says of the delta method, of M contrasts; nan where nothing varies.

    Attributes:
        spread: (M,) the bootstrap's standard error from items, by the delta method's.
        shift: (M,) by how much the resamples' mean is off the estimate, by the same: about the estimate's own bias.
        left_out: Resamples in which some run's metric is not defined.
    """

    spread: FloatArray
    shift: FloatArray
    left_out: int


@dataclass(frozen=True)
class Comparison:
    """M contrasts of the runs of a sample.

    Attributes:
        sample: What is compared.
        rows: It, measured on all items: R runs.
        weights: (M, R) weight of each run.
        is_average: (M,) averages over cells, which are no differences between cells.
        replication: Cells and seeds of the R runs.
    """

    sample: Sample
    rows: Measured
    weights: FloatArray
    is_average: BoolArray
    replication: Replication

    def found(self, alpha: float) -> pd.DataFrame:
        """One row per contrast, with the columns that `_frame` lists; each on the items that all its runs have a score of."""
        parts = []
        for contrasts, part in self.by_items():
            found = _frame(part.estimates(alpha), counts(part.weights, part.rows), alpha)
            found["n_missing"] = counts(self.weights[contrasts], self.rows)[0] - found["n_items"]
            found.loc[part.is_lost(self, contrasts), [name for name in found if found[name].dtype == float]] = np.nan
            parts.append(found.set_axis(contrasts))
        return pd.concat(parts).sort_index()

    def estimates(self, alpha: float) -> Estimates:
        """What the contrasts come to, on all items of the sample."""
        return estimates(self.weights, self.is_average, measured=self.rows, replication=self.replication, alpha=alpha)

    def by_items(self) -> Iterator[tuple[IntArray, "Comparison"]]:
        """Contrasts whose runs all have a score of the same items, and what is compared on those items."""
        gaps = self.sample.gaps(self.rows)
        if gaps is None:
            yield np.arange(len(self.weights)), self
            return
        without = (np.abs(self.weights) > 0).astype(np.float64) @ gaps > 0
        patterns, of_pattern = np.unique(without, axis=0, return_inverse=True)
        for index, is_left_out in enumerate(patterns):
            contrasts = np.flatnonzero(of_pattern.reshape(-1) == index)
            yield contrasts, self._on(contrasts, ~is_left_out)

    def is_lost(self, whole: "Comparison", contrasts: IntArray) -> BoolArray:
        """Which contrasts, of those by which this is a part of the whole, lack a run that is not defined on its items."""
        return np.asarray((whole.weights[contrasts] != 0).sum(axis=1) > (self.weights != 0).sum(axis=1))

    def _on(self, contrasts: IntArray, is_used: BoolArray) -> "Comparison":
        """Some contrasts on some items, without runs that are not defined there."""
        sample = self.sample.within(is_used, self._needed(contrasts))
        here = sample.measured
        places = {key: place for place, key in enumerate(_keys(self.rows))}
        columns = np.array([places[key] for key in _keys(here)], dtype=np.int64)
        replication = Replication(self.replication.cells[columns], self.replication.seeds[columns])
        return Comparison(sample, here, self.weights[contrasts][:, columns], self.is_average[contrasts], replication)

    def _needed(self, contrasts: IntArray) -> IntArray:
        """Runs of the contrasts; all where one has a cell of one seed, which borrows from the others."""
        involved = (self.weights[contrasts] != 0).any(axis=0)
        cells = self.replication.cells[involved & (self.rows.sides_or_zeros == 0)]
        borrows = (np.unique(cells[cells >= 0], return_counts=True)[1] == 1).any()
        return np.unique(self.rows.runs if borrows else self.rows.runs[involved])

    def scale(self) -> FloatArray:
        """(M,) what rounding errors of a contrast are relative to."""
        return np.asarray(np.abs(self.weights) @ np.maximum(np.abs(self.rows.means), 1.0))

    def linearity(self, resamples: int) -> Linearity:
        """What a bootstrap over clusters says of the delta method; nothing to check where every metric is a mean."""
        count = len(self.weights)
        if all(isinstance(panel.metric, Mean) for panel in self.sample.panels):
            return Linearity(np.ones(count), np.zeros(count), 0)
        drawn = self.sample.resampled(resamples)
        if len(drawn) < 2:
            return Linearity(np.full(count, np.nan), np.full(count, np.nan), resamples - len(drawn))
        values, estimate = drawn @ self.weights.T, self.weights @ self.rows.means
        linear = np.sqrt(((self.weights @ self.rows.deviations) ** 2).sum(axis=1))
        known = np.where(linear > 1e-10 * self.scale(), linear, np.nan)
        return Linearity(values.std(axis=0, ddof=1) / known, (values.mean(axis=0) - estimate) / known, resamples - len(drawn))


def _keys(rows: Measured) -> list[tuple[int, int]]:
    """Run and side of each row."""
    return list(zip(rows.runs.tolist(), rows.sides_or_zeros.tolist(), strict=True))


def counts(weights: FloatArray, rows: Measured) -> tuple[IntArray, IntArray]:
    """Items and clusters (M,) of the test sets of each contrast's runs."""
    involved = involvement(weights, rows)
    items, clusters = ((involved @ of_set > 0).sum(axis=1) for of_set in (rows.asked, rows.has_cluster))
    return items, clusters


def _frame(found: Estimates, n_of: tuple[IntArray, IntArray], alpha: float) -> pd.DataFrame:
    """What was found as a table of one row per contrast; of each scope se, df, low, high and p as `models se` and so on."""
    more = more_seeds(found, alpha)
    scopes: tuple[Scope, Scope] = (found.models, found.recipe)
    return pd.DataFrame({
        "estimate": found.estimate, "se_items": np.sqrt(found.items.variance), "is_adjusted": found.items.is_adjusted,
        "se_seeds": found.se_seeds, "is_per_seed": found.is_per_seed, "n_items": n_of[0], "n_clusters": n_of[1],
        "n_missing": 0,
        **{f"{name} {part}": getattr(scope, part) for name, scope in zip(SCOPES, scopes, strict=True)
           for part in ("se", "df", "low", "high", "p")},
        "widest_cell": more.cell, "half_of_cell": more.half_of_cell, "half_of_all": more.half_of_all,
    })
