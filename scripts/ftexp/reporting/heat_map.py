"""What is trained against what is asked: a heat map with the intervals written in it. Nothing is read or written."""

import math
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ftexp.effects.arrays import FloatArray
from ftexp.reporting.measure_words import LARGE, NO_KINDS, MeasureWords, words_of
from ftexp.reporting.picture_texts import NUMBERED, fitted, is_numbered
from ftexp.reporting.plots import Plot, file_stem
from ftexp.reporting.svg_figure import draw_picture, write_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Columns up to which fields hold three decimals, intervals, values.
MOST_WIDE, MOST_WITH_INTERVALS, MOST_WITH_VALUES = 5, 7, 14
LINE_COLOUR = "#ffffff"


def train_by_test(factor: str, metric: str, table: pd.DataFrame, kinds: Mapping[str, str] = NO_KINDS) -> Plot:
    """Levels of a factor by tasks: the mean of each, with its 95 % interval. The longer side is the rows.

    Args:
        factor: The factor that says what is trained on.
        metric: What is averaged.
        table: One row per level and task, in the order in which they are to stand: level (the control's rows have its name),
            task, mean, low, high (nan where there is none). What is not there was not asked, and stays blank.
        kinds: As `words_of` takes them.
    """
    name, title = f"matrix-{file_stem(factor)}-{file_stem(metric)}", f"{factor} by task: {metric}"
    sides = [list(dict.fromkeys(table["level"])), list(dict.fromkeys(table["task"]))]
    table = table[table["mean"].notna()]
    if table.empty:
        return Plot(name, title, None, "No run is evaluated yet.")
    names = [factor, "task"]
    columns = ["level", "task"]
    if len(sides[1]) > len(sides[0]) and len(sides[1]) > MOST_WITH_INTERVALS:
        sides, names, columns = sides[::-1], names[::-1], columns[::-1]
    means, texts = _fields(table, sides, columns, words_of(metric, kinds))
    labels = [fitted([str(text) for text in side]) for side in sides]

    def draw(axes: "Axes") -> None:
        axes.set_facecolor("#ffffff")
        image = axes.imshow(means, cmap="cividis", aspect="auto")
        axes.figure.colorbar(image, ax=axes, pad=0.02).set_label(words_of(metric, kinds).phrase)
        write_on(axes, image, texts, size=8 if len(sides[1]) <= 6 else 6.5)
        axes.set_xticks(range(len(sides[1])), _wrapped(labels[1]))
        axes.set_yticks(range(len(sides[0])), labels[0])
        axes.set_xticks(np.arange(len(sides[1]) - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(sides[0]) - 1) + 0.5, minor=True)
        axes.grid(visible=True, which="minor", color=LINE_COLOUR, linewidth=1.5)
        axes.tick_params(which="both", length=0)
        if len(sides[1]) > MOST_WITH_INTERVALS:
            axes.tick_params(axis="x", labelrotation=90)
        axes.set_xlabel(names[1])
        axes.set_ylabel(names[0])

    caption = "Means over seeds and over the cells of all other factors. A blank field was not asked, or has no value."
    caption += _interval_words(table, len(sides[1]))
    caption += f" {NUMBERED}" if any(is_numbered([str(text) for text in side]) for side in sides) else ""
    return Plot(name, title, draw_picture(name, draw, size_inches=(7.6, 1.4 + 0.45 * len(sides[0]))), caption)


def _interval_words(table: pd.DataFrame, columns: int) -> str:
    if table["low"].isna().all():
        return ""
    if columns > MOST_WITH_INTERVALS:
        return " There is no room for the intervals."
    return " Below a mean its 95 % interval, where it has one."


def _fields(
    table: pd.DataFrame, sides: list[list[str]], columns: list[str], words: MeasureWords
) -> tuple[FloatArray, list[list[str]]]:
    """Means (rows, columns), nan where there is none, and the text of each field."""
    means = np.full((len(sides[0]), len(sides[1])), math.nan)
    texts = [[""] * len(sides[1]) for _ in sides[0]]
    for row in table.to_dict("records"):
        y, x = (side.index(row[column]) for side, column in zip(sides, columns, strict=True))
        means[y, x] = row["mean"]
        texts[y][x] = _text((row["mean"], row["low"], row["high"]), len(sides[1]), words)
    return means, texts


def _text(numbers: tuple[float, float, float], columns: int, words: MeasureWords) -> str:
    """As much as there is room for: the mean with its interval below it, the mean alone, or nothing."""
    if columns > MOST_WITH_VALUES:
        return ""
    mean, low, high = (_short(number, words, is_narrow=columns > MOST_WIDE) for number in numbers)
    return mean if columns > MOST_WITH_INTERVALS or math.isnan(numbers[1]) else f"{mean}\n{low} to {high}"


def _short(number: float, words: MeasureWords, *, is_narrow: bool) -> str:
    """A number in five characters or fewer, four where fields are narrow, while it is below 1,000."""
    if abs(number) >= LARGE:
        return words.number(number)
    decimals = min(words.decimals - is_narrow, 4 - is_narrow - len(f"{abs(number):.0f}"))
    return f"{number:.{max(decimals, 0)}f}".replace("-", "−")


def _wrapped(labels: list[str]) -> list[str]:
    """Names of a few columns on several lines, each as wide as a column."""
    if len(labels) > MOST_WITH_INTERVALS:
        return labels
    return [textwrap.fill(label, 90 // (len(labels) + 1)) for label in labels]
