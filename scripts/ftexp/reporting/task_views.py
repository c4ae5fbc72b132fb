"""What a page shows of one task from its answers: labels, probabilities, numbers, wrong answers. Nothing is read or written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from ftexp.reporting.labels_view import LabelsView, labels_view
from ftexp.reporting.measure_words import words_of
from ftexp.reporting.number_scatter import number_scatter
from ftexp.reporting.plots import Plot
from ftexp.reporting.reliability import reliability_plot
from ftexp.reporting.shown_cells import Choice, choose_cells
from ftexp.reporting.wrong_answers import WrongAnswers, wrong_answers
from ftexp.results.cells import Cell


@dataclass(frozen=True)
class Task:
    """What is to be known of a task to show it.

    Attributes:
        metric: By which a cell is the best: the primary one, or the task's first.
        scorers: In the order of the experiment; the first says what is wrong. Without any no answer is shown as wrong.
        options: That are the same for every item; empty where there are none, or they differ.
        kinds: As `words_of` takes them.
    """

    name: str
    metric: str
    scorers: Sequence[str]
    options: Sequence[str] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskView:
    """One task, for the cells that are shown.

    Attributes:
        left_out: How many more cells have answers.
        labels: None where the targets are no labels.
        plots: Reliability and numbers, where the answers have such; that of the labels is in `labels`.
    """

    task: str
    left_out: int
    labels: LabelsView | None
    plots: list[Plot]
    wrong: list[WrongAnswers]


def chosen_cells(task: Task, cells: Sequence[Cell], values: pd.DataFrame, baseline: Mapping[str, str]) -> Choice:
    """The cells that are shown of a task; only the answers of their runs are needed for its view."""
    return choose_cells(cells, values, (task.name, task.metric), words_of(task.metric, task.kinds), baseline)


def task_view(task: Task, answers: pd.DataFrame, choice: Choice, *, is_drawn: bool = True) -> TaskView:
    """The view of one task.

    Args:
        answers: Answers, as items.parquet has them; those of other tasks, and of runs that are not shown, do not matter.
        choice: The cells that are shown.
        is_drawn: Whether there are pictures, each of which takes half a second to a second; all else takes 50 ms.
    """
    runs = [run for each in choice.shown for run in each.cell.runs]
    own = answers[(answers["task"] == task.name) & answers["run"].isin(runs)]
    plots = []
    if is_drawn and _has(own, "probability"):
        plots.append(reliability_plot(task.name, own, choice.shown))
    if is_drawn and _has(own, "number") and _has(own, "target_number"):
        plots.append(number_scatter(task.name, own, choice.shown))
    scorer = next((name for name in task.scorers if name in own), None)
    wrong = wrong_answers(own, choice.shown, scorer, words_of(scorer, task.kinds)) if scorer else []
    labels = labels_view(task.name, own, choice.shown, task.options, is_drawn=is_drawn)
    return TaskView(task.name, choice.left_out, labels, plots, wrong)


def _has(answers: pd.DataFrame, column: str) -> bool:
    return column in answers and bool(answers[column].notna().any())
