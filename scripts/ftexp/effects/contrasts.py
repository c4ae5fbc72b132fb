"""Contrasts: which cells are compared, with which weights, for every kind of effect.

C cells. A contrast's weights are over cells; the runs (seeds) of a cell share its weight equally.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ftexp.effects.analysis import number_of
from ftexp.effects.arrays import BoolArray, FloatArray, IntArray
from ftexp.effects.cells import Cells, Key

LOG_RATIO = 4.0
NAMED_STRATA = 4
KINDS = ("level", "main", "interaction", "trend", "control", "average")
CONTROL_KINDS = ("control", "average")
OWN_KINDS = ("cell", "cells")  # of a difference between measures, which has a size of its own


@dataclass(frozen=True)
class Contrast:
    """One comparison of cells.

    Attributes:
        kind: One of `KINDS` or `OWN_KINDS`.
        factor: The factor, `A x B` of an interaction, empty of a comparison with the control.
        level: What is compared, in words.
        reference: What it is compared with, in words.
        weights: (C,) weight of each cell; all 0 where the contrast is empty.
        concerned: (C,) planned cells that the contrast would use if every run were finished.
        n_strata: Combinations of the other factors' levels over which it is averaged.
        n_strata_planned: As many as there would be in a full factorial.
        over: The other factors' levels over which it is averaged, in words, where the design lacks some; else nothing.
        reason: Why it is empty, or nothing.
        against_control: Whether each cell's control gets the opposite weight.
    """

    kind: str
    factor: str
    level: str
    reference: str
    weights: FloatArray
    concerned: BoolArray
    n_strata: int = 1
    n_strata_planned: int = 1
    reason: str = ""
    over: str = ""
    against_control: bool = field(default=False)

    @property
    def factors(self) -> list[str]:
        """The factors in whose levels it differs."""
        return [name for pair in self.factor.split(" x ") for name in pair.split(", ") if name]


def contrasts_of(cells: Cells, counts: IntArray, has_control: BoolArray, design: str) -> list[Contrast]:
    """All contrasts of a design, in the order of `KINDS` and of the declared levels.

    In a factorial: each level against the baseline with all other factors at theirs (`level`); the same averaged with
    equal weights over the cells of the other factors (`main`, where there are other factors); differences of differences
    (`interaction`); slopes (`trend`); each cell, and the average of all, against the control (`control`, `average`).
    Otherwise: each cell against the baseline cell (`level`, where the design has that cell), and against the control.

    Args:
        cells: The planned cells.
        counts: (C,) measured runs per cell.
        has_control: (C,) whether the cell's control was measured.
        design: `factorial`, `one_at_a_time` or `list`.
    """
    if not cells.keys:
        return []
    if design != "factorial":
        return [*_cells_against_baseline(cells, counts), *_against_control(cells, counts, has_control)]
    varied = cells.varied()
    mains = [c for axis in varied for c in _mains(cells, counts, axis)] if len(varied) > 1 else []
    pairs = itertools.combinations(varied, 2)
    return [
        *_levels(cells, counts), *mains,
        *(c for pair in pairs for c in _interactions(cells, counts, pair)),
        *(c for axis in varied for c in _trends(cells, counts, axis)),
        *_against_control(cells, counts, has_control), *_average_against_control(cells, counts, has_control),
    ]


def own_values(cells: Cells, counts: IntArray) -> list[Contrast]:
    """Each cell itself, and the average of the measured ones: where the value is a difference already."""
    found = []
    for position, key in enumerate(cells.keys):
        weights, concerned = _zeros(cells)
        concerned[position] = True
        weights[position] = float(counts[position] > 0)
        reason = "" if counts[position] else f"no finished run of {cells.label(key)}"
        found.append(Contrast("cell", "", cells.label(key), "", weights, concerned, int(not reason), reason=reason))
    used, strata = (counts > 0).astype(np.float64), int((counts > 0).sum())
    every = np.ones(len(cells.keys), dtype=bool)
    reason = "" if strata else "no cell has finished runs"
    found.append(
        Contrast("cells", "", "average of the cells", "", used / max(strata, 1), every, strata, len(cells.keys), reason)
    )
    return found


def _levels(cells: Cells, counts: IntArray) -> Iterator[Contrast]:
    """Each level against the baseline, the other factors at their baseline."""
    for axis in cells.varied():
        for level in _other_levels(cells, axis):
            key = (*cells.baseline[:axis], level, *cells.baseline[axis + 1 :])
            names = (cells.factors[axis], cells.labels[axis][level], cells.labels[axis][cells.baseline[axis]])
            yield _pair(cells, counts, key, names)


def _other_levels(cells: Cells, axis: int) -> list[int]:
    return [level for level in range(len(cells.labels[axis])) if level != cells.baseline[axis]]


def _cells_against_baseline(cells: Cells, counts: IntArray) -> Iterator[Contrast]:
    """Each cell against the baseline cell, where there is one, named by the factors in which the two differ."""
    for key in cells.keys if cells.baseline in cells.index else ():
        axes = [axis for axis, level in enumerate(key) if level != cells.baseline[axis]]
        if axes:
            yield _pair(cells, counts, key, (
                ", ".join(cells.factors[axis] for axis in axes),
                ", ".join(cells.labels[axis][key[axis]] for axis in axes),
                ", ".join(cells.labels[axis][cells.baseline[axis]] for axis in axes),
            ))


def _pair(cells: Cells, counts: IntArray, key: Key, names: tuple[str, str, str]) -> Contrast:
    """One cell minus the baseline cell."""
    weights, concerned = _zeros(cells)
    lacking = [cells.label(wanted) for wanted in (key, cells.baseline) if wanted not in cells.index]
    if lacking:
        return Contrast("level", *names, weights, concerned, 0, reason=f"the design has no run of {' nor of '.join(lacking)}")
    absent = []
    for sign, wanted in ((1.0, key), (-1.0, cells.baseline)):
        position = cells.index[wanted]
        concerned[position] = True
        if counts[position]:
            weights[position] = sign
        else:
            absent.append(cells.label(wanted))
    if absent:
        return Contrast("level", *names, weights * 0, concerned, 0, reason=f"no finished run of {' nor of '.join(absent)}")
    return Contrast("level", *names, weights, concerned)


def _zeros(cells: Cells) -> tuple[FloatArray, BoolArray]:
    return np.zeros(len(cells.keys)), np.zeros(len(cells.keys), dtype=bool)


def _mains(cells: Cells, counts: IntArray, axis: int) -> Iterator[Contrast]:
    """Each level against the baseline, averaged over the strata (cells of the other factors) that have both."""
    table = _strata(cells, (axis,))
    base = cells.baseline[axis]
    for level in _other_levels(cells, axis):
        names = (cells.factors[axis], cells.labels[axis][level], cells.labels[axis][base])
        yield _averaged(cells, counts, ("main", *names), table[[level, base]], np.array([1.0, -1.0]))


def _interactions(cells: Cells, counts: IntArray, axes: tuple[int, int]) -> Iterator[Contrast]:
    """(a, b) - (a, b0) - (a0, b) + (a0, b0), averaged over the strata that have all four."""
    first, second = axes
    table = _strata(cells, axes)
    a0, b0 = cells.baseline[first], cells.baseline[second]
    factor = f"{cells.factors[first]} x {cells.factors[second]}"
    reference = f"{cells.labels[first][a0]} x {cells.labels[second][b0]}"
    for a, b in itertools.product(_other_levels(cells, first), _other_levels(cells, second)):
        quartet = table[[a, a, a0, a0], [b, b0, b, b0]]
        level = f"{cells.labels[first][a]} x {cells.labels[second][b]}"
        yield _averaged(cells, counts, ("interaction", factor, level, reference), quartet, np.array([1.0, -1.0, -1.0, 1.0]))


def _trends(cells: Cells, counts: IntArray, axis: int) -> Iterator[Contrast]:
    """Least-squares slope over all levels of a numeric factor, averaged over the strata that have all of them."""
    numbers = [number_of(label) for label in cells.labels[axis]]
    values = np.array([number for number in numbers if number is not None])
    if len(values) < 3 or len(values) < len(numbers):
        return
    is_log = bool(values.min() > 0 and values.max() / values.min() >= LOG_RATIO)
    x = np.log2(values) if is_log else values
    x = x - x.mean()
    names = ("trend", cells.factors[axis], "per doubling" if is_log else "per unit", "")
    yield _averaged(cells, counts, names, _strata(cells, (axis,)), x / (x**2).sum())


def _strata(cells: Cells, axes: tuple[int, ...]) -> IntArray:
    """The grid with `axes` first and all other factors' combinations as one last axis."""
    grid = np.moveaxis(cells.grid, axes, range(len(axes)))
    return grid.reshape(*grid.shape[: len(axes)], -1)


