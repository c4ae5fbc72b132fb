"""Reliability diagrams: how often an option that was given a probability is right. Nothing is read or written."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ftexp.effects.intervals import wilson_interval
from ftexp.reporting.picture_texts import lettered, panel_title
from ftexp.reporting.plots import Plot, file_stem
from ftexp.reporting.shown_cells import ShownCell, answers_of
from ftexp.reporting.svg_figure import COLOURS, draw_picture, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 15
COLUMNS = ("low_edge", "high_edge", "n", "probability", "right", "low", "high")
DIAGONAL_COLOUR, BAR_COLOUR = "#222222", "#8a8a8a"


def reliability_table(answers: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """Answers by the probability of the chosen option, in bins of equal width; each has its lower edge, the last both.

    Args:
        answers: target, completion (the option that was chosen), probability (of it, 0 to 1; nan where there is none).

    Returns:
        One row per bin: low_edge, high_edge, n (answers), probability (their mean), right (share whose option is the target,
        outer white space aside), low and high (Wilson's 95 % interval of it); nan where n is 0.
    """
    known = answers[answers["probability"].notna()]
    probability = known["probability"].to_numpy(dtype=float)
    is_right = (known["completion"].astype(str).str.strip() == known["target"].astype(str).str.strip()).to_numpy(dtype=float)
    of_bin = np.clip((probability * bins).astype(np.int64), 0, bins - 1)
    weights = (np.ones(len(known)), probability, is_right)
    n, sums, hits = (np.bincount(of_bin, weights=each, minlength=bins).astype(np.float64) for each in weights)
    under = np.where(n > 0, n, np.nan)
    low, high = np.full(bins, np.nan), np.full(bins, np.nan)
    if n.any():
        low[n > 0], high[n > 0] = wilson_interval(hits[n > 0], n[n > 0].astype(np.int64))
    edges = np.arange(bins + 1) / bins
    return pd.DataFrame(dict(zip(
        COLUMNS, (edges[:-1], edges[1:], n.astype(np.int64), sums / under, hits / under, low, high), strict=True
    )))


def reliability_plot(task: str, answers: pd.DataFrame, shown: Sequence[ShownCell]) -> Plot:
    """A diagram per cell, with a histogram of its probabilities below.

    Args:
        answers: Those to the task: run, and what `reliability_table` reads.
        shown: The cells that are shown.
    """
    name, title = f"reliability-{file_stem(task)}", f"Are the probabilities right? Task {task}"
    found = [(each.title, reliability_table(answers_of(answers, each.cell))) for each in shown]
    tables = [table for _, table in found if table["n"].sum()]
    if not tables:
        return Plot(name, title, None, "No answer has a probability.")
    names = lettered([words for words, table in found if table["n"].sum()])
    columns = min(len(tables), 2)
    blocks = -(-len(tables) // columns)

    def draw(axes: "Axes") -> None:
        parts = panels(axes, 2 * columns * blocks, columns, heights=[3, 1] * blocks)
        for number in range(columns * blocks):
            place = number + number // columns * columns
            upper, lower = parts[place], parts[place + columns]
            if number < len(tables):
                _draw_diagram(upper, tables[number], panel_title(names[number][1]))
                _draw_histogram(lower, tables[number])
            else:
                upper.remove()
                lower.remove()

    picture = draw_picture(name, draw, size_inches=(7.6, 4.1 * blocks))
    counts = [f"{short} {table['n'].sum():,} answers" for (short, _), table in zip(names, tables, strict=True)]
    return Plot(name, title, picture, _caption(counts))


def _caption(counts: Sequence[str]) -> str:
    return (
        f"Points: answers in {BINS} bins of the probability that the model gave the option it chose, all seeds of a cell "
        "together: its mean against the share that is right. On the dashed line a probability is what it says; below it the "
        "model is too sure of itself. Bars: Wilson's 95 % interval, as if answers were independent (seeds share items, so it is "
        f"somewhat too narrow). Below: how many answers have which probability. {'; '.join(counts)}."
    )


def _draw_diagram(axes: "Axes", table: pd.DataFrame, title: str) -> None:
    used = table[table["n"] > 0]
    axes.plot([0, 1], [0, 1], "--", color=DIAGONAL_COLOUR, linewidth=1)
    axes.vlines(used["probability"], used["low"], used["high"], color=COLOURS[0], linewidth=1.4)
    axes.plot(used["probability"], used["right"], "o-", color=COLOURS[0], markersize=5, linewidth=1)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("share right")
    axes.set_title(title, fontsize=9, loc="left")
    axes.tick_params(labelbottom=False)


def _draw_histogram(axes: "Axes", table: pd.DataFrame) -> None:
    width = 1 / len(table)
    axes.bar(table["low_edge"], table["n"], width=width, align="edge", color=BAR_COLOUR, edgecolor="white", linewidth=0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("probability of the chosen option")
    axes.set_ylabel("answers")
