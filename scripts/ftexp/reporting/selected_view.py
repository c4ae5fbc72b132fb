"""What was chosen on validation: selected.csv, and for reading a sentence and a table with the test scores.

Writes selected.csv.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ftexp.design.settings import SEED
from ftexp.design.spec import Experiment
from ftexp.ground import paths
from ftexp.ground.filesystem import write_if_changed
from ftexp.ground.wording import listed
from ftexp.reporting.cells_view import CellsView, cells_view
from ftexp.reporting.conclusions import Conclusion
from ftexp.reporting.measure_words import words_of
from ftexp.results.cells import Cell, cells_csv
from ftexp.results.selected import Choice, choices_of, levels_in_words, selected_table
from ftexp.results.table import RunFacts

MOST_TOLD = 4
_WHY = (
    "No test row reached the choice, so a test score here is what new items of this kind would show; the validation value of "
    "what was chosen is better than that, because it was chosen by it"
)


@dataclass(frozen=True)
class Selected:
    """What a report has of the choices.

    Attributes:
        table: What selected.csv holds.
        sentence: What was chosen, from what, and what it scores.
        view: A row per choice, for reading.
        notes: Ties, and what was not looked at.
    """

    table: pd.DataFrame
    sentence: Conclusion
    view: CellsView
    notes: Sequence[str]


@dataclass(frozen=True)
class _Chosen:
    """Which factors are chosen, by what, in which cells.

    Attributes:
        others: The other factors of two or more levels, the seed aside.
        metric: `validation.metric`.
        scores: Mean test score by the primary metric, per cell.
    """

    over: Sequence[str]
    others: Sequence[str]
    metric: str
    primary: str
    scores: dict[str, float]


def selected_of(
    experiment: Experiment, all_facts: Sequence[RunFacts], of_cells: pd.DataFrame, cells: Sequence[Cell], primary: tuple[str, str]
) -> Selected:
    """The choices of an experiment that has some.

    Args:
        of_cells: What `cells_table` returned.
        cells: As `cells_of` gives them.
        primary: Task and metric that the sentence tells.
    """
    factors = [name for name in experiment.factors if name != SEED]
    others = [name for name in factors if name not in experiment.select and len(experiment.factors[name]) > 1]
    choices = choices_of(cells, experiment.select, all_facts)
    metric = next(str(facts.run.validation["metric"]) for facts in all_facts if facts.run.validation)
    own = of_cells[(of_cells["task"] == primary[0]) & (of_cells["metric"] == primary[1])]
    chosen = _Chosen(experiment.select, others, metric, primary[1], dict(zip(own["cell"], own["mean"], strict=True)))
    names = [choice.cell.name for choice in choices if choice.cell]
    view = cells_view(of_cells[of_cells["cell"].isin(names) & (of_cells["kind"] == "trained")], factors, primary)
    return Selected(
        selected_table(choices, of_cells, factors, metric), _sentence(choices, chosen), _with_values(view, choices, metric),
        [f"{_where(choice, others)}{note}" for choice in choices for note in choice.notes],
    )


def write_selected(selected: Selected | None) -> bool:
    """Write selected.csv, or take away that of an earlier design; return whether anything changed."""
    if selected is not None:
        return write_if_changed(paths.SELECTED_CSV, cells_csv(selected.table))
    is_there = paths.SELECTED_CSV.is_file()
    paths.SELECTED_CSV.unlink(missing_ok=True)
    return is_there


def _with_values(view: CellsView, choices: Sequence[Choice], metric: str) -> CellsView:
    """The view of the chosen cells, each with the values that it was chosen by, and without the column that says `trained`."""
    place = view.first_number
    values = {choice.cell.name: [*_numbers(choice), str(len(choice.candidates))] for choice in choices if choice.cell}
    header = [*view.header[1:place], f"validation {metric}", "next best", "of", *view.header[place:]]
    rows = [[*row[1:place], *own, *row[place:]] for row, own in zip(view.rows, values.values(), strict=True)]
    return CellsView(header, place - 1, rows, view.left_out)


def _sentence(choices: Sequence[Choice], chosen: _Chosen) -> Conclusion:
    per = f" in each cell of {listed(chosen.others)}" if chosen.others else ""
    told = [_told(choice, chosen) for choice in choices[:MOST_TOLD]]
    further = [f"{len(choices) - len(told)} more in selected.csv"] if len(choices) > len(told) else []
    what = f"Chosen on validation, by {chosen.metric} (mean over the seeds), {listed(chosen.over)}{per}"
    return Conclusion("select", f"{what}: {'; '.join([*told, *further])}. {_WHY}.", False)


def _told(choice: Choice, chosen: _Chosen) -> str:
    where = _where(choice, chosen.others)
    if choice.cell is None:
        return f"{where}nothing, because no candidate has a validation value of every run"
    value, following = _numbers(choice)
    count = len(choice.candidates)
    beside = f"; of {count} candidates the next has {following}" if following else f"; of {count} candidate{'s' * (count > 1)}"
    score = chosen.scores.get(choice.cell.name, math.nan)
    words = "is not known yet" if math.isnan(score) else f"is {words_of(chosen.primary).number(score)}"
    return f"{where}{levels_in_words(choice.cell, chosen.over)} ({value}{beside}), whose {chosen.primary} in the test {words}"


def _where(choice: Choice, others: Sequence[str]) -> str:
    levels = ", ".join(f"{name} {choice.others[name] or 'none'}" for name in others)
    return f"{levels}: " if levels else ""


def _numbers(choice: Choice) -> list[str]:
    return ["" if value is None else format(value, ".4g") for value in (choice.value, choice.following)]
