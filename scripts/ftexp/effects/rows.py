"""Rows of the table of effects: one block per task, metric and group of items, two rows per contrast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ftexp.effects.analysis import Analysis
from ftexp.effects.arrays import FloatArray, IntArray
from ftexp.effects.cells import Cells, seed_texts
from ftexp.effects.contrasts import KINDS, Contrast, contrasts_of
from ftexp.effects.estimates import Estimates, Scope, estimates
from ftexp.effects.families import family
from ftexp.effects.remarks import Facts, flags, methods, reasons
from ftexp.effects.variances import NO_VARIANCE, Measured, Replication, involvement

NUMBERS = ("estimate", "se_items", "se_seeds", "se", "df", "low", "high", "p", "p_holm")
COUNTS = ("n_items", "n_clusters", "n_seeds", "n_strata")
COLUMNS = (
    "family", "kind", "scope", "factor", "level", "reference", "task", "metric", *NUMBERS, *COUNTS, "method", "flags", "reason",
)


@dataclass(frozen=True)
class Part:
    """What one block of rows is about: a task, a metric, and perhaps one value of a group column."""

    task: str
    metric: str
    group: str = ""
    value: str = ""

    def kind(self, kind: str) -> str:
        """The kind as the table has it."""
        return f"{kind} within {self.group}" if self.group else kind

    def name(self, text: str) -> str:
        """A level or reference as the table has it."""
        return f"{text} | {self.group}={self.value}" if self.group and text else text


@dataclass(frozen=True)
class Block:
    """The rows of one part. `of_runs` (R,) are the positions of the measured runs in the table of runs."""

    cells: Cells
    runs: pd.DataFrame
    analysis: Analysis
    part: Part
    measured: Measured
    of_runs: IntArray

    def frame(self) -> pd.DataFrame:
        """Two rows per contrast, models and recipe, without `p_holm`."""
        is_measured = np.zeros(len(self.runs), dtype=bool)
        is_measured[self.of_runs] = True
        counts = self.cells.counts(is_measured)
        names = self.runs["run"].astype(str).to_numpy()[self.of_runs]
        has_control = np.isin(np.array(self.cells.controls), names)
        every = contrasts_of(self.cells, counts, has_control, self.analysis.design)
        contrasts = [contrast for contrast in every if contrast.kind in (self.analysis.kinds or KINDS)]
        if not contrasts:
            return pd.DataFrame()
        weights = run_weights(self.cells, contrasts, of_runs=self.of_runs, names=list(names))
        replication = self._replication()
        result = estimates(
            weights, np.array([contrast.kind == "average" for contrast in contrasts]), measured=self.measured,
            replication=replication, alpha=self.analysis.alpha,
        )
        facts = Facts(self.cells, self.runs, self.measured, weights, replication.cells, is_measured, self._resamples())
        scopes = [self._rows(scope, contrasts, result, facts) for scope in ("models", "recipe")]
        return pd.concat(scopes).sort_index(kind="stable")

    def _replication(self) -> Replication:
        seeds = pd.factorize(np.array(seed_texts(self.runs), dtype=object)[self.of_runs])[0]
        cells = [self.cells.of_run.get(int(run), -1) for run in self.of_runs]
        return Replication(np.array(cells, dtype=np.int64), seeds.astype(np.int64))

    def _resamples(self) -> int:
        return self.analysis.resamples if self.part.metric in self.analysis.custom else 0

    def _rows(self, name: str, contrasts: Sequence[Contrast], result: Estimates, facts: Facts) -> pd.DataFrame:
        """The rows of one scope, in the order of the contrasts."""
        is_recipe = name == "recipe"
        scope = result.recipe if is_recipe else result.models
        is_empty = np.array([bool(contrast.reason) for contrast in contrasts]) | np.isnan(scope.se)
        is_flat = ~is_empty & (scope.se**2 <= NO_VARIANCE * np.abs(facts.weights).sum(axis=1) ** 2)
        is_primary = self.part.metric == self.analysis.primary
        kinds = [self.part.kind(contrast.kind) for contrast in contrasts]
        table = pd.DataFrame({
            "family": [family(self.part.task, self.part.metric, kind, is_primary=is_primary) for kind in kinds],
            "kind": kinds, "scope": name, "factor": [contrast.factor for contrast in contrasts],
            "level": [self.part.name(contrast.level) for contrast in contrasts],
            "reference": [self.part.name(contrast.reference) for contrast in contrasts],
            "task": self.part.task, "metric": self.part.metric,
            **_numbers(result, scope, is_recipe), **self._counts(contrasts, facts),
            "method": methods(contrasts, result, facts, is_recipe=is_recipe), "flags": flags(contrasts, facts),
            "reason": reasons(contrasts, facts, is_recipe=is_recipe, is_empty=is_empty, is_flat=is_flat),
        })
        most = self._largest(facts)
        table["low"], table["high"] = table["low"].clip(-most, most), table["high"].clip(-most, most)
        table.loc[is_empty, [*NUMBERS]] = np.nan
        table.loc[is_empty, "method"] = ""
        table.loc[is_flat, ["df", "low", "high", "p"]] = np.nan
        return table

    def _largest(self, facts: Facts) -> FloatArray:
        """(M,) the largest difference that the metric's range allows; no interval reaches past it."""
        bounds = self.measured.bounds
        width = np.inf if bounds is None else bounds[1] - bounds[0]
        positive = np.clip(facts.weights, 0, None).sum(axis=1)
        return np.where(positive > 0, positive, 1.0) * width

    def _counts(self, contrasts: Sequence[Contrast], facts: Facts) -> dict[str, Any]:
        """n_items, n_clusters, n_seeds, n_strata; the first three empty where the contrast is."""
        is_used = np.array([not contrast.reason for contrast in contrasts])
        involved = involvement(facts.weights, self.measured)
        counts = self.cells.counts(facts.is_measured)
        weights = np.array([contrast.weights for contrast in contrasts])
        seeds = np.where(weights != 0, counts, counts.max(initial=0)).min(axis=1)
        n_items, n_clusters = involved @ self.measured.n_items, involved @ self.measured.n_clusters
        numbers = {"n_items": n_items, "n_clusters": n_clusters, "n_seeds": seeds}
        return {
            **{name: pd.Series(values, dtype="Int64").where(is_used) for name, values in numbers.items()},
            "n_strata": pd.array([contrast.n_strata for contrast in contrasts], dtype="Int64"),
        }


def _numbers(result: Estimates, scope: Scope, is_recipe: bool) -> dict[str, FloatArray | float]:
    return {
        "estimate": result.estimate, "se_items": np.sqrt(result.items.variance),
        "se_seeds": np.sqrt(result.seeds.variance) if is_recipe else np.nan, "se": scope.se, "df": scope.df,
        "low": scope.low, "high": scope.high, "p": scope.p, "p_holm": np.nan,
    }


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
