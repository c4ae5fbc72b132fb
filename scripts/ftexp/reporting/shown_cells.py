"""Which cells a page shows one by one where there are many: the untuned models, the baseline, the best. Nothing is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ftexp.reporting.measure_words import MeasureWords
from ftexp.results.cells import Cell

MOST_SHOWN = 4


@dataclass(frozen=True)
class ShownCell:
    """A cell, and why it is shown: `the untuned model`, `the baseline`, `the best by exact`; empty where all are."""

    cell: Cell
    why: str

    @property
    def title(self) -> str:
        """Why it is shown, and its name."""
        return f"{self.why}: {self.cell.name}" if self.why else self.cell.name


@dataclass(frozen=True)
class Choice:
    """The cells that are shown of a task, and how many more have answers to it."""

    shown: list[ShownCell]
    left_out: int


def choose_cells(
    cells: Sequence[Cell], values: pd.DataFrame, measure: tuple[str, str], words: MeasureWords, baseline: Mapping[str, str]
) -> Choice:
    """All cells that were evaluated on a task where there are four at most; else controls, baseline and best.

    Of controls, those of the baseline and of the best cell.

    Args:
        cells: All cells, in the order of the design.
        values: One row per run, task and metric: run, task, metric, value. A run without a row was not evaluated.
        measure: The task, and the metric by which a cell is the best.
        words: Of that metric.
        baseline: Per factor the baseline's level as text.
    """
    task, metric = measure
    own = values[values["task"] == task]
    evaluated = set(own["run"])
    there = [cell for cell in cells if evaluated.intersection(cell.runs)]
    tuned = [cell for cell in there if cell.kind != "control"]
    best = _best(tuned, own[own["metric"] == metric], words)
    base = next((cell for cell in tuned if all(cell.levels.get(name) == level for name, level in baseline.items())), None)
    untuned = {cell.control for cell in cells}
    why = {
        cell.name: ["the untuned model" if cell.runs[0] in untuned else "a model as it is"]
        for cell in there if cell.kind == "control"
    }
    if len(tuned) > 1:
        for cell, reason in ((base, "the baseline"), (best, f"the best by {metric}")):
            if cell is not None:
                why.setdefault(cell.name, []).append(reason)
    chosen = there
    if len(there) > MOST_SHOWN:
        kept = [cell for cell in (base, best) if cell is not None]
        controls = {cell.control for cell in kept or cells}
        chosen = [cell for cell in there if cell in kept or _speaks(cell, controls)]
    shown = [ShownCell(cell, " and ".join(why.get(cell.name, []))) for cell in chosen[:MOST_SHOWN]]
    return Choice(shown, len(there) - len(shown))


def _speaks(cell: Cell, controls: set[str]) -> bool:
    """Whether it is one of these controls."""
    return cell.kind == "control" and cell.runs[0] in controls


def _best(cells: Sequence[Cell], values: pd.DataFrame, words: MeasureWords) -> Cell | None:
    """The cell whose runs have the best mean; of equal ones the first."""
    by_run = dict(zip(values["run"], values["value"], strict=True))
    best, found = None, 0.0
    for cell in cells:
        known = [by_run[run] for run in cell.runs if run in by_run and not pd.isna(by_run[run])]
        mean = sum(known) / len(known) if known else 0.0
        if known and (best is None or words.is_better(mean, found)):
            best, found = cell, mean
    return best


def answers_of(answers: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """The rows of a cell's runs, in the order in which they come."""
    return answers[answers["run"].isin(cell.runs)]
