"""A design made small, for a rehearsal: the same runs under the same ids, with one epoch, a few rows and small batches.

Levels keep their labels and stay different from one another; only what they set gets smaller.
"""

import math
from collections.abc import Mapping
from typing import Any

from ftexp.data.splits import FILE_KEYS, VALIDATION
from ftexp.design.combinations import combinations, levels_of
from ftexp.design.factors import Level
from ftexp.design.run import Run
from ftexp.design.runs import abbreviation
from ftexp.design.settings import SETTINGS
from ftexp.design.spec import Experiment
from ftexp.design.torchtune_keys import SAME_THING
from ftexp.life.small_evaluation import absolute_if_outside, small_controls, small_evaluation
from ftexp.trainers.recipes import on_one_device

# Optimiser steps of a training, where no level of warmup_steps needs more.
STEPS = 2
# What a setting with one value becomes at most.
_MOST = {"epochs": 1, "batch_size": 2, "gradient_accumulation_steps": 2}
_WARNING = "Rehearsal, its numbers mean nothing: "
SmallValues = dict[str, dict[Any, Any]]


def small_values(experiment: Experiment, runs: list[Run]) -> SmallValues:
    """Per setting that is made small what each of its values becomes; a value of None is a default that follows from others."""
    trained = [run for run in runs if run.kind == "trained"]
    keeps_batch = len({run.steps["effective_batch"] for run in trained}) == 1
    small: SmallValues = {name: _counts(name, _declared(experiment, name), keeps_batch=keeps_batch) for name in _MOST}
    small["warmup_steps"] = _warmups(_declared(experiment, "warmup_steps"))  # and of warmup_ratio, which becomes steps
    steps = max(STEPS, *(1 + (value or 0) for value in small["warmup_steps"].values()))
    batch = max(_small_batch(run, small) for run in trained)
    rows = min(run.steps["train_rows"] for run in trained)
    shares = {size: _rows_of_share(trained, size) for size in _declared(experiment, "train_size") if isinstance(size, float)}
    small["train_size"] = _sizes(_declared(experiment, "train_size"), steps=steps, batch=batch, rows=rows, shares=shares)
    small["dtype"] = _precisions(_declared(experiment, "dtype"))
    recipes = _declared(experiment, "recipe")
    small["recipe"] = {name: on_one_device(name) for name in recipes}
    return small


def _declared(experiment: Experiment, name: str) -> list[Any]:
    """The distinct values of a setting: the constant's, its levels', or the default."""
    names = _names_of(name)
    if experiment.constants.keys() & names:
        return [_value_of(name, experiment.constants)]
    owners = [levels for levels in experiment.factors.values() if any(level.sets.keys() & names for level in levels)]
    return list(dict.fromkeys(_value_of(name, level.sets) for levels in owners for level in levels)) or [SETTINGS[name].default]


def _names_of(name: str) -> set[str]:
    """The names under which a setting may be set: a warm-up is one of steps, or a share of them."""
    return {name, *(other for other, thing in SAME_THING.items() if thing == name and other in SETTINGS)}


def _value_of(name: str, sets: Mapping[str, Any]) -> Any:
    """What is set of a setting, under whichever of its names; its default where nothing is."""
    return next((sets[other] for other in _names_of(name) if other in sets), SETTINGS[name].default)


