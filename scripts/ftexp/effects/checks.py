"""Checks: what is wrong with the analysis, with the rows of scores, or with a difference of measures, in one sentence."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, get_args, get_type_hints

import numpy as np
import pandas as pd

from ftexp.effects.analysis import Analysis, Measure
from ftexp.effects.contrasts import KINDS
from ftexp.effects.errors import UnusableTable
from ftexp.effects.measurements import group_column

REQUIRED = ("run", "task", "metric", "item", "cluster", "epoch")


def check_analysis(analysis: Analysis) -> None:
    """Refuse names that stand for nothing.

    Raises:
        UnusableTable: If a factor, a kind of contrasts or a design is not known.
    """
    factors = list(analysis.factors)
    for name in ("chosen", "test_set_factors"):
        _check_names(f"analysis: {name}", getattr(analysis, name), factors, "factor")
    for name in analysis.baseline:
        _check_names(f"experiment.yaml: baseline.{name}", [name], factors, "factor")
    _check_names("analysis: kinds", analysis.kinds, KINDS, "kind of contrasts")
    _check_names("analysis: design", [analysis.design], get_args(get_type_hints(Analysis)["design"]), "design")


def _check_names(key: str, names: Iterable[Any], valid: Sequence[str], what: str) -> None:
    for name in names:
        if name not in valid:
            raise UnusableTable(f"{key}: not a {what}, got {name!r}. Valid here: {', '.join(map(str, valid)) or 'none'}.")


def check_scores(scores: pd.DataFrame, groups: Sequence[str]) -> None:
    """Refuse a table that cannot be scores.

    Raises:
        UnusableTable: If a column is missing, or empty in some row; of numbers and groups an empty one says something.
    """
    missing = [name for name in (*REQUIRED, *map(group_column, groups)) if name not in scores]
    if missing:
        raise UnusableTable(f"scores: {', '.join(missing)}: missing column. Give one row per run, item and repetition.")
    for name in REQUIRED:
        empty = np.flatnonzero((scores[name].isna() | (scores[name] == "")).to_numpy(dtype=bool))
        if len(empty):
            row = scores.iloc[int(empty[0])]
            where = ", ".join(f"{other} {row[other]}" for other in ("run", "task", "metric", "item") if other != name)
            hint = "Write the item there where it belongs to no cluster" if name == "cluster" else "Fill it in, or remove the row"
            raise UnusableTable(f"scores: {name}: {where}: is empty, as in {len(empty)} of {len(scores)} rows. {hint}.")


def check_differences(known: Collection[Measure], analysis: Analysis) -> None:
    """A difference is of two measures that are there and of one kind: of the same range, and better in the same direction.

    Raises:
        UnusableTable: If one is not, is of one measure alone, or is there twice.
    """
    seen: set[tuple[Measure, Measure]] = set()
    for difference in analysis.differences:
        one, other = (Measure(*measure) for measure in difference)
        for measure in (one, other):
            if measure not in known:
                there = ", ".join(f"{task}/{metric}" for task, metric in known)
                raise UnusableTable(f"differences: {measure.task}/{measure.metric}: has no scores. There are: {there or 'none'}.")
        name = f"{one.task}/{one.metric} minus {other.task}/{other.metric}"
        if one == other:
            raise UnusableTable(f"differences: {name}: is of a measure with itself, always 0. Name two measures.")
        if (one, other) in seen:
            raise UnusableTable(f"differences: {name}: is there twice. Remove one.")
        seen.add((one, other))
        _check_kind(one, other, analysis)


def _check_kind(one: Measure, other: Measure, analysis: Analysis) -> None:
    first, second = (analysis.metric(measure.metric) for measure in (one, other))
    if (first.bounds, first.higher_is_better) != (second.bounds, second.higher_is_better):
        raise UnusableTable(
            f"differences: {one.metric} and {other.metric}: not of one kind, as their ranges, or which of their ends is better, "
            "differ. Compare metrics of one kind, or one metric on two tasks."
        )
