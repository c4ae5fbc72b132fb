"""The means of a factor's levels, task by task, with intervals of their own: what is trained against what is asked.

R runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ftexp.effects.analysis import Analysis
from ftexp.effects.arrays import FloatArray, IntArray
from ftexp.effects.cells import Cells
from ftexp.effects.means import intervals
from ftexp.effects.measurements import Panel, panels
from ftexp.effects.rows import replication_of
from ftexp.effects.samples import SCOPES, Comparison, Sample
from ftexp.effects.table import Prepared, prepared

COLUMNS = ("level", "task", "mean", "low", "high", "scope")


def level_means(scores: pd.DataFrame, runs: pd.DataFrame, analysis: Analysis, factor: str, metric: str = "") -> pd.DataFrame:
    """The mean of each level of a factor, and of each control, by one metric, in every task that has it.

    A level's mean is over the cells that have it and finished runs, each cell alike, and in a cell over its seeds. Its variance
    has the same parts as an effect's (`estimates`); an average over cells has the wider of two intervals, as there. Where it
    stands on one run only, the interval is that of `means`. Items that one of its runs has no score of are left out.

    Args:
        scores: As `effects` reads them.
        runs: As `effects` reads them.
        analysis: How to read both.
        factor: One of its factors.
        metric: Whose values; the primary one where it is empty.

    Returns:
        A row per level, in declared order, then per control, and task, tasks as they come in `scores`: level (of a control its
        id), task, mean, low, high (95 %, or by `analysis.alpha`; within the metric's bounds), scope (`recipe`: over new items
        and seeds; `models`: over new items, where nothing is known of seeds; empty where there is no interval). Without numbers
        where no run of the level has a value.

    Raises:
        UnusableTable: As `effects`.
    """
    ready, wanted = prepared(scores, runs, analysis), metric or analysis.primary
    axis = ready.cells.factors.index(factor)
    tables = []
    for measure, rows in ready.by_measure.items():
        if measure.metric == wanted:
            panel = panels([(rows, analysis.metric(wanted))], ready.positions, ready.arms, ())[0]
            tables.append(_of_task(panel, runs, ready, (axis, analysis.alpha)).assign(task=measure.task))
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


@dataclass(frozen=True)
class _Row:
    """One row: its name, over how many cells it is, and the weight (R,) of each run."""

    name: str
    cells: int
    weights: FloatArray


def _of_task(panel: Panel, runs: pd.DataFrame, ready: Prepared, how: tuple[int, float]) -> pd.DataFrame:
    """All rows of one task; `how` is the factor's axis and alpha."""
    axis, alpha = how
    sample = Sample((panel,))
    measured = sample.measured
    rows = [*_levels(ready.cells, axis, measured.runs), *_controls(runs, measured.runs)]
    weights = np.array([row.weights for row in rows])
    is_average = np.array([row.cells > 1 for row in rows])
    found = Comparison(sample, measured, weights, is_average, replication_of(ready.cells, runs, measured)).found(alpha)
    is_recipe = found["recipe low"].notna().to_numpy()
    ends = {end: np.where(is_recipe, found[f"recipe {end}"], found[f"models {end}"]) for end in ("low", "high")}
    alone = np.flatnonzero((weights != 0).sum(axis=1) == 1)
    of_runs = (weights[alone] != 0).argmax(axis=1)
    for end, own in zip(("low", "high"), intervals(panel, measured, alpha)[:2], strict=True):
        ends[end][alone] = own[of_runs]
    bounds = panel.metric.bounds or (-np.inf, np.inf)
    table = pd.DataFrame({
        "level": [row.name for row in rows], "mean": found["estimate"],
        "low": ends["low"].clip(*bounds), "high": ends["high"].clip(*bounds),
    })
    scopes = np.where(is_recipe, SCOPES[1], np.where(table["low"].notna(), SCOPES[0], ""))
    table.loc[~(weights != 0).any(axis=1), ["mean", "low", "high"]] = np.nan
    return table.assign(scope=np.where(table["low"].notna(), scopes, ""))


def _levels(cells: Cells, axis: int, measured: IntArray) -> Iterator[_Row]:
    """The levels of a factor, their cells alike, the seeds of a cell alike; `measured` (R,) positions of the runs."""
    place = {int(run): row for row, run in enumerate(measured)}
    for level, name in enumerate(cells.labels[axis]):
        of_level = [runs for key, runs in zip(cells.keys, cells.runs, strict=True) if key[axis] == level]
        known = [rows for runs in of_level if (rows := [place[run] for run in runs if run in place])]
        weights = np.zeros(len(measured))
        for rows in known:
            weights[rows] = 1 / len(known) / len(rows)
        yield _Row(name, len(known), weights)


def _controls(runs: pd.DataFrame, measured: IntArray) -> Iterator[_Row]:
    """Every control, and every existing checkpoint."""
    for position in np.flatnonzero((runs["kind"] == "control").to_numpy()):
        yield _Row(str(runs["run"].iloc[position]), 1, (measured == position).astype(np.float64))
