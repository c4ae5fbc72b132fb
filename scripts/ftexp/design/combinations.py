"""Which combinations of levels are runs: all of them, one factor at a time, or a list; less what is excluded.

Only the standard library and PyYAML are imported here, because the cookiecutter hook runs this code too.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ftexp.design.factors import Level, find_level
from ftexp.design.sections import as_list
from ftexp.design.settings import SEED
from ftexp.ground.errors import Findings, suggestion

# More could not be looked at, and would be written out in memory first.
MOST_RUNS = 100_000
Kind = Literal["factorial", "one_at_a_time", "list"]
FACTORIAL: Kind = "factorial"
ONE_AT_A_TIME: Kind = "one_at_a_time"
LIST: Kind = "list"
Factors = dict[str, list[Level]]
# Per factor, in declared order, the position of a level among the factor's levels.
Combination = tuple[int, ...]
# The same of some factors only, by their names.
Places = dict[str, int]


@dataclass(frozen=True)
class Design:
    """Which combinations of levels are runs.

    Attributes:
        kind: `factorial`, `one_at_a_time` or `list`.
        entries: What a list holds. A factor that an entry leaves out is at its baseline; `seed` takes all its levels.
        exclude: A run that matches all of one of these is none.
    """

    kind: Kind = FACTORIAL
    entries: tuple[Places, ...] = ()
    exclude: tuple[Places, ...] = ()

    def is_full_factorial(self) -> bool:
        """Whether every combination of levels is a run."""
        return self.kind == FACTORIAL and not self.exclude


def combinations(factors: Factors, baseline: dict[str, Any], design: Design) -> list[Combination]:
    """The combinations that are runs, in the order of the plan; seeds fastest where the design crosses them."""
    return [it for it in _before_exclude(factors, baseline, design) if not any(_matches(factors, it, e) for e in design.exclude)]


def exclusions(factors: Factors, baseline: dict[str, Any], design: Design) -> list[tuple[dict[str, Level], int]]:
    """Per entry of `exclude` the levels that it names, and how many runs have them all."""
    runs = _before_exclude(factors, baseline, design)
    return [
        ({name: factors[name][place] for name, place in entry.items()}, sum(_matches(factors, run, entry) for run in runs))
        for entry in design.exclude
    ]


def count_cells(factors: Factors, runs: list[Combination]) -> int:
    """How many cells the runs are in: combinations without regard to the seed."""
    return len(set(_cells(factors, runs)))


def _cells(factors: Factors, runs: list[Combination]) -> list[Combination]:
    """Each run's combination with 0 for its seed."""
    return [tuple(0 if name == SEED else place for name, place in zip(factors, run, strict=True)) for run in runs]


def compared_strata(factors: Factors, baseline: dict[str, Any], design: Design) -> dict[str, int]:
    """Over how many cells of the other factors a comparison with the baseline is averaged, of the level that has fewest.

    In a factorial per factor; else per group of factors in which a cell differs from the baseline cell (`lora_rank, lr`), 1.
    What nothing can be compared in is left out.
    """
    cells = set(_cells(factors, combinations(factors, baseline, design)))
    (base,) = _cells(factors, [_baseline_places(factors, baseline)])
    found: dict[str, int] = {}
    if design.kind != FACTORIAL:
        for cell in sorted(cells) if base in cells else ():
            differing = [name for name, place, first in zip(factors, cell, base, strict=True) if place != first]
            found |= {", ".join(differing): 1} if differing else {}
        return found
    for axis, (name, levels) in enumerate(factors.items()):
        at_base = [cell for cell in cells if cell[axis] == base[axis]]
        others = [place for place in range(len(levels)) if place != base[axis] and name != SEED]
        counts = [sum((*cell[:axis], place, *cell[axis + 1 :]) in cells for cell in at_base) for place in others]
        found |= {name: min(filter(None, counts))} if any(counts) else {}
    return found


def levels_of(factors: Factors, combination: Combination) -> dict[str, Level]:
    """Per factor the level of a combination."""
    return {name: levels[place] for (name, levels), place in zip(factors.items(), combination, strict=True)}


