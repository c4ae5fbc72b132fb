"""Plots as SVG text for a page: score against each factor's levels, and training curves. The same input, the same bytes.

Nothing is read or written.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ftexp.design.levels import label_text
from ftexp.design.settings import SEED, SETTINGS
from ftexp.reporting.number_words import shown
from ftexp.reporting.svg_figure import Look, Picture, draw_picture, group_looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

T = TypeVar("T")
MOST_POINTS_PER_CURVE, MOST_POINTS = 400, 20_000
CONTROL_COLOUR, FLOOR_COLOUR = "#444444", "#000000"
Spots = list[tuple[float, float]]


@dataclass(frozen=True)
class Point:
    """Score of one evaluated run, in [0, 1], and what it is to be seen beside.

    Attributes:
        control: The score of its control, where there is one.
        floor: What always giving the commonest answer of its test set scores, where that is worth a line; and chance, of choices.
    """

    levels: dict[str, Any]
    score: float
    control: float | None
    floor: float | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Curve:
    """Loss of one trained run (nats per trained token), by step."""

    levels: dict[str, Any]
    steps: Sequence[int]
    losses: Sequence[float]


@dataclass(frozen=True)
class Plot:
    """A picture with the words that go with it; without a picture where there is nothing to show.

    Attributes:
        name: Stem of its files in figures/.
    """

    name: str
    title: str
    picture: Picture | None
    caption: str


def factor_plot(factor: str, levels: Sequence[Any], points: Sequence[Point], *, metric: str) -> Plot:
    """Score against the levels of one factor: a point per seed, the mean of the seeds, the control dashed.

    Args:
        levels: All levels of the factor in declared order, those without a score too.
    """
    name, title = f"score-{file_stem(factor)}", f"Score by {factor}"
    if not points:
        return Plot(name, title, None, "No run is evaluated yet.")
    places, scale = places_of(levels)
    groups = grouped(points, lambda point: {k: v for k, v in point.levels.items() if k not in (factor, SEED)})
    looks, legend_title = group_looks([group for group, _ in groups])

    def draw(axes: "Axes") -> None:
        marks = []
        for index, (_, members) in enumerate(groups):
            shift = _shift(index, len(groups), places, is_narrow=scale != "category")
            spots = [(places[repr(p.levels[factor])] + shift, p.score) for p in members]
            _draw_group(axes, spots, looks[index], is_line=scale != "category")
            marks.append([(x, p.control) for (x, _), p in zip(spots, members, strict=True) if p.control is not None])
        _draw_controls(axes, marks, looks, gap=_gap(places), is_line=scale != "category")
        draw_floors(axes, points)
        level_ticks(axes, levels, places, is_named=scale == "category")
        axes.set_xlabel(axis_label(factor) + (", log scale" if scale == "log" else ""))
        axes.set_ylabel(f"score ({metric})")
        beside = [value for p in points for value in (p.control, p.floor) if value is not None]
        _limit_scores(axes, [p.score for p in points] + beside)

    picture = draw_picture(name, draw, looks, legend_title=legend_title)
    return Plot(name, title, picture, _factor_caption(points, len(groups), scale))


def file_stem(factor: str) -> str:
    """A factor as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.+-]", "_", factor)


def _factor_caption(points: Sequence[Point], group_count: int, scale: str) -> str:
    mean = "large markers" if scale == "category" else "large markers and lines"
    parts = [f"Small points: one run (one seed) each; {mean}: mean of the seeds."]
    if any(point.control is not None for point in points):
        parts.append("Dashed: the control" + (", in the colour of its group." if len({p.control for p in points}) > 1 else "."))
    parts += floor_caption(points)
    if group_count > 1:
        parts.append("Groups are set a little apart, so that equal scores stay visible.")
    return " ".join(parts)


def curves_plot(curves: Sequence[Curve]) -> Plot:
    """Training loss by step: a colour per cell, a thin line per seed."""
    name, title = "curves", "Training curves"
    if not curves:
        return Plot(name, title, None, "No run is trained yet.")
    window = smoothing_window(max(len(curve.steps) for curve in curves))
    groups = grouped(curves, lambda curve: {k: v for k, v in curve.levels.items() if k != SEED})
    looks, legend_title = group_looks([group for group, _ in groups])

    def draw(axes: "Axes") -> None:
        for (_, members), look in zip(groups, looks, strict=True):
            for curve in members:
                axes.plot(*_thin(curve, window, len(curves)), color=look.colour, linewidth=0.9, alpha=0.85)
            last = members[0]
            axes.plot(last.steps[-1], smooth(last.losses, window)[-1], look.marker, color=look.colour, markersize=4)
        axes.set_xlabel("optimiser step")
        axes.set_ylabel("training loss (nats per trained token)")
        axes.set_ylim(bottom=0)

    caption = "One thin line per run; the runs (seeds) of a cell share a colour."
    smoothed = f" Smoothed by a centred moving average over {window} steps." if window > 1 else " Not smoothed."
    return Plot(name, title, draw_picture(name, draw, looks, legend_title=legend_title), caption + smoothed)


