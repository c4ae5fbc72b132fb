"""Remarks on contrasts: how each was computed, what to beware of, and why a row is empty."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ftexp.effects.arrays import BoolArray, FloatArray, IntArray
from ftexp.effects.cells import Cells
from ftexp.effects.contrasts import Contrast
from ftexp.effects.estimates import Estimates
from ftexp.effects.variances import Measured, involvement

CEILING = 0.05
NAMED_RUNS = 3
# With the strata that a contrast is averaged over, where the design lacks others.
OVER = "averaged over {} only: the design excludes cells"


@dataclass(frozen=True)
class Facts:
    """What remarks are made from.

    Attributes:
        cells: The planned cells.
        runs: The table of runs.
        measured: The scores of the R measured runs.
        weights: (M, R) weights of runs.
        cell_of_run: (R,) each measured run's cell; -1 for a control.
        is_measured: One entry per row of `runs`.
        resamples: Bootstrap resamples asked for; 0 for a mean over items.
    """

    cells: Cells
    runs: pd.DataFrame
    measured: Measured
    weights: FloatArray
    cell_of_run: IntArray
    is_measured: BoolArray
    resamples: int

    def is_unpaired(self) -> BoolArray:
        """(M,) contrasts across test sets."""
        return np.asarray(involvement(self.weights, self.measured).sum(axis=1) > 1)

    def is_at_ceiling(self) -> BoolArray:
        """(M,) contrasts of which a cell's, or the control's, mean is in the outer 5 % of the range."""
        if self.measured.bounds is None:
            return np.zeros(len(self.weights), dtype=bool)
        low, high = self.measured.bounds
        codes = np.where(self.cell_of_run < 0, -1 - np.arange(len(self.cell_of_run)), self.cell_of_run)
        _, code = np.unique(codes, return_inverse=True)
        means = (np.bincount(code, weights=self.measured.means) / np.bincount(code) - low) / (high - low)
        is_extreme = ((means < CEILING) | (means > 1 - CEILING))[code]
        return np.asarray(((self.weights != 0) & is_extreme).any(axis=1))

    def missing(self, contrast: Contrast) -> list[int]:
        """Positions in `runs` of the planned runs that the contrast does without."""
        return [run for run in self.planned(contrast) if not self.is_measured[run]]

    def planned(self, contrast: Contrast) -> list[int]:
        """Positions in `runs` of all runs that the contrast would use, controls first."""
        cells = np.flatnonzero(contrast.concerned)
        trained = [run for cell in cells for run in self.cells.runs[cell]]
        if not contrast.against_control:
            return trained
        names = dict.fromkeys(filter(None, (self.cells.controls[cell] for cell in cells)))
        rows = {str(name): row for row, name in enumerate(self.runs["run"])}
        return [rows[name] for name in names] + trained


def methods(contrasts: Sequence[Contrast], result: Estimates, facts: Facts, *, is_recipe: bool) -> list[str]:
    """How the standard error came about, in words."""
    is_unpaired = facts.is_unpaired()
    units = "clusters" if facts.measured.n_clusters.sum() < facts.measured.n_items.sum() else "items"
    texts = []
    for row in range(len(contrasts)):
        words = ["unpaired" if is_unpaired[row] else "paired", f"bootstrap of {units}" if facts.resamples else units]
        words += ["pseudo-items"] if result.items.is_adjusted[row] else []
        if is_recipe:
            words.append("per-seed means" if result.seeds.is_per_seed[row] else "seeds pooled within cells")
        texts.append("; ".join(words))
    return texts


def flags(contrasts: Sequence[Contrast], facts: Facts) -> list[str]:
    """`ceiling`, `scale-dependent`, `unpaired` and `incomplete`, joined by semicolons."""
    is_at_ceiling, is_unpaired = facts.is_at_ceiling(), facts.is_unpaired()
    texts = []
    for row, contrast in enumerate(contrasts):
        found = {
            "ceiling": is_at_ceiling[row], "scale-dependent": is_at_ceiling[row] and contrast.kind == "interaction",
            "unpaired": is_unpaired[row],
            "incomplete": contrast.n_strata < contrast.n_strata_planned or bool(facts.missing(contrast)),
        }
        texts.append("; ".join(name for name, is_found in found.items() if is_found))
    return texts


def reasons(
    contrasts: Sequence[Contrast], facts: Facts, *, is_recipe: bool, is_empty: BoolArray, is_flat: BoolArray
) -> list[str]:
    """Why numbers are empty, over what is averaged where the design lacks cells, which runs are missing; or nothing."""
    texts = []
    for row, contrast in enumerate(contrasts):
        found = [contrast.reason, OVER.format(contrast.over) if contrast.over else ""]
        if is_empty[row] and not contrast.reason:
            found.append(_why_empty(facts, row, is_recipe))
        if is_flat[row]:
            found.append("no interval: the scores do not vary, and nothing bounds what other items would show")
        if 0 < facts.measured.resamples < facts.resamples:
            undefined = facts.resamples - facts.measured.resamples
            found.append(f"{undefined} of {facts.resamples} resamples left out: the metric is not defined in them")
        texts.append("; ".join(filter(None, [*found, _missing_text(facts, contrast)])))
    return texts


def _why_empty(facts: Facts, row: int, is_recipe: bool) -> str:
    if facts.resamples and facts.measured.resamples < 2:
        return "the metric is defined in fewer than two resamples"
    involved = involvement(facts.weights[[row]], facts.measured)[0]
    if facts.measured.n_clusters[involved].min(initial=2) < 2:
        return "one item, or one cluster, says nothing about others"
    return "one seed says nothing about the next" if is_recipe else "not estimable"


def _missing_text(facts: Facts, contrast: Contrast) -> str:
    missing = facts.missing(contrast)
    if not missing:
        return ""
    planned = len(facts.planned(contrast))
    named = ", ".join(_named(facts.runs, run) for run in missing[:NAMED_RUNS]) + (", ..." if len(missing) > NAMED_RUNS else "")
    return f"{len(missing)} of {planned} runs are missing ({named}), and failures may depend on the factor"


def _named(runs: pd.DataFrame, row: int) -> str:
    """A run with its status and reason, as far as the table has them."""
    values = {name: runs[name].iloc[row] for name in ("status", "eval_status", "reason") if name in runs}
    words = {name: str(value) for name, value in values.items() if not pd.isna(value) and str(value)}
    status = words.get("status") or words.get("eval_status")
    return ": ".join(filter(None, [str(runs["run"].iloc[row]), ", ".join(filter(None, [status, words.get("reason")]))]))
