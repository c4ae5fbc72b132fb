"""Remarks on contrasts: how each was computed, what to beware of, and why a row is empty."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ftexp.effects.analysis import Analysis
from ftexp.effects.arrays import BoolArray, FloatArray, IntArray
from ftexp.effects.cells import Cells
from ftexp.effects.contrasts import Contrast
from ftexp.effects.item_variance import involvement
from ftexp.effects.samples import Comparison, Linearity

CEILING = 0.05
MANY_MISSING = 0.05
# The bootstrap's standard error by the delta method's beyond which this is not trusted: five of the ratio's own standard errors.
STRAIGHT = (0.75, 1.33)
# As many of the delta method's standard errors off the estimate is the resamples' mean where the metric is biased.
MUCH_SHIFTED = 1 / 3
NAMED_RUNS = 3
# With the strata that a contrast is averaged over, where the design lacks others.
OVER = "averaged over {} only: the design excludes cells"
# What may be wrong with leaving out items that some run has no score of.
HARD_ONES = "those that cannot be scored may be the hard ones"
CHOSEN = "chosen by its score: the best of several is best partly by luck, so nothing is claimed of it"
# The flag of what is averaged over every level of a factor of which one was chosen.
ALL_LEVELS = "all levels"


@dataclass(frozen=True)
class Facts:
    """What remarks are made from.

    Attributes:
        cells: The planned cells.
        runs: The table of runs.
        contrasts: M contrasts of cells.
        comparison: Their weights of runs, and the runs' values.
        found: One row per contrast, as `Comparison.found` gives it.
        is_measured: One entry per row of `runs`.
        linearity: What a bootstrap says of the delta method.
        is_chosen: (M,) contrasts between levels of which one was chosen by its score.
        analysis: What is analysed.
    """

    cells: Cells
    runs: pd.DataFrame
    contrasts: Sequence[Contrast]
    comparison: Comparison
    found: pd.DataFrame
    is_measured: BoolArray
    linearity: Linearity
    is_chosen: BoolArray
    analysis: Analysis

    @cached_property
    def is_unpaired(self) -> BoolArray:
        """(M,) contrasts across test sets that share no cluster: in some set the weights do not sum to 0."""
        return self.is_uneven & ~self.is_sharing

    @cached_property
    def is_uneven(self) -> BoolArray:
        """(M,) contrasts across test sets: in some set the weights do not sum to 0."""
        rows, weights = self.comparison.rows, self.comparison.weights
        of_set = weights @ (rows.test_sets[:, None] == np.arange(len(rows.n_items)))
        return np.asarray((np.abs(of_set) > 1e-9).any(axis=1) & self.is_across_sets)

    @cached_property
    def is_sharing(self) -> BoolArray:
        """(M,) contrasts of which several test sets have a cluster."""
        rows = self.comparison.rows
        involved = involvement(self.comparison.weights, rows).astype(np.int64)
        return np.asarray((involved @ rows.has_cluster.astype(np.int64)).max(axis=1, initial=0) > 1)

    @cached_property
    def is_across_sets(self) -> BoolArray:
        """(M,) contrasts of runs of several test sets."""
        return np.asarray(involvement(self.comparison.weights, self.comparison.rows).sum(axis=1) > 1)

    def is_at_ceiling(self) -> BoolArray:
        """(M,) contrasts of which a cell's, or the control's, value is in the outer 5 % of the range."""
        rows = self.comparison.rows
        if rows.bounds is None:
            return np.zeros(len(self.comparison.weights), dtype=bool)
        low, high = rows.bounds
        cells = self.comparison.replication.cells
        codes = np.where(cells < 0, -1 - rows.runs, cells)
        code = pd.MultiIndex.from_arrays([codes, rows.sides_or_zeros]).factorize()[0]
        means = (np.bincount(code, weights=rows.means) / np.bincount(code) - low) / (high - low)
        is_extreme = ((means < CEILING) | (means > 1 - CEILING))[code]
        return np.asarray(((self.comparison.weights != 0) & is_extreme).any(axis=1))

    def largest(self) -> FloatArray:
        """(M,) the largest difference that the metric's range allows; no interval reaches past it."""
        bounds = self.comparison.rows.bounds
        width = np.inf if bounds is None else bounds[1] - bounds[0]
        positive = np.clip(self.comparison.weights, 0, None).sum(axis=1)
        return np.where(positive > 0, positive, 1.0) * width

    def is_curved(self) -> BoolArray:
        """(M,) contrasts whose standard error the bootstrap does not bear out."""
        return np.asarray((self.linearity.spread < STRAIGHT[0]) | (self.linearity.spread > STRAIGHT[1]))

    def is_biased(self) -> BoolArray:
        """(M,) contrasts that resamples shift by much of a standard error."""
        return np.asarray(np.abs(self.linearity.shift) > MUCH_SHIFTED)

    def is_over_chosen(self, contrast: Contrast) -> bool:
        """Whether it is averaged over several levels of a factor of which one was chosen, the others among them."""
        keys = [self.cells.keys[cell] for cell in np.flatnonzero(contrast.concerned)]
        axes = [axis for axis, name in enumerate(self.cells.factors) if name in self.analysis.chosen]
        return any(len({key[axis] for key in keys}) > 1 for axis in axes if self.cells.factors[axis] not in contrast.factors)

    @cached_property
    def missing_share(self) -> FloatArray:
        """(M,) share of the items asked that some run of the contrast has no score of."""
        missing = self.found["n_missing"].to_numpy(dtype=np.float64)
        return np.asarray(missing / np.maximum(missing + self.found["n_items"].to_numpy(dtype=np.float64), 1))

    @cached_property
    def counts(self) -> IntArray:
        """(C,) measured runs per cell."""
        return self.cells.counts(self.is_measured)

    @cached_property
    def missing(self) -> list[list[int]]:
        """Per contrast the positions in `runs` of the planned runs that it does without."""
        return [[run for run in planned if not self.is_measured[run]] for planned in self.planned]

    @cached_property
    def planned(self) -> list[list[int]]:
        """Per contrast the positions in `runs` of all runs that it would use, controls first."""
        rows = {str(name): row for row, name in enumerate(self.runs["run"])}
        found = []
        for contrast in self.contrasts:
            cells = np.flatnonzero(contrast.concerned)
            controls = dict.fromkeys(filter(None, (self.cells.controls[cell] for cell in cells if contrast.against_control)))
            found.append([rows[name] for name in controls] + [run for cell in cells for run in self.cells.runs[cell]])
        return found


