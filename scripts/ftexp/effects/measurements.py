"""Measurements: from the long table of scores to a matrix of runs x items per task and metric, refused where unclean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ftexp.effects.arrays import Anything, BoolArray, FloatArray, IntArray
from ftexp.effects.errors import UnusableTable
from ftexp.effects.variances import Measured


def group_column(name: str) -> str:
    """The column of `scores` that holds a group, apart from the other columns whatever the group is called."""
    return f"group:{name}"


@dataclass(frozen=True)
class ItemScores:
    """One task and metric. R runs, N items, K test sets.

    Attributes:
        runs: (R,) positions in the table of runs.
        values: (R, N) score, averaged over repetitions; 0 where the run was not asked the item.
        test_sets: (R,) index of the run's test set.
        asked: (K, N) which items a test set has.
        clusters: (N,) index of the item's cluster.
        groups: Per group column (N,) the item's value.
    """

    runs: IntArray
    values: FloatArray
    test_sets: IntArray
    asked: BoolArray
    clusters: IntArray
    groups: dict[str, Anything]


def check_scores(scores: pd.DataFrame, groups: Sequence[str]) -> None:
    """Refuse a table that cannot be scores.

    Raises:
        UnusableTable: If a column is missing, or a run, task, metric, item or score is empty.
    """
    wanted = ["run", "task", "metric", "item", "cluster", "epoch", "score", *map(group_column, groups)]
    missing = [name for name in wanted if name not in scores]
    if missing:
        raise UnusableTable(f"scores: {', '.join(missing)}: missing column. Give one row per run, item and repetition.")


def item_scores(part: pd.DataFrame, positions: dict[str, int], arms: dict[int, Any], groups: Sequence[str]) -> ItemScores:
    """The matrix of one task and metric.

    Args:
        part: The rows of `scores` of one task and metric.
        positions: Per run id its position in the table of runs.
        arms: Per position the arm whose test set the run should have: runs of one arm must share their items.
        groups: Group columns.

    Raises:
        UnusableTable: If a score is not a number, an item is there twice in one repetition, an item has two clusters or two
            groups, or two runs of one arm were asked different items.
    """
    codes, names = pd.factorize(part["run"])
    order = np.argsort([positions[name] for name in names])
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    runs = np.array([positions[name] for name in names], dtype=np.int64)[order]
    rows = rank[codes]
    columns, items = pd.factorize(part["item"], sort=True)
    values = part["score"].to_numpy(dtype=np.float64)
    _check_values(part, values)
    _check_repetitions(part, rows * len(items) + columns)
    shape = (len(runs), len(items))
    count = np.bincount(rows * len(items) + columns, minlength=shape[0] * shape[1]).reshape(shape)
    total = np.bincount(rows * len(items) + columns, weights=values, minlength=shape[0] * shape[1]).reshape(shape)
    names_in_order = [str(names[index]) for index in order]
    test_sets, asked = _test_sets(count > 0, names_in_order, [arms[int(run)] for run in runs], items)
    return ItemScores(
        runs=runs, values=np.divide(total, count, out=np.zeros(shape), where=count > 0), test_sets=test_sets, asked=asked,
        clusters=_per_item(part, "cluster", columns, items)[0], groups=_groups(part, groups, columns, items),
    )


def _check_values(part: pd.DataFrame, values: FloatArray) -> None:
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        row = part.iloc[int(wrong[0])]
        raise UnusableTable(f"scores: score: run {row['run']}, item {row['item']}: must be a number, got {row['score']}.")


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
        "their own."
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
    groups = {}
    for name in names:
        codes, values = _per_item(part, group_column(name), columns, items)
        groups[name] = values[codes]
    return groups


def within(scores: ItemScores, is_used: BoolArray) -> ItemScores:
    """The same for some items (N,) only, without runs that were asked none of them."""
    is_left = (scores.asked[:, is_used].sum(axis=1) > 0)[scores.test_sets]
    sets, test_sets = np.unique(scores.test_sets[is_left], return_inverse=True)
    return ItemScores(
        runs=scores.runs[is_left], values=scores.values[np.ix_(is_left, is_used)],
        test_sets=np.asarray(test_sets, dtype=np.int64), asked=scores.asked[np.ix_(sets, is_used)],
        clusters=scores.clusters[is_used], groups={},
    )


def measured(scores: ItemScores, bounds: tuple[float, float] | None) -> Measured:
    """Means and clusters' deviations of all runs."""
    clusters, codes = np.unique(scores.clusters, return_inverse=True)
    n_items = scores.asked.sum(axis=1)
    of_run = n_items[scores.test_sets]
    means = scores.values.sum(axis=1) / of_run
    deviations = (scores.values - means[:, None]) / of_run[:, None]
    if len(n_items) > 1:
        deviations *= scores.asked[scores.test_sets]
    sizes = scores.asked.astype(np.float64)
    if len(clusters) < len(codes):
        deviations, sizes = _sums(deviations, codes), _sums(sizes, codes)
    return Measured(
        means=means, deviations=deviations, test_sets=scores.test_sets, sizes=sizes, n_items=n_items,
        n_clusters=(sizes > 0).sum(axis=1), bounds=bounds,
    )


def _sums(values: FloatArray, codes: IntArray) -> FloatArray:
    """(R, N) values summed over the clusters (G) of their columns."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return np.asarray(np.add.reduceat(values[:, order], starts, axis=1))