def _counts(name: str, values: list[Any], *, keeps_batch: bool) -> dict[Any, Any]:
    """One value at most `_MOST`, several 1, 2, 3, ...; batches of equal products keep their proportions."""
    if len(values) == 1:
        return {values[0]: min(values[0], _MOST[name])}
    if name == "epochs" or not keeps_batch:
        return {value: rank for rank, value in enumerate(sorted(values), 1)}
    return {value: value // math.gcd(*values) for value in values}


def _warmups(values: list[Any]) -> dict[Any, Any]:
    """0 stays 0, the others become 1, 2, ..., shares first; the derived one, where others stand beside it, comes last."""
    if values == [None]:
        return {None: None}
    ordered = sorted(value for value in values if value) + [None] * (None in values)
    return {**({0: 0} if 0 in values else {}), **{value: rank for rank, value in enumerate(ordered, 1)}}


def _precisions(values: list[Any]) -> dict[Any, Any]:
    """fp32 where there is no choice: with a real vocabulary a step in bf16 takes a CPU five times as long (torch 2.13)."""
    return {value: "fp32" if len(values) == 1 else value for value in values}


def _small_batch(run: Run, small: SmallValues) -> int:
    """Rows of a step of the small run."""
    sizes = [small[name][run.settings[name]] for name in ("batch_size", "gradient_accumulation_steps")]
    return int(sizes[0] * sizes[1])


def _rows_of_share(trained: list[Run], share: float) -> int:
    """Training rows that every run with this train_size has."""
    return min(run.steps["train_rows"] for run in trained if run.settings["train_size"] == share)


def _sizes(values: list[Any], *, steps: int, batch: int, rows: int, shares: dict[float, int]) -> dict[Any, Any]:
    """Rows for so many steps of the largest batch, for each further level those of one more step; never more than there are.

    Args:
        rows: Training rows that every run has.
        shares: Per value that is a share of the rows, how many every run with it has.
    """
    ordered = sorted(value for value in values if value is not None) + [None] * (None in values)
    return {
        value: min(rows if value is None else shares.get(value, value), (steps + rank) * batch)
        for rank, value in enumerate(ordered)
    }


def small_document(document: dict[str, Any], experiment: Experiment, small: SmallValues) -> dict[str, Any]:
    """experiment.yaml with the small values, and data files outside of the experiment by their absolute paths.

    A factor that is a list of a setting's values becomes a named one, `<setting>_rehearsed`, whose levels are called by the old
    values; of levels that have become equal the first stays.
    """
    made = {**document, "question": _WARNING + experiment.question}
    made["constants"] = _small_constants(document, experiment, small)
    if "recipe" in document:
        made["recipe"] = small["recipe"][document["recipe"]]
    made["factors"], made["naming"], made["baseline"] = {}, dict(experiment.naming), dict(experiment.baseline)
    names: dict[str, str] = {}
    for factor, levels in experiment.factors.items():
        smaller = _small_levels(levels, small)
        names[factor] = factor
        if [level.sets for level in smaller] == [level.sets for level in levels]:
            made["factors"][factor] = document["factors"][factor]
            continue
        is_list = not isinstance(document["factors"][factor], dict)
        names[factor] = name = f"{factor}_rehearsed" if is_list else factor
        made["factors"][name] = {level.label: level.sets for level in smaller}
        if is_list:
            made["naming"] = {key: value for key, value in made["naming"].items() if key != factor}
            made["naming"][name] = abbreviation(experiment, factor)
        if factor in made["baseline"]:
            base = made["baseline"].pop(factor)
            made["baseline"] |= {name: base} if base in [level.label for level in smaller] else {}
    made |= _small_combinations(experiment, names, small)
    made |= {"controls": small_controls(document), "evaluation": small_evaluation(document, experiment, names)}
    if experiment.select:
        made["select"] = {"by": VALIDATION, "over": [names[name] for name in experiment.select]}
    return _with_reachable_sources(made)


def _small_combinations(experiment: Experiment, names: dict[str, str], small: SmallValues) -> dict[str, Any]:
    """`design` and `exclude` with the new names of the factors; where levels have become equal, the list of what is left.

    Args:
        names: Per factor its name in the small design.
    """
    factors, design = experiment.factors, experiment.design
    if design.is_full_factorial():
        return {}
    sets = {factor: _small_sets(levels, small) for factor, levels in factors.items()}
    if all(own not in of_factor[:place] for of_factor in sets.values() for place, own in enumerate(of_factor)):
        entries, exclude = (
            [{names[factor]: factors[factor][place].label for factor, place in entry.items()} for entry in of_design]
            for of_design in (design.entries, design.exclude)
        )
        return {"design": entries or design.kind, "exclude": exclude}
    first_equal = {factor: [of_factor.index(own) for own in of_factor] for factor, of_factor in sets.items()}
    runs = combinations(factors, experiment.baseline, design)
    left = dict.fromkeys(tuple(first_equal[name][place] for name, place in zip(factors, run, strict=True)) for run in runs)
    return {
        "design": [{names[factor]: level.label for factor, level in levels_of(factors, run).items()} for run in left],
        "exclude": [],
    }


def _small_constants(document: dict[str, Any], experiment: Experiment, small: SmallValues) -> dict[str, Any]:
    """The constants, and with them what is small and no factor's."""
    constants = dict(document.get("constants") or {})
    of_factors = {name for levels in experiment.factors.values() for level in levels for name in level.sets}
    for name, values in small.items():
        if of_factors & _names_of(name) or (name == "recipe" and "recipe" in document):
            continue
        value = next(iter(values.values()))
        if value != _value_of(name, experiment.constants):
            constants = {**_without(name, constants), name: value}
    return constants


def _small_levels(levels: list[Level], small: SmallValues) -> list[Level]:
    """The levels with small values, without those that set the same as an earlier one."""
    sets = _small_sets(levels, small)
    pairs = zip(levels, sets, strict=True)
    return [Level(level.label, own) for place, (level, own) in enumerate(pairs) if own not in sets[:place]]


def _small_sets(levels: list[Level], small: SmallValues) -> list[dict[str, Any]]:
    """What each level sets in the small design."""
    made = [level.sets for level in levels]
    for name in (name for name in small if any(level.sets.keys() & _names_of(name) for level in levels)):
        made = [{**_without(name, sets), name: small[name][_value_of(name, sets)]} for sets in made]
    return made


def _without(name: str, sets: Mapping[str, Any]) -> dict[str, Any]:
    """What is set, less the other names of a setting."""
    return {key: value for key, value in sets.items() if key == name or key not in _names_of(name)}


def _with_reachable_sources(document: dict[str, Any]) -> dict[str, Any]:
    """With the absolute path of every data file that lies outside of the experiment, which its copy would look for elsewhere."""
    factors = {
        factor: {label: _reachable(sets, "data.") for label, sets in levels.items()} if isinstance(levels, dict) else levels
        for factor, levels in document["factors"].items()
    }
    return {**document, "data": _reachable(document.get("data") or {}, ""), "factors": factors}


def _reachable(section: dict[str, Any], prefix: str) -> dict[str, Any]:
    keys = [prefix + key for key in FILE_KEYS]
    return {key: absolute_if_outside(value) if key in keys and isinstance(value, str) else value
            for key, value in section.items()}


def changes_in_words(small: SmallValues) -> list[str]:
    """What was made small, a setting a line: `epochs: 1 for 3`."""
    lines = []
    for name, values in small.items():
        changed = {old: new for old, new in values.items() if old != new}
        if changed:
            new, old = (", ".join("all" if v is None else str(v) for v in side) for side in (changed.values(), changed))
            lines.append(f"{name}: {new} for {old}")
    return lines