def baseline_levels(factors: Factors, baseline: dict[str, Any]) -> dict[str, Level]:
    """The baseline cell: per factor but the seed the level that `baseline` names, else the first."""
    base = _baseline_places(factors, baseline)
    return {name: level for name, level in levels_of(factors, base).items() if name != SEED}


def has_baseline(factors: Factors, baseline: dict[str, Any], design: Design) -> bool:
    """Whether a run is in the baseline cell, of whatever seed."""
    base = levels_of(factors, _baseline_places(factors, baseline))
    runs = (levels_of(factors, run) for run in combinations(factors, baseline, design))
    return any(all(run[name] is level for name, level in base.items() if name != SEED) for run in runs)


def levels_in_words(levels: dict[str, Level], text: Callable[[Any], str] = str) -> str:
    """Levels by their labels: `lora_rank 16, lr 0.001`."""
    return ", ".join(f"{name} {text(level.label)}" for name, level in levels.items())


def _before_exclude(factors: Factors, baseline: dict[str, Any], design: Design) -> list[Combination]:
    ranges = [range(len(levels)) for levels in factors.values()]
    if design.kind == FACTORIAL:
        return list(itertools.product(*ranges))
    base = _baseline_places(factors, baseline)
    entries = design.entries
    if design.kind == ONE_AT_A_TIME:
        entries = ({}, *(
            {name: place} for name, own, first in zip(factors, ranges, base, strict=True) for place in own
            if name != SEED and place != first
        ))
    return [combination for entry in entries for combination in _of_entry(factors, base, entry)]


def _of_entry(factors: Factors, base: Combination, entry: Places) -> list[Combination]:
    """The runs of one entry: one, or one per seed where it names none."""
    choices = [
        range(len(levels)) if name == SEED and name not in entry else [entry.get(name, first)]
        for (name, levels), first in zip(factors.items(), base, strict=True)
    ]
    return list(itertools.product(*choices))


def _baseline_places(factors: Factors, baseline: dict[str, Any]) -> Combination:
    return tuple(find_level(levels, baseline[name]) or 0 if name in baseline else 0 for name, levels in factors.items())


def _matches(factors: Factors, combination: Combination, entry: Places) -> bool:
    """Whether a combination has all levels of an entry."""
    return all(entry.get(name, place) == place for name, place in zip(factors, combination, strict=True))


def check_design(found: Findings, document: dict[str, Any], factors: Factors, baseline: dict[str, Any]) -> Design:
    """The keys `design` and `exclude`, and what they make of the factors.

    Args:
        document: experiment.yaml.
        factors: The factors that are right.
        baseline: The checked baseline.
    """
    count = len(found.messages)
    written = document.get("factors")
    known = list(written) if isinstance(written, dict) else []
    kind, entries = FACTORIAL, list[Places]()
    value = as_list(document.get("design", FACTORIAL), dict)
    if isinstance(value, list):
        kind, entries = LIST, _check_entries(found, "design", value, factors, known)
        if not value:
            found.add("design", "lists no run", "Write [{factor: level, other: level}, ...].")
    elif value == ONE_AT_A_TIME:
        kind = ONE_AT_A_TIME
    elif value != FACTORIAL:
        found.add("design", f"must be {FACTORIAL}, {ONE_AT_A_TIME} or a list of runs [{{factor: level}}, ...], got {value!r}")
    excluded = as_list(document.get("exclude"), dict)
    exclude = _check_entries(found, "exclude", [] if excluded is None else excluded, factors, known)
    design = Design(kind, tuple(entries), tuple(exclude))
    size = _most_runs(factors, design)
    if size > MOST_RUNS:
        found.add("factors", f"must make at most {MOST_RUNS} runs, got {size}", "Take levels out.")
    if len(found.messages) == count and len(known) == len(factors) and all(factors.values()) and not design.is_full_factorial():
        _check_runs(found, factors, baseline, design)
    return design


