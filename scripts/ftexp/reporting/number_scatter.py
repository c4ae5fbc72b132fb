"""Numbers in answers against those of their targets, as a page shows them. Nothing is read or written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ftexp.effects.arrays import FloatArray, IntArray
from ftexp.reporting.measure_words import words_of
from ftexp.reporting.picture_texts import lettered, panel_title
from ftexp.reporting.plots import Plot, file_stem
from ftexp.reporting.shown_cells import ShownCell, answers_of
from ftexp.reporting.svg_figure import COLOURS, draw_picture, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 1_200
# What lies further beyond the targets than this part of their range is drawn at the edge.
BEYOND, MARGIN = 0.5, 0.04
# Area of a point (square points) of one answer, and what the largest has more; of a few answers points stay small.
SMALLEST, LARGEST, FEW = 12.0, 120.0, 10
DIAGONAL_COLOUR = "#222222"


@dataclass(frozen=True)
class Numbers:
    """The numbers of one cell.

    Attributes:
        title: The cell.
        targets: (N,) number of the target, of the answers that have a number too.
        said: (N,) number of the answer.
        without: Answers without a number.
    """

    title: str
    targets: FloatArray
    said: FloatArray
    without: int

    @property
    def rmse(self) -> float:
        """Root of the mean squared difference; nan without any."""
        return math.sqrt(float(np.mean((self.said - self.targets) ** 2))) if len(self.said) else math.nan


def numbers_of(title: str, answers: pd.DataFrame) -> Numbers:
    """Of the answers of one cell: number, target_number (nan where there is none). A row without the latter is left out."""
    asked = answers[answers["target_number"].notna()]
    has_number = np.isfinite(asked["number"].to_numpy(dtype=float))
    targets, said = (asked[name].to_numpy(dtype=float)[has_number] for name in ("target_number", "number"))
    return Numbers(title, targets, said, int((~has_number).sum()))


def number_scatter(task: str, answers: pd.DataFrame, shown: Sequence[ShownCell]) -> Plot:
    """A panel per cell, with the line on which answer and target are the same.

    Args:
        answers: Those to the task: run, number, target_number.
        shown: The cells that are shown.
    """
    name, title = f"numbers-{file_stem(task)}", f"Number in the answer by that of the target, task {task}"
    found = [numbers_of(each.title, answers_of(answers, each.cell)) for each in shown]
    drawn = [each for each in found if len(each.said)]
    if not drawn:
        return Plot(name, title, None, "No answer has a number.")
    columns = min(len(drawn), 2)
    low, high = _view(*(np.concatenate(parts) for parts in zip(*((each.targets, each.said) for each in drawn), strict=True)))
    names = lettered([each.title for each in drawn])
    most = MOST_POINTS // len(drawn)

    def draw(axes: "Axes") -> None:
        for panel, each, (_, words) in zip(panels(axes, len(drawn), columns), drawn, names, strict=True):
            _draw_points(panel, each, most, (low, high))
            panel.set_title(panel_title(words), fontsize=9, loc="left")

    picture = draw_picture(name, draw, size_inches=(7.6, 3.8 * -(-len(drawn) // columns)))
    told = [replace(each, title=short) for each, (short, _) in zip(drawn, names, strict=True)]
    empty = [replace(each, title=f"{each.title}:") for each in found if not len(each.said)]
    return Plot(name, title, picture, _caption([*told, *empty], most, (low, high)))


def _view(targets: FloatArray, said: FloatArray) -> tuple[float, float]:
    """From where to where both axes go: the targets' range, and to each side half of it where answers lie there."""
    low, high = float(targets.min()), float(targets.max())
    beyond = BEYOND * (high - low) or max(abs(high), 1.0) / 2
    low, high = min(low, max(float(said.min()), low - beyond)), max(high, min(float(said.max()), high + beyond))
    margin = MARGIN * (high - low) or beyond
    return low - margin, high + margin


def _spots(numbers: Numbers, most: int, view: tuple[float, float]) -> tuple[FloatArray, FloatArray, IntArray, int]:
    """Distinct pairs of target and answer, how many answers each is, and how many pairs there were.

    Of more than `most` in the picture every k-th, so that all of the range is there; likewise of those beyond it.
    """
    pairs, counts = np.unique(np.column_stack([numbers.targets, numbers.said]), axis=0, return_counts=True)
    is_inside = (pairs[:, 1] >= view[0]) & (pairs[:, 1] <= view[1])
    parts = []
    for own in (np.flatnonzero(is_inside), np.flatnonzero(~is_inside)):
        parts.append(own[np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(np.int64)])
    kept = np.concatenate(parts)
    return pairs[kept, 0], pairs[kept, 1], counts[kept], len(pairs)


def _draw_points(axes: "Axes", numbers: Numbers, most: int, view: tuple[float, float]) -> None:
    targets, said, counts, _ = _spots(numbers, most, view)
    is_above, is_below = said > view[1], said < view[0]
    is_inside = ~(is_above | is_below)
    axes.plot(view, view, "--", color=DIAGONAL_COLOUR, linewidth=1)
    sizes = SMALLEST + LARGEST * (counts - 1) / max(counts.max(initial=1), FEW)
    axes.scatter(
        targets[is_inside], said[is_inside], sizes[is_inside], color=COLOURS[0], alpha=0.5, linewidths=0,
    )
    for is_beyond, edge, marker in ((is_above, view[1], "^"), (is_below, view[0], "v")):
        spots = targets[is_beyond]
        if len(spots):
            axes.plot(spots, np.full(len(spots), edge), marker, color=COLOURS[1], markersize=5, clip_on=False, markeredgewidth=0)
    axes.set_xlim(*view)
    axes.set_ylim(*view)
    axes.set_xlabel("number of the target")
    axes.set_ylabel("number in the answer")


def _caption(found: Sequence[Numbers], most: int, view: tuple[float, float]) -> str:
    parts = ["All seeds of a cell together. Dashed: the answer is the target."]
    words = words_of("rmse")
    for each in found:
        beyond = int(((each.said > view[1]) | (each.said < view[0])).sum())
        error = f"root mean squared error {words.number(each.rmse)} over {len(each.said):,} answers"
        known = error if len(each.said) else "no number in any answer"
        more = [f"{each.without:,} without a number"] if each.without and len(each.said) else []
        more += [f"{beyond:,} beyond the picture, drawn as triangles at its edge"] if beyond else []
        parts.append(f"{each.title} {'; '.join([known, *more])}.")
    spots = [_spots(each, most, view) for each in found]
    if any((counts > 1).any() for _, _, counts, _ in spots):
        parts.append("The larger a point, the more answers it is.")
    if any(pairs > len(counts) for _, _, counts, pairs in spots):
        parts.append(f"Of more than {most:,} points every k-th is drawn, in the order of targets; all count in the error.")
    return " ".join(parts)
