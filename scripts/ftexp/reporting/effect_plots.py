"""Plots of effects: each level against the baseline in both scopes, and how two factors act together.

Nothing is read or written. The same input, the same bytes.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from ftexp.design.levels import label_text
from ftexp.design.settings import SEED
from ftexp.reporting.number_words import shown, shown_range
from ftexp.reporting.plots import Plot, Point, draw_floors, file_stem, floor_caption, level_ticks, places_of
from ftexp.reporting.svg_figure import COLOURS, draw_picture, group_looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NO_CLAIM_COLOUR = "#6b6b6b"
SEED_COLOUR = "#D55E00"
MOST_LINES = 6
MOST_WRITTEN = 81


def effect_plot(
    factor: str, rows: pd.DataFrame, points: Sequence[Point], *, metric: str, baseline: Mapping[str, str]
) -> Plot:
    """Each level minus the baseline: the estimate, its intervals in both scopes, and a point per seed.

    Args:
        factor: The factor, or `A, B` of cells that differ from the baseline in both.
        rows: The factor's rows of effects.csv of one kind (`main`, or `level` where nothing is averaged), both scopes.
        points: Score of every evaluated run.
        baseline: Per factor the text of its baseline level.
    """
    name, title = f"effect-{file_stem(factor)}", f"Effect of {factor}"
    models, recipe = (rows[rows["scope"] == scope].reset_index(drop=True) for scope in ("models", "recipe"))
    if models["estimate"].isna().all():
        reasons = "; ".join(dict.fromkeys(models["reason"].dropna()))
        return Plot(name, title, None, f"No effect can be estimated: {reasons or 'no run is evaluated yet'}.")
    is_main = bool(models["kind"].iloc[0] == "main")
    own = points if is_main else [point for point in points if _is_at(baseline, point, factor)]
    labels = [f"{level} − {reference}" for level, reference in zip(models["level"], models["reference"], strict=True)]

    def draw(axes: "Axes") -> None:
        axes.axvline(0, color="#222222", linewidth=1, linestyle="--")
        for y in range(len(models)):
            wide = recipe.iloc[y] if not math.isnan(recipe["low"].iloc[y]) else None
            _draw_effect(axes, y, models.iloc[y], wide)
            differences = seed_differences(own, factor, models["level"].iloc[y], models["reference"].iloc[y])
            axes.plot(differences, [y + 0.22] * len(differences), "o", color=SEED_COLOUR, markersize=4, markeredgewidth=0)
        axes.set_yticks(range(len(models)), labels)
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.set_xlabel(f"difference in score ({metric}) between levels of {factor}")

    picture = draw_picture(name, draw, size_inches=(7.6, 1.1 + 0.5 * len(models)))
    return Plot(name, title, picture, _effect_caption(recipe, is_main=is_main))


def _is_at(baseline: Mapping[str, str], point: Point, factor: str) -> bool:
    """Whether all factors but those that are compared are at the baseline."""
    others = (name for name in baseline if name not in factor.split(", "))
    return all(label_text(point.levels[name]) == baseline[name] for name in others)


def _draw_effect(axes: "Axes", y: int, models: Any, recipe: Any | None) -> None:
    """One level: a thick bar over items, a thin capped line over items and seeds, and the numbers beside them."""
    if math.isnan(models["estimate"]):
        axes.text(0.02, y, "no estimate", transform=axes.get_yaxis_transform(), va="center", color=NO_CLAIM_COLOUR)
        return
    told = models if recipe is None else recipe
    is_claim = told["low"] > 0 or told["high"] < 0
    colour = COLOURS[0] if is_claim else NO_CLAIM_COLOUR
    axes.plot([models["low"], models["high"]], [y, y], color=colour, linewidth=6, alpha=0.35, solid_capstyle="butt")
    if recipe is not None:
        axes.plot([recipe["low"], recipe["high"]], [y, y], "|-", color=colour, linewidth=1.4, markersize=9, markeredgewidth=1.4)
    axes.plot([models["estimate"]], [y], "D", color=colour, markersize=5)
    interval = "" if math.isnan(told["low"]) else f" ({shown_range(told['low'], told['high'])})"
    text = shown(models["estimate"], is_signed=True) + interval
    axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center", color=colour)


def _effect_caption(recipe: pd.DataFrame, *, is_main: bool) -> str:
    others = "averaged over the other factors" if is_main else "the other factors, if any, at their baseline"
    parts = [f"Diamond: the estimate, {others}.", "Thick bar: 95 % interval over new items."]
    if recipe["low"].notna().any():
        parts.append("Thin line: 95 % interval over new items and new seeds, which the numbers at the right give.")
    else:
        parts.append("No interval over new seeds: one seed says nothing about the next.")
    return " ".join([*parts, "Points below: each seed alone. Grey: the interval covers 0, so there is nothing to claim."])


def seed_differences(points: Sequence[Point], factor: str, level: str, reference: str) -> list[float]:
    """The difference that each seed shows by itself, averaged over the other factors' cells that have both levels.

    Args:
        factor: The factor, or several (`A, B`), as `level` and `reference` then are.
    """
    names = factor.split(", ")
    scores: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for point in points:
        others = repr([(name, value) for name, value in point.levels.items() if name not in (*names, SEED)])
        own = ", ".join(label_text(point.levels[name]) for name in names)
        scores[label_text(point.levels.get(SEED))][others][own] = point.score
    found = []
    for cells in scores.values():
        differences = [cell[level] - cell[reference] for cell in cells.values() if level in cell and reference in cell]
        if differences:
            found.append(math.fsum(differences) / len(differences))
    return found


def interaction_plot(
    factors: tuple[str, str], levels: tuple[Sequence[Any], Sequence[Any]], points: Sequence[Point], *, metric: str
) -> Plot:
    """Mean score of each combination of two factors' levels, over seeds and all other factors.

    A line per level of the factor with fewer levels, or a heat map where both have more than six.
    """
    if len(levels[1]) > len(levels[0]):
        factors, levels = (factors[1], factors[0]), (levels[1], levels[0])
    name, title = f"interaction-{file_stem(factors[0])}-{file_stem(factors[1])}", f"{factors[0]} and {factors[1]} together"
    means = cell_means(points, factors)
    if not means:
        return Plot(name, title, None, "No run is evaluated yet.")
    if len(levels[1]) > MOST_LINES:
        plot = _heat_map(name, title, factors, levels, means, metric)
        words = [plot.caption + _imbalance(points, factors), *floor_caption(points, mark="For comparison")]
        return replace(plot, caption=" ".join(words))
    places, scale = places_of(levels[0])
    looks, _ = group_looks([{factors[1]: level} for level in levels[1]])

    def draw(axes: "Axes") -> None:
        for level, look in zip(levels[1], looks, strict=True):
            spots = [(places[repr(x)], means[repr(x), repr(level)]) for x in levels[0] if (repr(x), repr(level)) in means]
            if spots:
                axes.plot(*zip(*sorted(spots), strict=True), f"{look.marker}-", color=look.colour, markersize=6, linewidth=1.4)
        draw_floors(axes, points)
        level_ticks(axes, levels[0], places, is_named=scale == "category")
        axes.set_xlabel(factors[0] + (", log scale" if scale == "log" else ""))
        axes.set_ylabel(f"mean score ({metric})")

    caption = "Parallel lines: the effects add up. Means over seeds and all other factors; what is sure of them is in the table."
    caption = " ".join([caption + _imbalance(points, factors), *floor_caption(points)])
    return Plot(name, title, draw_picture(name, draw, looks), caption)


def _imbalance(points: Sequence[Point], factors: tuple[str, str]) -> str:
    """What to beware of where the means are over different cells of the other factors."""
    cells: dict[str, set[str]] = defaultdict(set)
    for point in points:
        others = repr([(name, value) for name, value in point.levels.items() if name not in (*factors, SEED)])
        cells[repr([point.levels[name] for name in factors])].add(others)
    if all(own == next(iter(cells.values())) for own in cells.values()):
        return ""
    return " Cells are missing, so these means are over different levels of the other factors, and may differ for that alone."


def cell_means(points: Sequence[Point], factors: tuple[str, str]) -> dict[tuple[str, str], float]:
    """Mean score by the two factors' levels (as `repr`): over seeds, then over the cells of the other factors alike."""
    cells: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        others = repr([(name, value) for name, value in point.levels.items() if name not in (*factors, SEED)])
        first, second = (repr(point.levels[name]) for name in factors)
        cells[first, second][others].append(point.score)
    return {
        key: math.fsum(math.fsum(scores) / len(scores) for scores in of_cell.values()) / len(of_cell)
        for key, of_cell in cells.items()
    }


