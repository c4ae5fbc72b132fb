"""Two tasks side by side: each cell's value of both, and their difference with its interval. Nothing is read or written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ftexp.effects import Difference
from ftexp.reporting.claim_words import best_scope, range_in_words
from ftexp.reporting.measure_words import NO_KINDS, words_of
from ftexp.reporting.number_words import shown
from ftexp.results.cells import Cell


@dataclass(frozen=True)
class TaskContrast:
    """One difference between two measures.

    Attributes:
        title: `out minus in, exact`.
        header: cell, the two measures, difference, 95 % interval.
        rows: Texts, a row per cell, and the average of the cells last.
        note: What the intervals are over, and whether items are paired.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    note: str


def task_contrasts(
    effects: pd.DataFrame, table: pd.DataFrame, cells: Sequence[Cell], differences: Sequence[Difference],
    kinds: Mapping[str, str] = NO_KINDS,
) -> list[TaskContrast]:
    """A table per difference that the effects have rows of.

    Args:
        effects: What `effects` returned; of it kinds `cell` and `cells`.
        table: What `cells_table` returned.
        cells: The cells that it is of, as many and in the order in which the effects have them.
        differences: What was compared.
        kinds: As `words_of` takes them.
    """
    means = {(row["cell"], row["task"], row["metric"]): row["mean"] for row in table.to_dict("records")}
    names = _names(cells)
    found = []
    for difference in differences:
        name = difference.name
        own = effects[(effects["task"] == name.task) & (effects["metric"] == name.metric)]
        rows = [row for kind in ("cell", "cells") for _, row in best_scope(own[own["kind"] == kind]).iterrows()]
        if not rows:
            continue
        body = []
        for row in rows:
            cell = names.get(row["level"], row["level"])
            values = [means.get((cell, *measure)) for measure in difference]
            texts = [
                "" if value is None or pd.isna(value) else words_of(measure.metric, kinds).number(value)
                for measure, value in zip(difference, values, strict=True)
            ]
            body.append([cell, *texts, _signed(row["estimate"]), "" if pd.isna(row["low"]) else range_in_words(row)])
        header = ["cell", *(f"{task}: {metric}" for task, metric in difference), "difference", "95 % interval"]
        found.append(TaskContrast(f"{name.task}, {name.metric}", header, body, _note(rows)))
    return found


def _names(cells: Sequence[Cell]) -> dict[str, str]:
    """From a cell's words in the table of effects to its name."""
    trained = [cell for cell in cells if cell.kind != "control"]
    factors = list(trained[0].levels) if trained else []
    varied = [name for name in factors if len({cell.levels[name] for cell in trained}) > 1] or factors
    return {", ".join(f"{name}={cell.levels[name]}" for name in varied): cell.name for cell in trained}


def _signed(value: float) -> str:
    return "" if pd.isna(value) else shown(value, is_signed=True)


def _note(rows: "Sequence[pd.Series[Any]]") -> str:
    known = [row for row in rows if not pd.isna(row["low"])]
    methods = dict.fromkeys(str(row["method"]).split("; ")[0] for row in known)
    scopes = {str(row["scope"]) for row in known}
    if not known:
        return "No interval is known."
    paired = {
        "paired": "item by item, as both are asked of the same items",
        "unpaired": "between other items, so that these are unpaired",
    }
    how = " or ".join(paired.get(method, method) for method in methods)
    where = " where there are several" if "models" in scopes else ""
    seeds = f" and new seeds{where}" if "recipe" in scopes else ""
    return f"Differences are {how}; intervals are over new items{seeds}."
