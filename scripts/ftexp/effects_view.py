"""The table of effects as a page shows it: one row per contrast, both scopes side by side. Nothing is read or written."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from ftexp.effects import Analysis

MOST_ROWS = 150
HEADER = (
    "factor", "level", "instead of", "difference", "95 % interval, new items", "95 % interval, new items and seeds", "p (Holm)",
    "items", "seeds", "beware",
)
KIND_TITLES = {
    "main": "Main effects: each level against the baseline, averaged over the other factors",
    "level": "Simple effects: each level against the baseline, the other factors at theirs",
    "interaction": "Interactions: differences of differences",
    "trend": "Trends of numeric factors",
    "average": "All tuned cells against the untuned model",
    "control": "Each tuned cell against the untuned model",
}
OPEN_KINDS = ("main", "interaction", "trend", "average")


@dataclass(frozen=True)
class EffectsTable:
    """Rows of one kind and metric; `left_out` further rows stand in effects.csv only."""

    title: str
    is_open: bool
    rows: list[list[str]]
    left_out: int


def effects_tables(table: pd.DataFrame, analysis: Analysis) -> list[EffectsTable]:
    """One table per metric and kind, the confirmatory ones first; the main ones of the primary metric stand open."""
    found = []
    for (metric, kind), rows in table.groupby(["metric", "kind"], sort=False):
        plain, _, group = str(kind).partition(" within ")
        title = KIND_TITLES[plain] + (f", within {group}" if group else "")
        is_primary = metric == analysis.primary
        has_mains = (table["kind"] == "main").any()
        is_open = is_primary and not group and (plain in OPEN_KINDS or (plain == "level" and not has_mains))
        shown = _rows(rows)
        name = title if is_primary else f"{metric} (exploratory). {title}"
        found.append(EffectsTable(name, is_open, shown[:MOST_ROWS], max(0, len(shown) - MOST_ROWS)))
    order = list(KIND_TITLES.values())
    return sorted(found, key=lambda t: (not t.is_open, order.index(t.title) if t.title in order else len(order)))


def _rows(rows: pd.DataFrame) -> list[list[str]]:
    models, recipe = (rows[rows["scope"] == scope] for scope in ("models", "recipe"))
    return [_row(one, other) for (_, one), (_, other) in zip(models.iterrows(), recipe.iterrows(), strict=True)]


def _row(models: "pd.Series[Any]", recipe: "pd.Series[Any]") -> list[str]:
    told = models if pd.isna(recipe["low"]) else recipe
    beware = [models["flags"], models["reason"] or ("" if pd.isna(models["estimate"]) else recipe["reason"])]
    return [
        models["factor"], models["level"], models["reference"], _number(models["estimate"], "+.3f"), _interval(models),
        _interval(recipe), _number(told["p_holm"], ".3f"), _count(models["n_items"]), _count(models["n_seeds"]),
        "; ".join(filter(None, beware)),
    ]


def _interval(row: "pd.Series[Any]") -> str:
    return "" if pd.isna(row["low"]) else f"{row['low']:.3f} to {row['high']:.3f}".replace("-", "−")


def _number(value: float, form: str) -> str:
    if pd.isna(value):
        return ""
    if form == ".3f" and value < 0.001:
        return "< 0.001"
    return format(value, form).replace("-", "−")


def _count(value: Any) -> str:
    return "" if pd.isna(value) else str(int(value))