def _most_runs(factors: Factors, design: Design) -> int:
    """How many runs a design has before anything is excluded, without making them."""
    counts = {name: len(levels) for name, levels in factors.items()}
    if design.kind == FACTORIAL:
        return math.prod(counts.values())
    seeds = counts.pop(SEED, 1)
    if design.kind == ONE_AT_A_TIME:
        return (1 + sum(count - 1 for count in counts.values())) * seeds
    return sum(1 if SEED in entry else seeds for entry in design.entries)


def _check_entries(found: Findings, key: str, entries: Any, factors: Factors, known: list[Any]) -> list[Places]:
    """A list of mappings from factors to levels.

    Args:
        known: All factors that stand in the document, those with a mistake of their own too.
    """
    if not isinstance(entries, list):
        found.add(key, f"must be a list of mappings from factors to levels, got {entries!r}", "Write [{factor: level}, ...].")
        return []
    checked = []
    for number, entry in enumerate(entries):
        where = f"{key}[{number}]"
        if entry == {} and key == "exclude":
            found.add(where, "is empty, and so would remove every run", "Name a level of a factor, or remove it.")
        elif isinstance(entry, dict):
            checked.append(_check_entry(found, where, entry, factors, known))
        else:
            found.add(where, f"must be a mapping from factors to levels, got {entry!r}", "Write {factor: level, other: level}.")
    return checked


def _check_entry(found: Findings, where: str, entry: dict[Any, Any], factors: Factors, known: list[Any]) -> Places:
    places = {}
    for name, value in entry.items():
        if name not in known:
            found.add(f"{where}.{name}", "unknown factor", suggestion(str(name), map(str, known)))
        elif name in factors:
            place = find_level(factors[name], value)
            if place is None:
                own = ", ".join(str(level.label) for level in factors[name])
                found.add(f"{where}.{name}", f"must be a level of the factor, got {value!r}", f"Its levels: {own}.")
            else:
                places[name] = place
    return places


def _check_runs(found: Findings, factors: Factors, baseline: dict[str, Any], design: Design) -> None:
    """No run comes twice, every exclusion removes one, and of what is left every level is a part."""
    _check_repeats(found, factors, baseline, design)
    runs = _before_exclude(factors, baseline, design)
    for number, entry in enumerate(design.exclude):
        if not any(_matches(factors, run, entry) for run in runs):
            own = {name: factors[name][place] for name, place in entry.items()}
            found.add(f"exclude[{number}]", f"matches no run, got {levels_in_words(own)}", "Remove it, or correct a level.")
    left = combinations(factors, baseline, design)
    if not left:
        found.add("exclude", "removes every run", "Remove an entry.")
        return
    if design.kind == ONE_AT_A_TIME and not has_baseline(factors, baseline, design):
        base = levels_in_words(baseline_levels(factors, baseline))
        what = f"removes the baseline cell ({base or 'the only one'}), with which {ONE_AT_A_TIME} compares every other"
        found.add("exclude", what, "Name another baseline, or remove an entry.")
        return
    cure = "Remove it from the factor" + (", or add an entry to design" if design.kind == LIST else "")
    cure += ", or remove an entry of exclude" if design.exclude else ""
    for axis, (name, levels) in enumerate(factors.items()):
        unused = [str(level.label) for place, level in enumerate(levels) if all(run[axis] != place for run in left)]
        if unused:
            found.add(f"factors.{name}", f"no run has the level {' or '.join(unused)}", f"{cure}.")


def _check_repeats(found: Findings, factors: Factors, baseline: dict[str, Any], design: Design) -> None:
    base = _baseline_places(factors, baseline)
    seen: dict[Combination, int] = {}
    for number, entry in enumerate(design.entries):
        own = _of_entry(factors, base, entry)
        twice = [run for run in own if run in seen]
        if twice:
            labels = levels_in_words(levels_of(factors, twice[0])) or "the only one"
            found.add(f"design[{number}]", f"gives a run that design[{seen[twice[0]]}] gives already: {labels}", "Remove one.")
        seen |= {run: number for run in own if run not in seen}
