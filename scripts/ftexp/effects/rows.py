"""Rows of the table of effects: one block per task, metric and group of items, two rows per contrast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ftexp.effects.analysis import Analysis
from ftexp.effects.arrays import BoolArray, FloatArray, IntArray
from ftexp.effects.cells import Cells, seed_texts
from ftexp.effects.contrasts import KINDS, Contrast, contrasts_of, own_values
from ftexp.effects.families import family
from ftexp.effects.item_variance import NO_VARIANCE
from ftexp.effects.more_seeds import more_seeds_texts
from ftexp.effects.remarks import Facts, Scoped, flags, methods, reasons
from ftexp.effects.samples import SCOPES, Comparison, Sample, side
from ftexp.effects.variances import Measured, Replication

NUMBERS = ("estimate", "se_items", "se_seeds", "se", "df", "low", "high", "p", "p_holm")
COUNTS = ("n_items", "n_clusters", "n_missing", "n_seeds", "n_strata")
COLUMNS = (
    "family", "kind", "scope", "factor", "level", "reference", "task", "metric", *NUMBERS, *COUNTS, "method", "flags", "reason",
    "more_seeds",
)


@dataclass(frozen=True)
class Part:
    """What one block of rows is about: a task, a metric, perhaps controls of another kind, and one value of a group column."""

    task: str
    metric: str
    is_primary: bool = False
    other: str = ""
    group: str = ""
    value: str = ""

    def kind(self, kind: str) -> str:
        """The kind as the table has it."""
        kind = f"{kind} against {self.other}" if self.other else kind
        return f"{kind} within {self.group}" if self.group else kind

    def name(self, text: str) -> str:
        """A level or reference as the table has it."""
        return f"{text} | {self.group}={self.value}" if self.group and text else text


@dataclass(frozen=True)
class Block:
    """The rows of one part."""

    cells: Cells
    runs: pd.DataFrame
    analysis: Analysis
    part: Part
    sample: Sample

    def frame(self) -> pd.DataFrame:
        """Two rows per contrast, models and recipe, without `p_holm`."""
        contrasts, comparison = self.compared()
        if not contrasts:
            return pd.DataFrame()
        rows = comparison.rows
        facts = Facts(
            self.cells, self.runs, contrasts, comparison, found=comparison.found(self.analysis.alpha),
            is_measured=self._is_measured(rows), linearity=comparison.linearity(self.analysis.resamples),
            is_chosen=self._is_chosen(contrasts), analysis=self.analysis,
        )
        flagged = flags(facts)
        return pd.concat([self._rows(scope, facts).assign(flags=flagged) for scope in SCOPES]).sort_index(kind="stable")

    def compared(self) -> tuple[list[Contrast], Comparison]:
        """The contrasts of cells, and of the runs that were measured."""
        rows = self.sample.measured
        is_measured = self._is_measured(rows)
        contrasts = self._contrasts(is_measured)
        is_average = np.array([contrast.kind in ("average", "cells") for contrast in contrasts], dtype=bool)
        weights = self._weights(contrasts, rows, is_measured) if contrasts else np.zeros((0, len(rows.runs)))
        return contrasts, Comparison(self.sample, rows, weights, is_average, replication_of(self.cells, self.runs, rows))

    def _is_measured(self, rows: Measured) -> BoolArray:
        """Per row of `runs` whether it has a value, of a difference both."""
        found = np.zeros((len(self.runs), len(self.sample.panels)), dtype=bool)
        for index in range(found.shape[1]):
            found[rows.runs[side(rows, index)], index] = True
        return np.asarray(found.all(axis=1))

    def _contrasts(self, is_measured: BoolArray) -> list[Contrast]:
        counts = self.cells.counts(is_measured)
        has_control = np.isin(np.array(self.cells.controls), self.runs["run"].astype(str).to_numpy()[is_measured])
        every = contrasts_of(self.cells, counts, has_control, self.analysis.design)
        wanted = [contrast for contrast in every if contrast.kind in (self.analysis.kinds or KINDS)]
        own = own_values(self.cells, counts) if len(self.sample.panels) > 1 and not self.analysis.kinds else []
        return [*own, *wanted]

    def _weights(self, contrasts: Sequence[Contrast], rows: Measured, is_measured: BoolArray) -> FloatArray:
        """(M, R); of a difference the runs that are subtracted have the opposite weight."""
        weights = np.zeros((len(contrasts), len(rows.runs)))
        names = self.runs["run"].astype(str).to_numpy()
        for index, sign in zip(range(len(self.sample.panels)), (1.0, -1.0), strict=False):
            here = np.flatnonzero(side(rows, index) & is_measured[rows.runs])
            runs = rows.runs[here]
            weights[:, here] = sign * run_weights(self.cells, contrasts, of_runs=runs, names=list(names[runs]))
        return weights

    def _is_chosen(self, contrasts: Sequence[Contrast]) -> BoolArray:
        """(M,) contrasts between levels of which one was chosen by its score."""
        chosen = set(self.analysis.chosen)
        return np.array([not chosen.isdisjoint(contrast.factors) for contrast in contrasts])

    def _rows(self, scope: str, facts: Facts) -> pd.DataFrame:
        """The rows of one scope, in the order of the contrasts."""
        contrasts, found, is_recipe = facts.contrasts, facts.found, scope == "recipe"
        se = found[f"{scope} se"].to_numpy()
        is_empty = np.array([bool(contrast.reason) for contrast in contrasts]) | np.isnan(se)
        is_flat = ~is_empty & (se**2 <= NO_VARIANCE * facts.comparison.scale() ** 2)
        here = Scoped(is_recipe, is_empty, is_flat)
        kinds = [self.part.kind(contrast.kind) for contrast in contrasts]
        table = pd.DataFrame({
            "family": [family(self.part.task, self.part.metric, kind, is_primary=self.part.is_primary) for kind in kinds],
            "kind": kinds, "scope": scope, "factor": [contrast.factor for contrast in contrasts],
            "level": [self.part.name(contrast.level) for contrast in contrasts],
            "reference": [self.part.name(contrast.reference) for contrast in contrasts],
            "task": self.part.task, "metric": self.part.metric,
            "estimate": found["estimate"], "se_items": found["se_items"], "se_seeds": found["se_seeds"] if is_recipe else np.nan,
            **{name: found[f"{scope} {name}"] for name in ("se", "df", "low", "high", "p")}, "p_holm": np.nan,
            **_counts(facts),
            "method": methods(facts, here), "reason": reasons(facts, here),
            "more_seeds": more_seeds_texts(facts, here),
        })
        most = facts.largest()
        table["low"], table["high"] = table["low"].clip(-most, most), table["high"].clip(-most, most)
        table.loc[is_empty, [*NUMBERS]] = np.nan
        table.loc[is_empty, "method"] = ""
        table.loc[is_flat | facts.is_chosen, ["df", "low", "high", "p"]] = np.nan
        return table


def _counts(facts: Facts) -> dict[str, Any]:
    """All counts; all but n_strata empty where the contrast is."""
    is_used = np.array([not contrast.reason for contrast in facts.contrasts])
    weights = np.array([contrast.weights for contrast in facts.contrasts])
    seeds = np.where(weights != 0, facts.counts, facts.counts.max(initial=0)).min(axis=1)
    numbers = {name: facts.found[name].to_numpy() for name in ("n_items", "n_clusters", "n_missing")} | {"n_seeds": seeds}
    return {
        **{name: pd.Series(values, dtype="Int64").where(is_used) for name, values in numbers.items()},
        "n_strata": pd.array([contrast.n_strata for contrast in facts.contrasts], dtype="Int64"),
    }


def replication_of(cells: Cells, runs: pd.DataFrame, rows: Measured) -> Replication:
    """Cells and seeds of the measured runs."""
    seeds = pd.factorize(np.array(seed_texts(runs), dtype=object)[rows.runs])[0]
    own = [cells.of_run.get(int(run), -1) for run in rows.runs]
    return Replication(np.array(own, dtype=np.int64), seeds.astype(np.int64))


def run_weights(cells: Cells, contrasts: Sequence[Contrast], *, of_runs: IntArray, names: list[str]) -> FloatArray:
    """(M, R) weights of runs: a cell's weight in equal shares to its measured runs, the opposite to its control.

    Args:
        cells: The planned cells.
        contrasts: M contrasts of cells.
        of_runs: (R,) positions of the measured runs in the table of runs.
        names: (R,) their ids.
    """
    row_of_name = {name: row for row, name in enumerate(names)}
    row_of_run = {int(run): row for row, run in enumerate(of_runs)}
    by_cell = np.array([contrast.weights for contrast in contrasts])
    against = np.array([contrast.against_control for contrast in contrasts])
    weights = np.zeros((len(contrasts), len(of_runs)))
    for cell, runs in enumerate(cells.runs):
        rows = [row_of_run[run] for run in runs if run in row_of_run]
        weights[:, rows] = by_cell[:, [cell]] / max(len(rows), 1)
        if cells.controls[cell] in row_of_name:
            weights[against, row_of_name[cells.controls[cell]]] -= by_cell[against, cell]
    return weights