def _averaged(
    cells: Cells, counts: IntArray, names: tuple[str, str, str, str], members: IntArray, signs: FloatArray
) -> Contrast:
    """A contrast with equal weights over the complete strata.

    Args:
        cells: The planned cells.
        counts: (C,) measured runs per cell.
        names: Kind, factor, level, reference.
        members: (m, strata) the cell in each role and stratum; -1 where none is planned.
        signs: (m,) weight of each role.
    """
    weights, concerned = _zeros(cells)
    planned = members[:, (members >= 0).all(axis=0)]
    concerned[planned] = True
    complete = (counts[planned] > 0).all(axis=0)
    total = members.shape[1]
    if not complete.any():
        roles = {"interaction": "all four cells", "trend": f"all {len(signs)} levels"}.get(names[0], "both levels")
        absent = _first_absent(cells, planned, counts)
        return Contrast(*names, weights, concerned, 0, total, f"no stratum has {roles}; {absent}")
    strata = int(complete.sum())
    np.add.at(weights, planned[:, complete], np.broadcast_to(signs[:, None] / strata, (len(signs), strata)))
    over = _strata_in_words(cells, planned[:, complete]) if planned.shape[1] < total else ""
    return Contrast(*names, weights, concerned, strata, total, over=over)


def _first_absent(cells: Cells, planned: IntArray, counts: IntArray) -> str:
    if not planned.size:
        return "the design excludes cells"
    return f"without a finished run: {cells.label(cells.keys[planned[counts[planned] == 0][0]])}"


