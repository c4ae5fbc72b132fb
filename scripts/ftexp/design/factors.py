"""Factors, their levels and the constants, checked: what a run may set, and that it is set in one place.

Only the standard library and PyYAML are imported here, because the cookiecutter hook runs this code too.
"""

import datetime
import re
from dataclasses import dataclass
from typing import Any

from ftexp.data.splits import VALIDATION
from ftexp.design.prompt_section import PROMPT_KEYS, as_text, check_prompt_value
from ftexp.design.sections import (
    ALL,
    DATA_KEYS,
    as_list,
    check_data_value,
    check_split,
    check_validation_rows,
    complete_split,
    read_section,
)
from ftexp.design.settings import SETTINGS, check_setting, levels_meant, suggest_setting, where_all
from ftexp.design.torchtune_keys import REFUSED_KEYS, SAME_THING, TORCHTUNE_TOP_LEVEL, is_torchtune_key, owned_by
from ftexp.design.validation_values import check_validation_value
from ftexp.ground.errors import Findings, suggestion

# Columns of runs.csv and results.csv, which a factor of the same name would double.
RESERVED_FACTORS = (
    "run", "kind", "control", "status", "problem", "train_rows", "effective_batch", "steps_per_epoch", "steps",
    "train_status", "eval_status",
    "reason", "task", "metric", "n", "score", "score_se", "majority", "chance", "diff_control", "diff_control_se",
    "train_loss", "validation", "kept_step", "kept_why",
)
# What may be a level and stand alone, without a list around it.
_OF_A_LEVEL = (str, int, float, datetime.date)


@dataclass(frozen=True)
class Level:
    """One level of a factor: its label in the table, and what it sets."""

    label: Any
    sets: dict[str, Any]


def check_factors(found: Findings, factors: dict[str, Any]) -> dict[str, list[Level]]:
    """The factors with their levels, those left out that are wrong."""
    checked: dict[str, list[Level]] = {}
    for name, levels in factors.items():
        key, levels = f"factors.{name}", levels_meant(name, levels)
        is_all, levels = levels == ALL, as_list(levels, *_OF_A_LEVEL)
        if isinstance(levels, dict):
            checked[name] = _check_named_levels(found, key, levels)
        elif name not in SETTINGS and not is_torchtune_key(name):
            _refuse_factor(found, name, levels)
        elif is_all:
            found.add(key, f"must be a list of levels, got {ALL!r}", f"Write [first, second]; {where_all()}.")
        elif not isinstance(levels, list) or not levels:
            found.add(key, f"must be a list of at least one level, got {levels!r}", "Write [first, second].")
        else:
            checked[name] = [Level(level, {name: level}) for level in levels]
            for level in levels:
                _check_assignment(found, key, name, level)
            _check_repeats(found, key, levels)
        _check_sizes(found, key, checked.get(name, []))
    return checked


def _refuse_factor(found: Findings, name: str, levels: Any) -> None:
    """A factor by a name that is no setting's: perhaps one of a prompt or of data, which needs named levels."""
    advice = suggest_setting(name, [*SETTINGS, *TORCHTUNE_TOP_LEVEL])
    own = name.replace(".", "_") if name.startswith(("prompt.", "data.", "validation.")) else name
    key = name if own != name else "prompt.user"
    if own != name or (isinstance(levels, list) and all(isinstance(level, str) for level in levels) and "Valid" in advice):
        advice = f"What sets a prompt or data has named levels: {own}: {{one: {{{key}: ...}}, other: {{{key}: ...}}}}. " + (
            "" if own != name else advice)
    found.add(f"factors.{name}", "unknown factor", advice.strip())


def _check_sizes(found: Findings, key: str, levels: list[Level]) -> None:
    """train_size is given in rows or in shares by all levels of a factor: 1 and 1.0 would be equal, 100 and 0.5 have no trend."""
    sizes = [level.sets["train_size"] for level in levels if level.sets.get("train_size") is not None]
    shares = [size for size in sizes if isinstance(size, float)]
    counts = [size for size in sizes if isinstance(size, int)]
    if shares and counts:
        what = f"mixes numbers of rows with shares of them, got {counts[0]} and {shares[0]} for train_size"
        found.add(key, what, "Write all as numbers of rows, or all as shares (1.0 is all rows).")


