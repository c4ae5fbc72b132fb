"""The table of effects as a page shows it: one row per contrast, both scopes side by side. Nothing is read or written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ftexp.effects import Analysis, detectable
from ftexp.reporting.claim_words import missing_runs
from ftexp.reporting.number_words import shown, shown_range

MOST_ROWS, MOST_OPEN_ROWS = 150, 12
HEADER = (
    "factor", "level", "instead of", "difference", "95 % interval, new items", "95 % interval, new items and seeds",
    "p (Holm), of the wider one", "items", "seeds", "beware",
)
KIND_TITLES = {
    "main": "Main effects: each level against the baseline, averaged over the other factors",
    "level": "Simple effects: each level against the baseline, the other factors at theirs",
    "interaction": "Interactions: by how much a difference differs (level, less each factor's level alone, plus neither)",
    "trend": "Trends of numeric factors",
    "average": "All tuned cells against the untuned model",
    "control": "Each tuned cell against the untuned model",
    "cells": "All tuned cells: the difference between the two",
    "cell": "Each tuned cell: the difference between the two",
}
LIST_TITLES = {"level": "Each cell against the baseline cell"}
OPEN_KINDS = ("main", "interaction", "trend", "average")


@dataclass(frozen=True)
class EffectsTable:
    """Rows of one kind; `left_out` further rows stand in effects.csv only."""

    title: str
    rows: list[list[str]]
    left_out: int


@dataclass(frozen=True)
class EffectsSection:
    """Tables that are shown, or folded away, together; the title is empty where they stand open."""

    title: str
    tables: list[EffectsTable]


def effects_sections(table: pd.DataFrame, analysis: Analysis) -> list[EffectsSection]:
    """The main tables of the primary metric, open; then folded the rest of them, each group, and each exploratory metric."""
    has_mains = (table["kind"] == "main").any()
    sections: dict[str, list[EffectsTable]] = {"": []}
    titles = {**KIND_TITLES, **(LIST_TITLES if analysis.design == "list" else {})}
    for (task, metric, kind), rows in table.groupby(["task", "metric", "kind"], sort=False):
        plain, _, group = str(kind).partition(" within ")
        title = _title(titles, plain) + (f", within {group}" if group else "")
        is_open = (plain in OPEN_KINDS and len(rows) <= 2 * MOST_OPEN_ROWS) or (plain == "level" and not has_mains)
        if metric != analysis.primary or task != (analysis.primary_task or task):
            section = f"Exploratory: {task}, {metric}"
        else:
            section = f"Within the values of {group}" if group else "" if is_open else _title(titles, plain)
        shown = _rows(rows)
        sections.setdefault(section, []).append(EffectsTable(title, shown[:MOST_ROWS], max(0, len(shown) - MOST_ROWS)))
    return [EffectsSection(title, tables) for title, tables in sections.items()]


def _title(titles: Mapping[str, str], kind: str) -> str:
    """The title of a kind; of what is compared with an existing checkpoint, `control against published`, with its name."""
    known, _, other = kind.partition(" against ")
    return titles[known].replace("the untuned model", other) if other else titles[known]


def sensitivity_rows(table: pd.DataFrame, analysis: Analysis) -> list[list[str]]:
    """Per factor the smallest difference with 80 % power: factor, for these very runs, over new seeds too."""
    is_primary = (table["metric"] == analysis.primary) & (table["task"] == (analysis.primary_task or table["task"]))
    sizes = detectable(table[is_primary])
    found: dict[str, dict[str, float]] = {}
    for _, row in sizes.iterrows():
        found.setdefault(str(row["factor"]), {})[str(row["scope"])] = row["detectable"]
    return [[name, *(_number(by_scope[scope]) for scope in ("models", "recipe"))] for name, by_scope in found.items()]


def _rows(rows: pd.DataFrame) -> list[list[str]]:
    models, recipe = (rows[rows["scope"] == scope] for scope in ("models", "recipe"))
    return [_row(one, other) for (_, one), (_, other) in zip(models.iterrows(), recipe.iterrows(), strict=True)]


def _row(models: "pd.Series[Any]", recipe: "pd.Series[Any]") -> list[str]:
    told = models if pd.isna(recipe["low"]) else recipe
    reason = models["reason"] or ("" if pd.isna(models["estimate"]) else recipe["reason"])
    beware = [models["flags"], missing_runs(reason) or reason]
    return [
        models["factor"], models["level"], models["reference"], _number(models["estimate"], is_signed=True), _interval(models),
        _interval(recipe), _p_value(told["p_holm"]), _items(models), _count(models["n_seeds"]),
        "; ".join(filter(None, beware)),
    ]


def _interval(row: "pd.Series[Any]") -> str:
    return "" if pd.isna(row["low"]) else shown_range(row["low"], row["high"])


def _p_value(value: float) -> str:
    if pd.isna(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float, *, is_signed: bool = False) -> str:
    return "" if pd.isna(value) else shown(value, is_signed=is_signed)


def _items(row: "pd.Series[Any]") -> str:
    """Number of items, and of the clusters that they come in."""
    items, clusters = _count(row["n_items"]), _count(row["n_clusters"])
    return items if items == clusters else f"{items} in {clusters} clusters"


def _count(value: Any) -> str:
    return "" if pd.isna(value) else str(int(value))