def _strata_in_words(cells: Cells, members: IntArray) -> str:
    """The levels that all members (m, strata) of a stratum share: `lr=1e-4; lr=1e-3`."""
    texts = []
    for stratum in members.T[:NAMED_STRATA]:
        keys = [cells.keys[position] for position in stratum]
        shared = [axis for axis in cells.varied() if len({key[axis] for key in keys}) == 1]
        texts.append(", ".join(f"{cells.factors[axis]}={cells.labels[axis][keys[0][axis]]}" for axis in shared))
    return "; ".join(texts) + ("; ..." if members.shape[1] > NAMED_STRATA else "")


def _against_control(cells: Cells, counts: IntArray, has_control: BoolArray) -> Iterator[Contrast]:
    """Each tuned cell against its control."""
    for position, key in enumerate(cells.keys):
        control = cells.controls[position]
        if not control:
            continue
        weights, concerned = _zeros(cells)
        concerned[position] = True
        reason = "" if has_control[position] else f"no finished run of the control {control}"
        reason = reason if counts[position] else f"no finished run of {cells.label(key)}"
        weights[position] = 0.0 if reason else 1.0
        names = ("control", "", cells.label(key), control)
        yield Contrast(*names, weights, concerned, int(not reason), reason=reason, against_control=True)


def _average_against_control(cells: Cells, counts: IntArray, has_control: BoolArray) -> Iterator[Contrast]:
    """The average, each minus its own control, of the measured cells whose control was measured."""
    is_planned = np.array([bool(control) for control in cells.controls])
    if not is_planned.any():
        return
    used = has_control & (counts > 0)
    controls = [control for control, is_used in zip(cells.controls, used, strict=True) if is_used or not used.any()]
    names = ("average", "", "average of the cells", ", ".join(dict.fromkeys(filter(None, controls))))
    reason = "" if used.any() else "no cell has finished runs of its own and of its control"
    strata = int(used.sum())
    yield Contrast(*names, used / max(strata, 1), is_planned, strata, int(is_planned.sum()), reason, against_control=True)
