"""The table of effects: every contrast of every task, metric and group, in both scopes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ftexp.effects.analysis import Analysis, Measure
from ftexp.effects.arrays import BoolArray
from ftexp.effects.cells import Cells, cells_of, not_done
from ftexp.effects.checks import check_analysis, check_differences, check_scores
from ftexp.effects.contrasts import CONTROL_KINDS, KINDS
from ftexp.effects.errors import UnusableTable
from ftexp.effects.families import with_holm
from ftexp.effects.measurements import NOT_GROUPED, Panel, panels
from ftexp.effects.rows import COLUMNS, Block, Part
from ftexp.effects.samples import Sample


def effects(scores: pd.DataFrame, runs: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """Say what each factor did, with honest uncertainty; rows and columns as the package's docstring has them.

    Args:
        scores: One row per run, item and repetition, of any number of tasks and metrics.
        runs: One row per planned run.
        analysis: Factors, baselines, metrics.

    Raises:
        UnusableTable: If the tables contradict each other: see `checks`, `cells_of` and `panels`.
    """
    found = [frame for frame in (block.frame() for block in blocks(scores, runs, analysis)) if len(frame)]
    if not found:
        return pd.DataFrame(columns=list(COLUMNS))
    return with_holm(pd.concat(found, ignore_index=True))[list(COLUMNS)]


def blocks(scores: pd.DataFrame, runs: pd.DataFrame, analysis: Analysis) -> Iterator[Block]:
    """What `effects` has rows of: per measure, then per difference of two, all items, then each group of them.

    Of each, after all contrasts those with controls of other kinds.

    Raises:
        UnusableTable: As `effects` does.
    """
    ready = prepared(scores, runs, analysis)
    check_differences(ready.by_measure, analysis)
    for name, measures in _compared(ready.by_measure, analysis):
        parts = [(ready.by_measure[measure], analysis.metric(measure.metric)) for measure in measures]
        part = Part(*name, is_primary=all(map(analysis.is_primary, measures)))
        for own, sample in _samples(part, panels(parts, ready.positions, ready.arms, analysis.groups)):
            for of_others, wanted, other in ready.readings:
                yield Block(of_others, runs, wanted, replace(own, other=other), sample)


@dataclass(frozen=True)
class Prepared:
    """Both tables, checked, as everything is computed from them.

    Attributes:
        readings: The cells with their controls, what is wanted of them, and a name; first those with the control proper.
        by_measure: The scores of each task and metric.
        positions: Per run its position in the table of runs.
        arms: Per position the arm whose test set the run should have.
    """

    readings: Sequence[tuple[Cells, Analysis, str]]
    by_measure: Mapping[Measure, pd.DataFrame]
    positions: Mapping[str, int]
    arms: Mapping[int, Any]

    @property
    def cells(self) -> Cells:
        """The cells of the design."""
        return self.readings[0][0]


def prepared(scores: pd.DataFrame, runs: pd.DataFrame, analysis: Analysis) -> Prepared:
    """Check both tables, and part the scores by task and metric.

    Raises:
        UnusableTable: As `effects` does.
    """
    check_analysis(analysis)
    cells = cells_of(runs, analysis)
    check_scores(scores, analysis.groups)
    positions = {str(run): position for position, run in enumerate(runs["run"])}
    by_measure = measures_of(counted(scores, runs))
    readings = _readings(cells, runs, analysis)
    return Prepared(readings, by_measure, positions, _arms([each for each, _, _ in readings], positions, analysis))


def counted(scores: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The scores of runs whose evaluation is done.

    Raises:
        UnusableTable: If a run is not in the table of runs.
    """
    unknown = set(scores["run"].unique()) - set(runs["run"].astype(str))
    if unknown:
        raise UnusableTable(f"scores: run: not in the table of runs, got {min(map(str, unknown))}. Leave its scores out.")
    is_left_out = scores["run"].isin(not_done(runs))
    return scores[~is_left_out] if is_left_out.any() else scores