@dataclass(frozen=True)
class Scoped:
    """One scope's rows (M,): whether it is `recipe`, which rows are empty, and which have an estimate without interval."""

    is_recipe: bool
    is_empty: BoolArray
    is_flat: BoolArray


def methods(facts: Facts, scope: Scoped) -> list[str]:
    """How the standard error came about, in words."""
    rows = facts.comparison.rows
    pairing = np.select(
        [facts.is_unpaired, facts.is_uneven, facts.is_across_sets],
        ["unpaired", "partly paired", "paired within test sets"], "paired",
    )
    units = "clusters" if rows.n_clusters.sum() < rows.n_items.sum() else "items"
    texts = []
    for row, (is_adjusted, is_per_seed) in enumerate(zip(facts.found["is_adjusted"], facts.found["is_per_seed"], strict=True)):
        words = [str(pairing[row]), units]
        words += ["pseudo-items"] if is_adjusted else []
        if scope.is_recipe:
            words.append("per-seed means" if is_per_seed else "seeds of each cell")
        texts.append("; ".join(words))
    return texts


def flags(facts: Facts) -> list[str]:
    """The words that `columns` explains, joined by semicolons."""
    is_at_ceiling, is_unpaired, is_curved = facts.is_at_ceiling(), facts.is_unpaired, facts.is_curved()
    is_missing, is_biased = facts.missing_share > MANY_MISSING, facts.is_biased()
    texts = []
    for row, contrast in enumerate(facts.contrasts):
        found = {
            "ceiling": is_at_ceiling[row], "scale-dependent": is_at_ceiling[row] and contrast.kind == "interaction",
            "unpaired": is_unpaired[row],
            "incomplete": contrast.n_strata < contrast.n_strata_planned or bool(facts.missing[row]),
            "missing scores": is_missing[row], "curved": is_curved[row], "biased": is_biased[row],
            "chosen": facts.is_chosen[row], ALL_LEVELS: facts.is_over_chosen(contrast),
        }
        texts.append("; ".join(name for name, is_found in found.items() if is_found))
    return texts