def _heat_map(
    name: str, title: str, factors: tuple[str, str], levels: tuple[Sequence[Any], Sequence[Any]],
    means: dict[tuple[str, str], float], metric: str,
) -> Plot:
    grid = [[means.get((repr(x), repr(y)), math.nan) for x in levels[0]] for y in levels[1]]

    def draw(axes: "Axes") -> None:
        image = axes.imshow(grid, cmap="viridis", aspect="auto")
        bar = axes.figure.colorbar(image, ax=axes)
        bar.set_label(f"mean score ({metric})")
        axes.grid(visible=False)
        for axis, own in ((axes.set_xticks, levels[0]), (axes.set_yticks, levels[1])):
            axis(range(len(own)), [label_text(level) for level in own])
        axes.set_xlabel(factors[0])
        axes.set_ylabel(factors[1])
        if len(levels[0]) * len(levels[1]) <= MOST_WRITTEN:
            _write_means(axes, grid)

    caption = "Means over seeds and all other factors; a blank cell has no evaluated run."
    return Plot(name, title, draw_picture(name, draw, size_inches=(7.6, 1.5 + 0.3 * len(levels[1]))), caption)


def _write_means(axes: "Axes", grid: list[list[float]]) -> None:
    known = [value for row in grid for value in row if not math.isnan(value)]
    middle = (min(known) + max(known)) / 2
    for y, row in enumerate(grid):
        for x, value in enumerate(row):
            if not math.isnan(value):
                colour = "black" if value > middle else "white"
                axes.text(x, y, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