def measures_of(scores: pd.DataFrame) -> dict[Measure, pd.DataFrame]:
    """The rows of each task and metric; without a copy where they follow each other, as millions may."""
    (of_task, tasks), (of_metric, metrics) = pd.factorize(scores["task"]), pd.factorize(scores["metric"])
    codes = of_task * max(len(metrics), 1) + of_metric
    ends = np.append(np.flatnonzero(np.diff(codes)) + 1, len(codes))
    are_together = len(ends) == len(np.unique(codes))
    found = {}
    for code in dict.fromkeys(codes[ends - 1].tolist()) if len(codes) else ():
        rows = np.flatnonzero(codes == code)
        measure = Measure(str(tasks[code // len(metrics)]), str(metrics[code % len(metrics)]))
        found[measure] = scores.iloc[rows[0] : rows[-1] + 1] if are_together else scores.iloc[rows]
    return found


def _compared(by_measure: Mapping[Measure, pd.DataFrame], analysis: Analysis) -> Iterator[tuple[Measure, tuple[Measure, ...]]]:
    """What has blocks of its own, by name: each measure, confirmatory ones first, then the differences between two."""
    order = lambda measure: (not analysis.is_primary(measure), measure.metric != analysis.primary, measure)  # noqa: E731
    for measure in sorted(by_measure, key=order):
        yield measure, (measure,)
    for difference in analysis.differences:
        yield difference.name, tuple(difference)


def _readings(cells: Cells, runs: pd.DataFrame, analysis: Analysis) -> list[tuple[Cells, Analysis, str]]:
    """The cells with their controls and all contrasts; then, by name, with controls of another kind, and contrasts with these."""
    kinds = [kind for kind in CONTROL_KINDS if kind in (analysis.kinds or KINDS)]
    wanted = replace(analysis, kinds=kinds)
    return [(cells, analysis, ""), *((cells.against(runs, name), wanted, name) for name in analysis.others if kinds)]


def _samples(part: Part, found: list[Panel]) -> Iterator[tuple[Part, Sample]]:
    """All items, then each group of them; items that have no such group are in none."""
    sample = Sample(tuple(found))
    yield part, sample
    for group, value, is_used in _groups(found[0].groups):
        if not all(panel.asked[:, is_used].any() for panel in found):  # of two tasks that are compared one has no such items
            continue
        yield replace(part, group=group, value=value), sample.within(is_used)


def _groups(groups: Mapping[str, Any]) -> Iterator[tuple[str, str, BoolArray]]:
    for name, values in groups.items():
        texts = np.array([str(value) for value in values])
        for text in sorted(set(texts) - {NOT_GROUPED}):
            yield name, text, texts == text


def _arms(readings: Sequence[Cells], positions: dict[str, int], analysis: Analysis) -> dict[int, Any]:
    """The arm of each run: runs of one arm must have one test set. Arms that share a control, of whatever kind, are one.

    Args:
        readings: The same cells with controls of each kind.
        positions: Per run its position in the table of runs.
        analysis: What is analysed.
    """
    cells = readings[0]
    axes = [cells.factors.index(name) for name in analysis.test_set_factors]
    arm_of_cell: list[Any] = [tuple(key[axis] for axis in axes) for key in cells.keys]
    for controls in (each.controls for each in readings):
        for control in dict.fromkeys(filter(None, controls)):
            same = {arm for arm, its_control in zip(arm_of_cell, controls, strict=True) if its_control == control}
            arm_of_cell = [min(same) if arm in same else arm for arm in arm_of_cell]
    arms: dict[int, Any] = {position: ("unused", position) for position in positions.values()}
    for runs, arm, *of_cell in zip(cells.runs, arm_of_cell, *(each.controls for each in readings), strict=True):
        arms |= dict.fromkeys((*runs, *(positions[control] for control in of_cell if control)), arm)
    return arms
