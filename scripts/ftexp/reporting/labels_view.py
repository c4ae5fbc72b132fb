"""Labels of a task as a page shows them: how each is answered, in words and as a confusion matrix. Nothing is read or written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from ftexp.reporting.label_counts import NO_LABEL, LabelCounts, count_labels, label_scores, labels_of, row_shares
from ftexp.reporting.picture_texts import NUMBERED, fitted, is_numbered, panel_title
from ftexp.reporting.plots import Plot, file_stem
from ftexp.reporting.shown_cells import ShownCell, answers_of
from ftexp.reporting.svg_figure import draw_picture, panels, write_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEADER = ("label", "precision", "recall", "F1", "support", "answered")
MOST_DRAWN, MOST_IN_MATRIX, MOST_CONFUSIONS = 12, 20, 12
# Up to so many labels two matrices stand side by side.
MOST_BESIDE = 5


@dataclass(frozen=True)
class CellLabels:
    """The labels of one cell.

    Attributes:
        title: The cell.
        answers: How many answers it has, all its seeds together; `no_label` of these are no label.
        rows: Texts, columns as `HEADER`.
        matrix: Texts, a row per target: its name, and the counts by what was said; empty of many labels.
        confusions: Of many labels the commonest wrong answers: target, answer, count.
    """

    title: str
    answers: int
    no_label: int
    rows: list[list[str]]
    matrix: list[list[str]]
    confusions: list[tuple[str, str, int]]


@dataclass(frozen=True)
class LabelsView:
    """All of a task whose targets are labels.

    Attributes:
        header: Of the matrices.
        plot: The matrices as a picture; without one of many labels.
    """

    header: list[str]
    cells: list[CellLabels]
    plot: Plot


def labels_view(
    task: str, answers: pd.DataFrame, shown: Sequence[ShownCell], options: Sequence[str] = (), *, is_drawn: bool = True
) -> LabelsView | None:
    """Labels of a task, cell by cell; None where its targets are no labels, or no cell has answers.

    Args:
        answers: Those to the task: run, item, target, completion.
        shown: The cells that are shown.
        options: As `labels_of` takes them.
        is_drawn: Whether there is a picture.
    """
    labels = labels_of(answers, options) if len(answers) else []
    if not labels or not shown:
        return None
    found = [count_labels(answers_of(answers, each.cell), labels) for each in shown]
    titles = [each.title for each in shown]
    cells = [_cell(title, counts) for title, counts in zip(titles, found, strict=True)]
    return LabelsView([*labels, NO_LABEL], cells, _plot(task, labels, titles, found, is_drawn=is_drawn))


def _cell(title: str, found: LabelCounts) -> CellLabels:
    rows = [
        [row["label"], *(_share(row[name]) for name in ("precision", "recall", "f1")), str(row["support"]), str(row["answered"])]
        for row in label_scores(found).to_dict("records")
    ]
    is_small = len(found.labels) <= MOST_IN_MATRIX
    matrix = [[label, *map(str, counts)] for label, counts in zip(found.labels, found.counts.tolist(), strict=True)]
    confusions = [] if is_small else found.confusions(MOST_CONFUSIONS)
    return CellLabels(title, int(found.counts.sum()), found.no_label, rows, matrix if is_small else [], confusions)


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _plot(
    task: str, labels: Sequence[str], titles: Sequence[str], found: Sequence[LabelCounts], *, is_drawn: bool
) -> Plot:
    """One matrix per cell, its rows adding up to 1."""
    name, title = f"confusion-{file_stem(task)}", f"Answers by target, task {task}"
    if len(labels) > MOST_DRAWN:
        return Plot(name, title, None, f"{len(labels)} labels are too many for a picture.")
    if not is_drawn:
        return Plot(name, title, None, "Not drawn.")
    columns = 2 if len(labels) <= MOST_BESIDE and len(found) > 1 else 1
    lines = math.ceil(len(found) / columns)
    texts = fitted(labels, 24 if columns == 1 else 14)

    def draw(axes: "Axes") -> None:
        found_panels = panels(axes, len(found), columns)
        for panel, words, counts in zip(found_panels, titles, found, strict=True):
            _draw_matrix(panel, counts, texts, panel_title(words))
        for panel in found_panels[:-columns]:
            panel.tick_params(labelbottom=False)
            panel.set_xlabel("")

    height = 1.1 + (1 if columns == 1 else 0.4) + lines * (0.5 + 0.28 * len(labels))
    caption = (
        "Rows: the target; columns: what was answered. A number is the share of the target's answers, all seeds of the cell "
        "together, so that a row adds up to 1; a grey row has no answers."
    )
    caption += f" {NUMBERED}" if is_numbered(labels) else ""
    return Plot(name, title, draw_picture(name, draw, size_inches=(7.6, height)), caption)


def _draw_matrix(axes: "Axes", found: LabelCounts, texts: Sequence[str], title: str) -> None:
    shares = row_shares(found)
    axes.set_facecolor("#dddddd")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    write_on(axes, image, [[_short_share(value) for value in row] for row in shares.tolist()])
    axes.axvline(len(texts) - 0.5, color="#222222", linewidth=1)
    axes.set_xticks(range(len(texts) + 1), [*texts, NO_LABEL])
    axes.set_yticks(range(len(texts)), texts)
    if max(map(len, texts)) * (len(texts) + 1) > 60:
        axes.tick_params(axis="x", labelrotation=90)
    axes.tick_params(length=0)
    axes.set_xlabel("answer")
    axes.set_ylabel("target")
    axes.set_title(title, fontsize=9, loc="left")


def _short_share(value: float) -> str:
    """Two decimals; nothing for nothing, so that the diagonal stands out."""
    return "" if math.isnan(value) or value == 0 else f"{value:.2f}"