def chosen_in_words(names: Sequence[str]) -> str:
    """Why nothing is claimed of factors whose level was chosen."""
    if len(names) == 1:
        return f"{names[0]} was {CHOSEN}"
    return f"{', '.join(names)} were {CHOSEN.replace('its score', 'their score').replace('of it', 'of them')}"


def reasons(facts: Facts, scope: Scoped) -> list[str]:
    """Why numbers are empty, over what is averaged where the design lacks cells, which runs or scores are missing; or nothing."""
    texts = []
    for row, contrast in enumerate(facts.contrasts):
        found = [contrast.reason, OVER.format(contrast.over) if contrast.over else ""]
        if scope.is_empty[row] and not contrast.reason:
            found.append(_why_empty(facts, row, scope.is_recipe))
        if scope.is_flat[row]:
            found.append("no interval: the scores do not vary, and nothing bounds what other items would show")
        if facts.is_chosen[row]:
            found.append(chosen_in_words([name for name in contrast.factors if name in facts.analysis.chosen]))
        if facts.linearity.left_out:
            left_out = f"{facts.linearity.left_out} of {facts.analysis.resamples} resamples"
            found.append(f"{left_out} left out: the metric is not defined in them")
        texts.append("; ".join(filter(None, [*found, _missing_scores(facts, row), _missing_text(facts, row)])))
    return texts


def _why_empty(facts: Facts, row: int, is_recipe: bool) -> str:
    rows = facts.comparison.rows
    involved = involvement(facts.comparison.weights[[row]], rows)[0]
    if rows.n_clusters[involved].min(initial=2) < 2:
        return "one item, or one cluster, says nothing about others"
    if np.isnan(facts.found["estimate"].iloc[row]):
        return "no item has a score of every run"
    return "one seed says nothing about the next" if is_recipe else "not estimable"


def _missing_scores(facts: Facts, row: int) -> str:
    """How many items are left out because some run has no score of them; in words what that may mean where they are many."""
    share = facts.missing_share[row]
    if not share:
        return ""
    missing = int(facts.found["n_missing"].iloc[row])
    asked = missing + int(facts.found["n_items"].iloc[row])
    text = f"{missing} of {asked} items left out: some run has no score of them"
    return text + (f" ({share:.0%}), and {HARD_ONES}" if share > MANY_MISSING else "")


def _missing_text(facts: Facts, row: int) -> str:
    missing = facts.missing[row]
    if not missing:
        return ""
    named = ", ".join(_named(facts.runs, run) for run in missing[:NAMED_RUNS]) + (", ..." if len(missing) > NAMED_RUNS else "")
    return f"{len(missing)} of {len(facts.planned[row])} runs are missing ({named}), and failures may depend on the factor"


def _named(runs: pd.DataFrame, row: int) -> str:
    """A run with its status and reason, as far as the table has them."""
    values = {name: runs[name].iloc[row] for name in ("status", "eval_status", "reason") if name in runs}
    words = {name: str(value) for name, value in values.items() if not pd.isna(value) and str(value)}
    status = words.get("status") or words.get("eval_status")
    return ": ".join(filter(None, [str(runs["run"].iloc[row]), ", ".join(filter(None, [status, words.get("reason")]))]))
