"""selected.csv: in each cell of the other factors the best on validation, with its test scores. Nothing is read or written.

What chooses is validation values alone, of the seeds of a cell their mean. A cell of which a run has no value is not chosen.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ftexp.results.cells import MEASURE, NUMBERS, Cell
from ftexp.results.kept import validation_of
from ftexp.results.table import RunFacts
from ftexp.trainers.looks_in_words import kept_look
from ftexp.trainers.validation_csv import Rule

CHOICE_COLUMNS = ("chosen_by", "validation", "next_validation", "candidates", "chosen_why")


@dataclass(frozen=True)
class Choice:
    """What was chosen in one cell of the other factors.

    Attributes:
        others: Their levels as text.
        candidates: The cells among which was chosen, in the order of the design.
        cell: The one that was; None where none has a value for each of its runs.
        value: Mean of its runs' validation values.
        following: That of the next best; None where there is none.
        notes: Ties, and which cells were not looked at.
    """

    others: dict[str, str]
    candidates: tuple[Cell, ...]
    cell: Cell | None
    value: float | None
    following: float | None
    notes: tuple[str, ...]


def choices_of(cells: Sequence[Cell], over: Sequence[str], all_facts: Iterable[RunFacts]) -> list[Choice]:
    """A choice per cell of the other factors, in the order of the design.

    Args:
        cells: As `cells_of` gives them.
        over: The factors that are chosen.
        all_facts: The runs, of which the trained ones are validated by one metric.
    """
    by_id = {facts.id: facts for facts in all_facts}
    groups: dict[tuple[tuple[str, str], ...], list[Cell]] = {}
    for cell in cells:
        if cell.kind == "trained":
            groups.setdefault(tuple((k, v) for k, v in cell.levels.items() if k not in over), []).append(cell)
    return [_choice(dict(others), group, over, by_id) for others, group in groups.items()]


def _choice(others: dict[str, str], group: Sequence[Cell], over: Sequence[str], by_id: Mapping[str, RunFacts]) -> Choice:
    notes, found = [], []
    rule = Rule.of(by_id[group[0].runs[0]].run.validation)
    for cell in group:
        values = {run: validation_of(by_id[run].run, by_id[run].looks) for run in cell.runs}
        missing = [run for run, value in values.items() if value is None]
        if missing:
            more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
            notes.append(f"not looked at: {levels_in_words(cell, over)} ({_why_missing(by_id[missing[0]])}{more})")
            continue
        mean, loss = _mean(value for value in values.values() if value is not None), _loss(cell, by_id)
        found.append((mean if rule.is_less_better else -mean, loss, cell))
    ranked = sorted(found, key=lambda row: row[:2])  # stable: of equal ones the first
    if not ranked:
        return Choice(others, tuple(group), None, None, None, tuple(notes))
    means = [row[0] if rule.is_less_better else -row[0] for row in ranked]
    equal = [row for row in ranked[1:] if row[0] == ranked[0][0]]
    if equal:
        how = "the first of the design was taken" if equal[0][1] == ranked[0][1] else "the lower validation loss decided"
        notes.append(f"as good: {'; '.join(levels_in_words(row[2], over) for row in equal)}; {how}")
    return Choice(others, tuple(group), ranked[0][2], means[0], means[1] if len(means) > 1 else None, tuple(notes))


def _loss(cell: Cell, by_id: Mapping[str, RunFacts]) -> float:
    """Mean validation loss of a cell's kept steps, infinite where one is no number, to decide between equal scores."""
    losses = [kept_look(by_id[run].looks).values["loss"] for run in cell.runs]
    return _mean(losses) if all(map(math.isfinite, losses)) else math.inf


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers)


def _why_missing(facts: RunFacts) -> str:
    if facts.train is not None and facts.train.status != "done":
        return f"{facts.id}: training {facts.train.status}"
    return f"{facts.id}: no validation value of the kept step is a number"


def levels_in_words(cell: Cell, names: Iterable[str]) -> str:
    """Some of a cell's levels: `lr 3e-3, epochs 2`."""
    return ", ".join(f"{name} {cell.levels[name] or 'none'}" for name in names)


def selected_table(choices: Sequence[Choice], of_cells: pd.DataFrame, factors: Sequence[str], metric: str) -> pd.DataFrame:
    """One row per choice, task and metric that its cell is asked; where nothing is chosen, per one that a candidate is asked.

    Args:
        of_cells: What `cells_table` returned.
        factors: Names of the factors, without the seed.
        metric: `validation.metric`.
    """
    rows = []
    for choice in choices:
        names = [cell.name for cell in ([choice.cell] if choice.cell else choice.candidates)]
        own = of_cells[of_cells["cell"].isin(names) & (of_cells["kind"] == "trained")].drop_duplicates(MEASURE)
        levels = choice.cell.levels if choice.cell else {**dict.fromkeys(factors, ""), **choice.others}
        chosen = {
            "chosen_by": metric, "validation": choice.value, "next_validation": choice.following,
            "candidates": len(choice.candidates), "chosen_why": "; ".join(choice.notes),
        }
        for row in own.to_dict("records"):
            numbers = {name: row[name] if choice.cell else math.nan for name in NUMBERS}
            counts = {"n_seeds": row["n_seeds"] if choice.cell else 0, "runs": row["runs"] if choice.cell else 0}
            reason = row["reason"] if choice.cell else "nothing is chosen"
            rows.append({**levels, **chosen, **{k: row[k] for k in MEASURE}, **counts, **numbers, "reason": reason})
    columns = [*factors, *CHOICE_COLUMNS, *MEASURE, "n_seeds", *NUMBERS, "runs", "reason"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype(dict.fromkeys(("validation", "next_validation", *NUMBERS), float))