def _check_repeats(found: Findings, key: str, levels: list[Any]) -> None:
    for index, level in enumerate(levels):
        if any(_same_level(level, other) for other in levels[:index]):
            found.add(key, f"has the level {level!r} twice", "Remove one.")


def find_level(levels: list[Level], value: Any) -> int | None:
    """The position of the level that a person names by `value`: its label, a number in any spelling; None where there is none."""
    wanted = _complete_value("", value)
    return next((place for place, level in enumerate(levels) if _same_level(level.label, wanted)), None)


def _same_level(a: Any, b: Any) -> bool:
    """Equal and of one type; numbers are of one type, booleans no numbers."""
    are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (a, b))
    return bool(a == b) and (are_numbers or type(a) is type(b))


def _check_named_levels(found: Findings, key: str, levels: dict[Any, Any]) -> list[Level]:
    """A named factor: `{small: {data.source: a.json}, large: {data.source: b.json}}`."""
    checked = []
    factor = key.split(".", 1)[1]
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,39}", factor) or factor in SETTINGS or factor in RESERVED_FACTORS:
        found.add(
            key, f"a named factor needs a name of its own, of letters, digits, '_' and '-', got {factor!r}",
            "The short names of settings and the columns of results.csv are taken: choose another.",
        )
    if not levels:
        found.add(key, "has no levels", "Write {name: {key: value}, other: {key: value}}.")
    for label, sets in levels.items():
        label = _complete_value("", label)
        if not _is_plain(label):
            found.add(key, f"a level must be named by a word or a number, got {label!r}")
            continue
        if not isinstance(sets, dict) or not sets:
            found.add(f"{key}.{label}", f"must be a mapping of what the level sets, got {sets!r}")
            continue
        for name, value in sets.items():
            _check_assignment(found, f"{key}.{label}.{name}", str(name), value)
        checked.append(Level(label, {str(name): _complete_value(str(name), value) for name, value in sets.items()}))
    return checked


def _complete_value(name: str, value: Any) -> Any:
    """What a level sets, in the form that the section of the same name has once it is read."""
    if name == "data.split" and isinstance(value, dict):
        return complete_split(value)
    return value.isoformat() if isinstance(value, datetime.date) else value


def _check_assignment(found: Findings, where: str, name: str, value: Any) -> None:
    """Check one `name: value` of a factor's level or of the constants."""
    head, _, tail = name.partition(".")
    if name in SETTINGS:
        problem = check_setting(name, value)
        if problem:
            is_constant = value == ALL and SETTINGS[name].values and where.startswith("constants.")
            found.add(where, problem, f"For a run of each write factors: {{{name}: {ALL}}}." if is_constant else "")
    elif head == "data":
        if tail == VALIDATION:
            check_validation_rows(found, where, value)
        elif tail not in DATA_KEYS:
            found.add(where, "unknown key", suggestion(name, [f"data.{k}" for k in DATA_KEYS]))
        elif tail == "split":
            check_split(found, where, value)
        else:
            check_data_value(found, where, tail, value)
    elif head == VALIDATION and tail:
        check_validation_value(found, where, tail, value)
    elif head == "prompt":
        if tail not in PROMPT_KEYS:
            found.add(where, "unknown key", suggestion(name, [f"prompt.{k}" for k in PROMPT_KEYS]))
        else:
            check_prompt_value(found, where, tail, as_text(value))
    elif is_torchtune_key(name):
        owner = owned_by(name)
        if name in REFUSED_KEYS:
            found.add(where, f"is refused: {REFUSED_KEYS[name]}", "Leave it out.")
        elif owner:
            found.add(where, "is a torchtune key that another fact owns", owner[0].upper() + owner[1:] + ".")
        elif isinstance(value, str) and value.lower() in ("yes", "no", "on", "off"):
            found.add(where, f"is the text {value!r}, which torchtune would take for true", "Write true or false.")
        elif not _is_plain(value):
            found.add(where, f"must be a finite number, a text, a boolean, a list or null, got {value!r}")
    else:
        known = [*SETTINGS, *(f"data.{k}" for k in DATA_KEYS), *(f"prompt.{k}" for k in PROMPT_KEYS)]
        found.add(where, "unknown key", suggest_setting(name, known))


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, int | float):
        return abs(value) < 2**63
    return value is None or isinstance(value, str)


