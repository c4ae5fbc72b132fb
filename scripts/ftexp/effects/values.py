"""Values: the columns of scores that a metric reads, as numbers, refused where unclean."""

import numpy as np
import pandas as pd

from ftexp.effects.arrays import Anything, BoolArray, FloatArray
from ftexp.effects.errors import UnusableTable
from ftexp.effects.limits import LARGEST, Limits
from ftexp.effects.metrics import UNNAMED, Mean, Metric, is_mean_of_scores


def values_of(part: pd.DataFrame, metric: Metric) -> tuple[Metric, dict[str, Anything], BoolArray]:
    """The metric, the columns that it reads, and which rows have a value in all of them: an empty one is a gap.

    The metric is the one given, but for one that nobody named and whose scores lie outside 0 to 1: it has no bounds.

    Raises:
        UnusableTable: If a column is missing, or a value is no number, infinite, or outside the metric's limits or the
            bounds that the analysis says.
    """
    missing = [name for name in metric.columns if name not in part]
    if missing:
        what = f"missing column, which {part['metric'].iloc[0]} needs"
        raise UnusableTable(f"scores: {', '.join(missing)}: {what}. Give one value per run, item and repetition.")
    values = {name: _numbers(part, name) for name in metric.columns}
    for name, column in values.items():
        _check_limits(part, name, column, Limits())
        if name in metric.limits:
            _check_limits(part, name, column, metric.limits[name])
    if is_mean_of_scores(metric):
        metric = _within_bounds(part, metric, values["score"])
    return metric, values, ~np.isnan(np.array(list(values.values()))).any(axis=0)


def _numbers(part: pd.DataFrame, name: str) -> FloatArray:
    """A column as numbers."""
    numbers = pd.to_numeric(part[name], errors="coerce")
    wrong = np.flatnonzero((numbers.isna() & part[name].notna()).to_numpy())
    if len(wrong):
        row = part.iloc[int(wrong[0])]
        what = f"must be a number (of a label its code: 0, 1, ..., and -1 for an answer that is none), got {row[name]!r}"
        raise UnusableTable(f"scores: {name}: run {row['run']}, item {row['item']}: {what}.")
    return numbers.to_numpy(dtype=np.float64)


def _check_limits(part: pd.DataFrame, name: str, column: FloatArray, limits: Limits) -> None:
    wrong = np.flatnonzero(limits.excludes(column))
    if len(wrong):
        row = part.iloc[int(wrong[0])]
        needs = limits if limits != Limits() else "a number" if np.isinf(column[wrong[0]]) else f"a number up to {LARGEST:g}"
        what = f"must be {needs}, or empty where there is none, got {row[name]}"
        raise UnusableTable(f"scores: {name}: run {row['run']}, item {row['item']}: {what}.")


def _within_bounds(part: pd.DataFrame, metric: Mean, scores: FloatArray) -> Mean:
    """The metric, without bounds where nobody said them and scores lie outside.

    Raises:
        UnusableTable: If a score lies outside the bounds that the analysis says.
    """
    if metric.bounds is None:
        return metric
    low, high = metric.bounds
    wrong = np.flatnonzero((scores < low) | (scores > high))
    if len(wrong) and metric is not UNNAMED:
        row = part.iloc[int(wrong[0])]
        what = f"must be from {low:g} to {high:g}, as the analysis says of {row['metric']}, got {row['score']}"
        raise UnusableTable(f"scores: score: run {row['run']}, item {row['item']}: {what}.")
    return Mean(bounds=None) if len(wrong) else metric
