"""Cells of the design: combinations of levels, the planned runs in each, and which of them were measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from ftexp.effects.analysis import Analysis, canonical
from ftexp.effects.arrays import BoolArray, IntArray
from ftexp.effects.errors import UnusableTable

Key = tuple[int, ...]
RUN_KINDS = ("trained", "control")


def control_column(other: str) -> str:
    """The column of `runs` that names each trained run's control of another kind."""
    return f"control:{other}"


@dataclass(frozen=True)
class Cells:
    """The planned cells, each a tuple of level indices in the order of the factors.

    Attributes:
        factors: Names of the factors.
        labels: Per factor the texts of its levels, in declared order.
        baseline: Index of each factor's baseline level.
        keys: The cells, in order of appearance in `runs`.
        runs: Per cell the positions in `runs` of its planned runs.
        controls: Per cell the id of its control, or empty.
    """

    factors: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    baseline: Key
    keys: tuple[Key, ...]
    runs: tuple[tuple[int, ...], ...]
    controls: tuple[str, ...]

    @cached_property
    def index(self) -> dict[Key, int]:
        """Position of each cell."""
        return {key: position for position, key in enumerate(self.keys)}

    @cached_property
    def grid(self) -> IntArray:
        """Position of the cell at each combination of levels; -1 where none is planned. One axis per factor."""
        grid = np.full([len(labels) for labels in self.labels], -1, dtype=np.int64)
        for key, position in self.index.items():
            grid[key] = position
        return grid

    @cached_property
    def of_run(self) -> dict[int, int]:
        """The cell of each trained run, by its position in `runs`."""
        return {run: cell for cell, runs in enumerate(self.runs) for run in runs}

    def against(self, runs: pd.DataFrame, other: str) -> "Cells":
        """The same with another kind of control.

        Raises:
            UnusableTable: As `cells_of` does of the column `control`, or if there is no such column.
        """
        if control_column(other) not in runs:
            what = f"missing column, which analysis.others needs. Name each trained run's {other}, or leave {other} out"
            raise UnusableTable(f"runs: {control_column(other)}: {what}.")
        return replace(self, controls=_controls_of_cells(runs, self.runs, control_column(other)))

    def varied(self) -> list[int]:
        """Factors of two or more levels."""
        return [axis for axis, labels in enumerate(self.labels) if len(labels) > 1]

    def label(self, key: Key) -> str:
        """A cell in words: `lora_rank=16, lr=1e-4`, of the factors of two or more levels."""
        axes = self.varied() or range(len(self.factors))
        return ", ".join(f"{self.factors[axis]}={self.labels[axis][key[axis]]}" for axis in axes) or "the tuned runs"

    def counts(self, is_measured: BoolArray) -> IntArray:
        """(C,) measured runs per cell; `is_measured` has one entry per row of `runs`."""
        return np.array([int(is_measured[list(runs)].sum()) for runs in self.runs], dtype=np.int64)


def cells_of(runs: pd.DataFrame, analysis: Analysis) -> Cells:
    """The cells of the table `runs`.

    Raises:
        UnusableTable: If a run's level is not declared, its kind or control is none, a column is missing, or two runs of a
            cell have one seed.
    """
    check_runs(runs, list(analysis.factors))
    factors = tuple(analysis.factors)
    known = [{canonical(level): index for index, level in enumerate(analysis.factors[name])} for name in factors]
    trained = np.flatnonzero((runs["kind"] == "trained").to_numpy())
    columns = [_level_indices(runs, name, known[axis], trained) for axis, name in enumerate(factors)]
    members: dict[Key, list[int]] = {}
    for position, row in enumerate(trained):
        members.setdefault(tuple(column[position] for column in columns), []).append(int(row))
    _check_seeds(runs, list(members.values()))
    return Cells(
        factors=factors,
        labels=tuple(tuple(str(level) for level in analysis.factors[name]) for name in factors),
        baseline=tuple(_baseline(analysis, name, known[axis]) for axis, name in enumerate(factors)),
        keys=tuple(members), runs=tuple(tuple(rows) for rows in members.values()),
        controls=_controls_of_cells(runs, list(members.values()), "control"),
    )