def check_constants(found: Findings, document: dict[str, Any]) -> dict[str, Any]:
    """The constants, the recipe of the top among them."""
    constants = dict(read_section(found, document, "constants"))
    if "recipe" in document:
        if "recipe" in constants:
            found.add("recipe", "stands at the top and in constants", "Keep one.")
        constants["recipe"] = document["recipe"]
    for name, value in constants.items():
        where = name if name == "recipe" else f"constants.{name}"
        if name.startswith(("data.", "prompt.", "validation.")):
            found.add(where, "belongs into its own section at the top")
        else:
            _check_assignment(found, where, name, value)
    return constants


def check_overlap(found: Findings, factors: dict[str, list[Level]], constants: dict[str, Any]) -> None:
    """A thing is set in one place, by one factor or as a constant, and under one of its names."""
    _check_names_beside(found, "constants", constants)
    owner = {SAME_THING.get(name, name): (name, "constants") for name in constants}
    for factor, levels in factors.items():
        for level in levels:
            _check_names_beside(found, f"factors.{factor}.{level.label}", level.sets)
        own = {}
        for name in dict.fromkeys(name for level in levels for name in level.sets):
            thing = SAME_THING.get(name, name)
            if thing in owner:
                other, who = owner[thing]
                what = f"which {who} sets too" if other == name else f"and {who} sets '{other}', which decides the same"
                joint = ", or make one factor of the two, a named level for each combination" if who != "constants" else ""
                found.add(f"factors.{factor}", f"sets '{name}', {what}", f"Keep one{joint}.")
            own[thing] = (name, f"factor {factor}")
        owner |= own
    if "model" not in owner and not any("factors.model: " in message for message in found.messages):
        found.add("constants.model", "is missing", "Name a folder in models/, here or as a factor.")


def _check_names_beside(found: Findings, where: str, sets: dict[str, Any]) -> None:
    """No two names of one thing stand in the constants, or in a level."""
    names: dict[str, str] = {}
    for name in sets:
        other = names.setdefault(SAME_THING.get(name, name), name)
        if other != name:
            found.add(f"{where}.{name}", f"stands beside {other}, which decides the same", "Keep one.")


def check_baseline(found: Findings, baseline: dict[str, Any], factors: dict[str, list[Level]]) -> dict[str, Any]:
    """Per factor the label of the level that the others are compared with."""
    checked = {}
    for factor, value in baseline.items():
        key = f"baseline.{factor}"
        if factor == "seed":
            found.add(key, "a seed has no baseline: runs that differ in their seed alone are replicates", "Remove it.")
        elif factor not in factors:
            found.unknown(key, [name for name in factors if name != "seed"], "factor")
        else:
            labels = [level.label for level in factors[factor]]
            place = find_level(factors[factor], value)
            if place is None:
                found.add(key, f"must be a level of the factor, got {value!r}", f"Its levels: {', '.join(map(str, labels))}.")
            else:
                checked[factor] = labels[place]
    return checked


def check_naming(found: Findings, naming: dict[str, Any], factors: dict[str, list[Level]]) -> dict[str, str]:
    """Per factor the abbreviation that was set."""
    for factor, abbreviation in naming.items():
        if factor not in factors:
            found.unknown(f"naming.{factor}", factors, "factor")
        elif not isinstance(abbreviation, str) or not re.fullmatch(r"[A-Za-z0-9.+-]{0,20}", abbreviation):
            found.add(f"naming.{factor}", f"must be at most 20 letters, digits, '.', '+' and '-', got {abbreviation!r}")
    return {str(k): str(v) for k, v in naming.items()}