def smoothing_window(steps: int) -> int:
    """Steps that a training curve is averaged over: 2 % of the longest training, an odd number."""
    return 2 * (steps // 100) + 1


def smooth(values: Sequence[float], window: int) -> list[float]:
    """Centred moving average; at the ends over the steps that are there."""
    half = window // 2
    cuts = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    return [math.fsum(cut) / len(cut) for cut in cuts]


def axis_label(factor: str) -> str:
    """A factor with what it means and counts in."""
    return f"{factor} ({SETTINGS[factor].meaning})" if factor in SETTINGS else factor


def grouped(things: Iterable[T], key: Callable[[T], dict[str, Any]]) -> list[tuple[dict[str, Any], list[T]]]:
    """Things with equal keys, in the order in which a key comes first."""
    groups: dict[str, tuple[dict[str, Any], list[T]]] = {}
    for thing in things:
        groups.setdefault(repr(key(thing)), (key(thing), []))[1].append(thing)
    return list(groups.values())


def places_of(levels: Sequence[Any]) -> tuple[dict[str, float], str]:
    """Where each level stands on the axis, and the axis' scale: log, linear or category."""
    is_numeric = all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels)
    if not is_numeric or len(levels) < 2:
        return {repr(level): float(i) for i, level in enumerate(levels)}, "category"
    if min(levels) > 0 and max(levels) / min(levels) >= 10:
        return {repr(level): math.log10(level) for level in levels}, "log"
    return {repr(level): float(level) for level in levels}, "linear"


def _gap(places: dict[str, float]) -> float:
    """The smallest gap between two levels."""
    return min((b - a for a, b in itertools.pairwise(sorted(set(places.values())))), default=1.0)


def _shift(index: int, count: int, places: dict[str, float], *, is_narrow: bool) -> float:
    """Sideways shift of a group: a fifth of the gap between levels at most; on a numeric axis 1.5 % of its length."""
    span = max(places.values()) - min(places.values())
    most = min(_gap(places) / 5, 0.015 * span) if is_narrow else _gap(places) / 5
    return 0.0 if count < 2 else most * (2 * index / (count - 1) - 1)


def _draw_group(axes: "Axes", points: Spots, look: Look, *, is_line: bool) -> None:
    axes.plot(*zip(*points, strict=True), look.marker, color=look.colour, markersize=3.5, alpha=0.7, markeredgewidth=0)
    means = [(x, math.fsum(y for _, y in near) / len(near)) for x, near in _by_x(points)]
    axes.plot(
        *zip(*means, strict=True), marker=look.marker, color=look.colour, linestyle="-" if is_line else "none",
        linewidth=1.2, markersize=8, markerfacecolor="none", markeredgewidth=1.4,
    )


def _by_x(points: Spots) -> list[tuple[float, Spots]]:
    return [(x, [point for point in points if point[0] == x]) for x in sorted({x for x, _ in points})]


def _draw_controls(axes: "Axes", marks: list[Spots], looks: list[Look], *, gap: float, is_line: bool) -> None:
    """Dashed: one line where one control serves all; else one per group, in its colour.

    Args:
        marks: Per group the place of each run with a control, and that control's score.
        gap: Between two levels; a dash on an axis of names is a part of it.
    """
    scores = {score for group in marks for _, score in group}
    if len(scores) == 1:
        axes.axhline(scores.pop(), color=CONTROL_COLOUR, linestyle="--", linewidth=1.2)
        return
    half = 0.16 * gap / max(1, len(marks) - 1)
    for group, look in zip(marks, looks, strict=True):
        spots = sorted(set(group))
        dashes = [spots] if is_line else [[(x - half, y), (x + half, y)] for x, y in spots]
        for dash in filter(None, dashes):
            axes.plot(*zip(*dash, strict=True), color=look.colour, linestyle="--", linewidth=1.2)


def draw_floors(axes: "Axes", points: Sequence[Point]) -> None:
    """Dotted: what always giving the commonest answer scores, a line for each test set."""
    for floor in sorted({point.floor for point in points if point.floor is not None}):
        axes.axhline(floor, color=FLOOR_COLOUR, linestyle=":", linewidth=1.4)


def floor_caption(points: Sequence[Point], *, mark: str = "Dotted") -> list[str]:
    """What the dotted lines are, where there is one."""
    floors = sorted({(point.floor, point.chance or 0.0) for point in points if point.floor is not None})
    what = "always giving the commonest answer" + (" of a test set" if len(floors) > 1 else "")
    numbers = [shown(floor) + (f" (chance {shown(chance)})" if chance else "") for floor, chance in floors]
    return [f"{mark}: {what}, {', '.join(numbers)}."] if floors else []


def level_ticks(axes: "Axes", levels: Sequence[Any], places: dict[str, float], *, is_named: bool) -> None:
    """A tick at every level; its label is left out where it would run into the one before."""
    ordered = sorted(((places[repr(level)], label_text(level)) for level in levels), key=lambda pair: pair[0])
    span = (ordered[-1][0] - ordered[0][0]) or 1.0
    shown, last = [], -math.inf
    for x, label in ordered:
        is_clear = (x - last) / span > 0.04
        shown.append(label if is_clear else "")
        last = x if is_clear else last
    axes.set_xticks([x for x, _ in ordered], shown)
    if sum(map(len, shown)) > 90:
        axes.tick_params(axis="x", labelrotation=30)
    margin = 0.4 * _gap(places) if is_named else 0.08 * span
    axes.set_xlim(ordered[0][0] - margin, ordered[-1][0] + margin)


def _limit_scores(axes: "Axes", scores: list[float]) -> None:
    """From 0 to 1, unless all scores lie so close together that this would hide their differences."""
    low, high = min(scores), max(scores)
    if high - low >= 0.25:
        low, high = min(low, 0.0), max(high, 1.0)
    margin = max(0.03, 0.08 * (high - low))
    axes.set_ylim(low - margin, high + margin)


def _thin(curve: Curve, window: int, count: int) -> tuple[list[int], list[float]]:
    """The smoothed curve at every k-th step, so that a page of many curves stays small."""
    stride = math.ceil(len(curve.steps) / max(50, min(MOST_POINTS_PER_CURVE, MOST_POINTS // count)))
    return list(curve.steps[::stride]), smooth(curve.losses, window)[::stride]


