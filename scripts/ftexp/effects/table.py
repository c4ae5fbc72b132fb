"""The table of effects: every contrast of every task, metric and group, in both scopes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ftexp.effects.analysis import Analysis
from ftexp.effects.arrays import BoolArray, IntArray
from ftexp.effects.bootstrap import answers, resampled
from ftexp.effects.cells import Cells, cells_of
from ftexp.effects.errors import UnusableTable
from ftexp.effects.families import with_holm
from ftexp.effects.measurements import check_scores, item_scores, measured, within
from ftexp.effects.rows import COLUMNS, Block, Part
from ftexp.effects.variances import Measured


def effects(scores: pd.DataFrame, runs: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """Say what each factor did, with honest uncertainty; rows and columns as the package's docstring has them.

    Args:
        scores: One row per run, item and repetition, of any number of tasks and metrics.
        runs: One row per planned run.
        analysis: Factors, baselines, metrics.

    Raises:
        UnusableTable: If the tables contradict each other: see `cells_of`, `check_scores` and `item_scores`.
    """
    cells = cells_of(runs, analysis)
    check_scores(scores, analysis.groups)
    positions = {str(run): position for position, run in enumerate(runs["run"])}
    unknown = set(scores["run"].unique()) - set(positions)
    if unknown:
        raise UnusableTable(f"scores: run: not in the table of runs, got {min(map(str, unknown))}. Leave its scores out.")
    scores = scores[~scores["run"].isin(_not_done(runs))]
    blocks = []
    by_metric = {(str(task), str(metric)): rows for (task, metric), rows in scores.groupby(["task", "metric"])}
    for task, metric in sorted(by_metric, key=lambda names: (names[1] != analysis.primary, names)):
        rows = by_metric[task, metric]
        for part, numbers, of_runs in _measurements(rows, Part(task, metric), positions, cells, analysis):
            blocks.append(Block(cells, runs, analysis, part, numbers, of_runs).frame())
    blocks = [block for block in blocks if len(block)]
    if not blocks:
        return pd.DataFrame(columns=list(COLUMNS))
    return with_holm(pd.concat(blocks, ignore_index=True))[list(COLUMNS)]


def _not_done(runs: pd.DataFrame) -> list[str]:
    """Runs whose evaluation is not done: what they scored before does not count."""
    if "eval_status" not in runs:
        return []
    return list(runs["run"][runs["eval_status"].fillna("") != "done"])


def _measurements(
    rows: pd.DataFrame, part: Part, positions: dict[str, int], cells: Cells, analysis: Analysis
) -> Iterator[tuple[Part, Measured, IntArray]]:
    """All items, then each group of them: measured runs and their positions in the table of runs."""
    arms = _arms(cells, positions, analysis)
    bounds = analysis.bounds(part.metric)
    custom = analysis.custom.get(part.metric)
    if custom is None:
        scores = item_scores(rows, positions, arms, analysis.groups)
        yield part, measured(scores, bounds), scores.runs
        for group, value, is_used in _groups(scores.groups):
            few = within(scores, is_used)
            yield Part(part.task, part.metric, group, value), measured(few, bounds), few.runs
        return
    given = answers(rows, positions, arms, analysis.groups)
    everything = np.ones(len(given.items.clusters), dtype=bool)
    for group, value, is_used in [("", "", everything), *_groups(given.items.groups)]:
        numbers, of_runs = resampled(given, custom, is_used=is_used, resamples=analysis.resamples, bounds=bounds)
        yield Part(part.task, part.metric, group, value), numbers, of_runs


def _groups(groups: dict[str, Any]) -> Iterator[tuple[str, str, BoolArray]]:
    for name, values in groups.items():
        texts = np.array([str(value) for value in values])
        for text in sorted(set(texts)):
            yield name, text, texts == text


def _arms(cells: Cells, positions: dict[str, int], analysis: Analysis) -> dict[int, Any]:
    """The arm of each run: runs of one arm must have one test set. Arms that share a control are one."""
    axes = [cells.factors.index(name) for name in analysis.test_set_factors]
    arm_of_cell: list[Any] = [tuple(key[axis] for axis in axes) for key in cells.keys]
    for control in dict.fromkeys(filter(None, cells.controls)):
        same = {arm for arm, its_control in zip(arm_of_cell, cells.controls, strict=True) if its_control == control}
        arm_of_cell = [min(same) if arm in same else arm for arm in arm_of_cell]
    arms: dict[int, Any] = {position: ("unused", position) for position in positions.values()}
    for runs, control, arm in zip(cells.runs, cells.controls, arm_of_cell, strict=True):
        arms |= dict.fromkeys(runs, arm)
        if control:
            arms[_control_position(control, positions)] = arm
    return arms


def _control_position(control: str, positions: dict[str, int]) -> int:
    if control not in positions:
        raise UnusableTable(f"runs: control: not in the table of runs, got {control}. Add its row.")
    return positions[control]
