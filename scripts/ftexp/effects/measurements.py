"""Measurements: from the long table of scores to the values of all runs and what each cluster of items adds to their errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ftexp.effects.arrays import Anything, BoolArray, IntArray
from ftexp.effects.errors import UnusableTable
from ftexp.effects.metrics import Metric, Rows, is_mean_of_scores
from ftexp.effects.values import values_of
from ftexp.effects.variances import Measured

# The value of a group where items of a task have none: a character that Unicode keeps from texts. An empty text is a value like
# any other, and numpy cuts \0 off the end of one.
NOT_GROUPED = "\ufdd0"


def group_column(name: str) -> str:
    """The column of `scores` that holds a group, apart from the other columns whatever the group is called."""
    return f"group:{name}"


@dataclass(frozen=True)
class Panel:
    """What the runs were asked and answered, by one measure. R runs, N items, K test sets, L rows that have a score.

    Attributes:
        runs: (R,) positions in the table of runs.
        test_sets: (R,) index of the run's test set.
        asked: (K, N) which items a test set has.
        clusters: (N,) index of the item's cluster.
        groups: Per group column (N,) the item's value.
        rows: L rows, of a mean one per run and item, else one per run, item and repetition.
        items: (L,) the item of each row.
        metric: How a run's value comes from its rows.
        is_proportion: Whether the metric is a mean of zeros and ones.
    """

    runs: IntArray
    test_sets: IntArray
    asked: BoolArray
    clusters: IntArray
    groups: Mapping[str, Anything]
    rows: Rows
    items: IntArray
    metric: Metric
    is_proportion: bool = False

    @cached_property
    def has_score(self) -> BoolArray:
        """(R, N) items that a run has a score of."""
        shape = (len(self.runs), self.asked.shape[1])
        counts = np.bincount(self.rows.runs * shape[1] + self.items, minlength=shape[0] * shape[1])
        return np.asarray(counts.reshape(shape) > 0)

    @cached_property
    def gaps(self) -> BoolArray | None:
        """(R, N) items that a run was asked and has no score of; None where there is none."""
        gaps = self.asked[self.test_sets] & ~self.has_score
        return gaps if gaps.any() else None


def panels(
    parts: Sequence[tuple[pd.DataFrame, Metric]], positions: Mapping[str, int], arms: Mapping[int, Any], groups: Sequence[str]
) -> list[Panel]:
    """One panel per part; all count the same items and clusters, so that what parts have in common is paired.

    Args:
        parts: The rows of `scores` of one task and metric, and the metric.
        positions: Per run id its position in the table of runs.
        arms: Per position the arm whose test set the run should have: runs of one arm must share their items.
        groups: Group columns.

    Raises:
        UnusableTable: If a value is not a number, an item is there twice in one repetition, an item has two clusters or two
            groups, or two runs of one arm were asked different items.
    """
    together = pd.concat([part for part, _ in parts], ignore_index=True) if len(parts) > 1 else parts[0][0]
    columns, items = pd.factorize(together["item"], sort=True)
    clusters = _per_item(together, "cluster", columns, items)[0]
    of_groups = _groups(together, groups, columns, items)
    found, end = [], 0
    for part, metric in parts:
        begin, end = end, end + len(part)
        found.append(_panel(part, metric, (columns[begin:end], items), (positions, arms), (clusters, of_groups)))
    return found


def _panel(
    part: pd.DataFrame, metric: Metric, of_items: tuple[IntArray, Any], of_runs: tuple[Mapping[str, int], Mapping[int, Any]],
    by_item: tuple[IntArray, Mapping[str, Anything]],
) -> Panel:
    """The panel of one part: `of_items` are the rows' items and all items, `by_item` their clusters and groups."""
    columns, items = of_items
    positions, arms = of_runs
    codes, names = pd.factorize(part["run"])
    order = np.argsort([positions[name] for name in names])
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    runs = np.array([positions[name] for name in names], dtype=np.int64)[order]
    cells = rank[codes] * len(items) + columns
    metric, values, has_score = values_of(part, metric)
    _check_repetitions(part, cells)
    shape = (len(runs), len(items))
    is_asked = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape) > 0
    test_sets, asked = _test_sets(is_asked, [str(names[i]) for i in order], [arms[int(run)] for run in runs], items)
    cells, values = cells[has_score], {name: column[has_score] for name, column in values.items()}
    is_mean = is_mean_of_scores(metric)
    is_proportion = is_mean and metric.bounds == (0.0, 1.0) and bool(np.isin(values["score"], (0.0, 1.0)).all())
    if is_mean:
        cells, values = _averaged_over_repetitions(cells, values["score"], shape)
    rows = Rows(cells // shape[1], len(runs), values)
    return Panel(runs, test_sets, asked, *by_item, rows, cells % shape[1], metric, is_proportion)


def _averaged_over_repetitions(
    cells: IntArray, scores: Anything, shape: tuple[int, int]
) -> tuple[IntArray, dict[str, Anything]]:
    """One row per run and item: the mean of its repetitions."""
    count = np.bincount(cells, minlength=shape[0] * shape[1])
    total = np.bincount(cells, weights=scores, minlength=shape[0] * shape[1])
    found = np.flatnonzero(count)
    return found, {"score": total[found] / count[found]}


def _check_repetitions(part: pd.DataFrame, pairs: IntArray) -> None:
    """An item of a run has one row per epoch."""
    epochs = pd.factorize(part["epoch"])[0]
    keys = pairs * (int(epochs.max()) + 1) + epochs
    order = np.argsort(keys, kind="stable")
    twice = np.flatnonzero(np.diff(keys[order]) == 0)
    if len(twice):
        row = part.iloc[int(order[twice[0] + 1])]
        raise UnusableTable(f"scores: run {row['run']}, item {row['item']}: is there twice in epoch {row['epoch']}. Remove one.")


def _test_sets(is_asked: BoolArray, names: list[str], arms: list[Any], items: Any) -> tuple[IntArray, BoolArray]:
    """Index of each run's test set (R,) and the sets' items (K, N).

    Raises:
        UnusableTable: If two runs of one arm were asked different items.
    """
    asked, sets = np.unique(is_asked, axis=0, return_inverse=True) if not is_asked.all() else (is_asked[:1], None)
    if sets is None:
        return np.zeros(len(names), dtype=np.int64), asked
    first: dict[Any, int] = {}
    for run, arm in enumerate(arms):
        other = first.setdefault(arm, run)
        if sets[run] != sets[other]:
            raise UnusableTable(_mismatch(names[other], names[run], is_asked[other], is_asked[run], items))
    return np.asarray(sets, dtype=np.int64).reshape(-1), asked


def _mismatch(one: str, other: str, items_of_one: BoolArray, items_of_other: BoolArray, items: Any) -> str:
    only_one, only_other = np.flatnonzero(items_of_one & ~items_of_other), np.flatnonzero(items_of_other & ~items_of_one)
    example = items[[*only_one, *only_other][0]]
    return (
        f"scores: item: runs {one} and {other} were asked different items ({len(only_one)} only of {one}, {len(only_other)} only "
        f"of {other}), for example {example}. Evaluate both on one test set, or name the factor whose levels have test sets of "
        "their own; an item that could not be scored has a row with an empty score."
    )


def _per_item(part: pd.DataFrame, name: str, columns: IntArray, items: Any) -> tuple[IntArray, Anything]:
    """Code (N,) of each item's value in a column, and the values.

    Raises:
        UnusableTable: If an item has two values.
    """
    codes, values = pd.factorize(part[name], sort=True, use_na_sentinel=False)
    of_item = np.zeros(len(items), dtype=np.int64)
    of_item[columns] = codes
    wrong = np.flatnonzero(of_item[columns] != codes)
    if len(wrong):
        pair = f"{values[codes[wrong[0]]]} and {values[of_item[columns[wrong[0]]]]}"
        raise UnusableTable(f"scores: {name}: item {items[columns[wrong[0]]]} has two values, got {pair}. It must have one.")
    return of_item, np.asarray(values)


def _groups(part: pd.DataFrame, names: Sequence[str], columns: IntArray, items: Any) -> dict[str, Anything]:
    """Per group column (N,) the item's value; where one task says it and another does not, it is said."""
    groups = {}
    for name in names:
        is_in = (part[group_column(name)] != NOT_GROUPED).to_numpy(dtype=bool)
        codes, values = _per_item(part[is_in], group_column(name), columns[is_in], items)
        groups[name] = np.full(len(items), NOT_GROUPED, dtype=object)
        there = np.unique(columns[is_in])
        groups[name][there] = values[codes[there]]
    return groups


def within(panel: Panel, is_used: BoolArray, runs: IntArray | None = None) -> Panel:
    """The same for some items (N,) only, and with the scores of some runs, by their positions in the table of runs."""
    is_kept = is_used[panel.items]
    if runs is not None:
        is_kept &= np.isin(panel.runs, runs)[panel.rows.runs]
    columns = {name: column[is_kept] for name, column in panel.rows.columns.items()}
    return replace(
        panel, asked=panel.asked[:, is_used], clusters=panel.clusters[is_used], groups={},
        rows=Rows(panel.rows.runs[is_kept], panel.rows.n_runs, columns), items=(np.cumsum(is_used) - 1)[panel.items[is_kept]],
    )


def measured(panel: Panel) -> Measured:
    """Values of the runs and their clusters' errors; without runs whose value is not defined."""
    found = panel.metric.influences(panel.rows)
    clusters, units = np.unique(panel.clusters, return_inverse=True)
    shape = (panel.rows.n_runs, len(clusters))
    places = panel.rows.runs * shape[1] + units[panel.items]
    deviations, shares = (
        np.bincount(places, weights=each, minlength=shape[0] * shape[1]).astype(np.float64).reshape(shape)
        for each in (found.influences, found.shares)
    )
    runs = np.flatnonzero(np.isfinite(found.values))
    sets, test_sets = np.unique(panel.test_sets[runs], return_inverse=True)
    return Measured(
        means=found.values[runs], deviations=deviations[runs], test_sets=np.asarray(test_sets, dtype=np.int64),
        shares=shares[runs], asked=panel.asked[sets],
        bounds=panel.metric.bounds, is_proportion=panel.is_proportion, runs=panel.runs[runs],
    )
