"""cells.csv for reading: one row per cell, its tasks and metrics side by side. Nothing is read or written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ftexp.reporting.measure_words import NO_KINDS, MeasureWords, words_of

MOST_MEASURES = 8
NOT_ASKED, NO_VALUE = "not asked", "no value"


@dataclass(frozen=True)
class CellsView:
    """The table of cells.

    Attributes:
        header: One name per column; `first_number` is the place of the first that holds numbers.
        rows: Texts; `mean ± sd`, or the mean alone where there is one seed.
        left_out: Tasks and metrics that stand in cells.csv only, `task/metric`.
    """

    header: list[str]
    first_number: int
    rows: list[list[str]]
    left_out: list[str]


def cells_view(
    table: pd.DataFrame, factors: Sequence[str], primary: tuple[str, str], kinds: Mapping[str, str] = NO_KINDS
) -> CellsView:
    """The table as the report begins with it, cells in the order of the design.

    Args:
        table: What `cells_table` returned.
        factors: Names of the factors, without the seed.
        primary: Task and metric that come first.
        kinds: As `words_of` takes them.
    """
    measures = ordered_measures(table, primary)
    shown = measures[:MOST_MEASURES]
    has_tasks = len({task for task, _ in measures}) > 1
    named = [f"{task}: {metric}" if has_tasks else metric for task, metric in shown]
    cells: dict[str, tuple[list[str], dict[tuple[str, str], str]]] = {}
    for row in table.to_dict("records"):
        words = words_of(row["metric"], kinds)
        start = [row["cell"] if row["kind"] == "control" else "trained", *(row[name] for name in factors), str(row["runs"])]
        _, texts = cells.setdefault(row["cell"], (start, {}))
        texts[row["task"], row["metric"]] = _text(row, words)
    rows = [[*start, *(texts.get(measure, NOT_ASKED) for measure in shown)] for start, texts in cells.values()]
    left_out = [f"{task}/{metric}" for task, metric in measures[MOST_MEASURES:]]
    return CellsView(["cell", *factors, "runs", *named], 1 + len(factors), rows, left_out)


def ordered_measures(table: pd.DataFrame, primary: tuple[str, str]) -> list[tuple[str, str]]:
    """Each task and metric once: the primary one, its metric in other tasks, the first of each that lacks it, then all others."""
    known = list(dict.fromkeys(zip(table["task"], table["metric"], strict=True)))
    by_primary = {task for task, metric in known if metric == primary[1]}
    first = {measure for measure in known if measure[1] == primary[1] or measure[0] not in by_primary}
    of_task = {measure[0]: measure for measure in reversed(known) if measure in first}
    return sorted(known, key=lambda measure: (
        measure != primary, measure[1] != primary[1], measure != of_task[measure[0]], measure[0] != primary[0]
    ))


def _text(row: Mapping[Any, Any], words: MeasureWords) -> str:
    if row["n_seeds"] == 0:
        return NO_VALUE
    mean = words.number(row["mean"])
    spread = "" if pd.isna(row["sd"]) else f" ± {words.number(row['sd'])}"
    return mean + spread + (f" ({row['n_seeds']} of {row['runs']})" if row["n_seeds"] < row["runs"] else "")