def check_runs(runs: pd.DataFrame, factors: Sequence[str]) -> None:
    """Refuse what cannot be a table of runs.

    Raises:
        UnusableTable: If a column is missing, an id is empty or there twice, or a kind is none.
    """
    missing = [name for name in ("run", "kind", *factors) if name not in runs]
    if missing:
        raise UnusableTable(f"runs: {', '.join(missing)}: missing column. Give one column per factor, and run and kind.")
    twice = runs["run"][runs["run"].duplicated()]
    if len(twice):
        raise UnusableTable(f"runs: run: must be unique, got {twice.iloc[0]} twice. Remove one.")
    if "" in (names := texts_of(runs, "run")):
        raise UnusableTable(f"runs: run: is empty in row {names.index('') + 1} of {len(runs)}. Give each run an id.")
    for name, kind in zip(names, texts_of(runs, "kind"), strict=True):
        if kind not in RUN_KINDS:
            raise UnusableTable(f"runs: kind: run {name}: must be {' or '.join(RUN_KINDS)}, got {kind!r}. Correct it.")


def controls_of(runs: pd.DataFrame, column: str = "control") -> list[str]:
    """The control of each trained run, by id; empty where it has none, and of a control.

    Raises:
        UnusableTable: If it is no run of the table, or none of kind control.
    """
    kinds = dict(zip(texts_of(runs, "run"), texts_of(runs, "kind"), strict=True))
    found = [control if kind == "trained" else "" for control, kind in zip(texts_of(runs, column), kinds.values(), strict=True)]
    for run, control in zip(kinds, found, strict=True):
        if control and control not in kinds:
            raise UnusableTable(f"runs: {column}: not in the table of runs, got {control}. Add its row.")
        if control and kinds[control] != "control":
            what = f"must name a run of kind control, got {control}, which is of kind {kinds[control]}"
            raise UnusableTable(f"runs: {column}: run {run}: {what}. Name a control, or leave it empty.")
    return found


def _controls_of_cells(runs: pd.DataFrame, members: Sequence[Sequence[int]], column: str) -> tuple[str, ...]:
    """The control of each cell, which is that of all its runs."""
    controls = controls_of(runs, column)
    for rows in members:
        for row in rows:
            if controls[row] != controls[rows[0]]:
                what = f"{runs['run'].iloc[rows[0]]} and {runs['run'].iloc[row]} have the same levels and two controls"
                given = f"got {controls[rows[0]] or 'none'} and {controls[row] or 'none'}"
                raise UnusableTable(f"runs: {column}: {what}, {given}. Name one, or declare the factor they differ in.")
    return tuple(controls[rows[0]] for rows in members)


def _level_indices(runs: pd.DataFrame, name: str, known: dict[str, int], rows: IntArray) -> list[int]:
    levels = [canonical(level) for level in runs[name].to_numpy()[rows]]
    unknown = [position for position, level in enumerate(levels) if level not in known]
    if unknown:
        row = rows[unknown[0]]
        raise UnusableTable(
            f"runs: {name}: run {runs['run'].iloc[row]} has a level that is not declared, got {runs[name].iloc[row]!r}. "
            f"Declared: {', '.join(known)}."
        )
    return [known[level] for level in levels]


def _baseline(analysis: Analysis, name: str, known: dict[str, int]) -> int:
    if name not in analysis.baseline:
        return 0
    level = canonical(analysis.baseline[name])
    if level not in known:
        given = f"got {analysis.baseline[name]!r}. Valid here: {', '.join(known)}"
        raise UnusableTable(f"experiment.yaml: baseline.{name}: not a level, {given}.")
    return known[level]


def _check_seeds(runs: pd.DataFrame, members: list[list[int]]) -> None:
    """Runs of one cell are replicates: they differ in their seeds."""
    seeds = seed_texts(runs)
    for rows in members:
        seen: dict[str, int] = {}
        for row in rows:
            first = seen.setdefault(seeds[row], row)
            if first != row:
                names = f"{runs['run'].iloc[first]} and {runs['run'].iloc[row]}"
                what = f"{names} have the same levels and the same seed"
                raise UnusableTable(f"runs: seed: {what}. Declare the factor they differ in.")


def texts_of(runs: pd.DataFrame, name: str) -> list[str]:
    """A column as texts; empty where it is, or where there is none."""
    if name not in runs:
        return [""] * len(runs)
    return ["" if pd.isna(value) else str(value) for value in runs[name]]


def not_done(runs: pd.DataFrame) -> list[str]:
    """Runs whose evaluation is not done: what they scored before does not count."""
    if "eval_status" not in runs:
        return []
    return [run for run, status in zip(runs["run"], texts_of(runs, "eval_status"), strict=True) if status != "done"]


def seed_texts(runs: pd.DataFrame) -> list[str]:
    """The seed of each run; empty where there is none."""
    if "seed" not in runs:
        return [""] * len(runs)
    return ["" if pd.isna(seed) else canonical(seed) for seed in runs["seed"].to_numpy()]
