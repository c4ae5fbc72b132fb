"""experiment.yaml, read and checked: the one file that a person writes.

Only the standard library and PyYAML are imported here, because the cookiecutter hook runs this code too.
"""

import datetime
import re
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftexp.errors import Findings, UserError, suggestion
from ftexp.settings import SETTINGS, TORCHTUNE_TOP_LEVEL, check_setting, is_torchtune_key, owned_by
from ftexp.yamlfile import load_yaml

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
TOP_KEYS = (
    "experiment", "question", "recipe", "data", "prompt", "factors", "design", "constants", "controls",
    "evaluation", "naming",
)
DATA_KEYS = ("source", "train", "validation", "test", "split", "input", "output")
SPLIT_KEYS = ("train", "validation", "test", "seed", "stratify", "group")
PROMPT_KEYS = ("system", "user", "date")
EVALUATION_KEYS = ("scorer", "max_tokens")
SCORERS = ("exact",)
# Columns of runs.csv and results.csv, which a factor of the same name would double.
RESERVED_FACTORS = (
    "run", "kind", "problem", "train_rows", "effective_batch", "steps_per_epoch", "steps", "train_status", "eval_status", "reason",
    "task", "metric", "n", "score", "score_se", "diff_control", "diff_control_se", "train_loss",
)
DEFAULT_SPLIT = {"train": 0.8, "validation": 0.1, "test": 0.1, "seed": 0, "stratify": None, "group": None}


@dataclass(frozen=True)
class Experiment:
    """experiment.yaml with its defaults filled in.

    Attributes:
        constants: Short names and torchtune keys, the same for all runs.
        factors: Per factor its levels, `label -> what the level sets` (short names, `data.*`, `prompt.*`,
            torchtune keys). The label is the level itself, or a named level's name.
        naming: Per factor the abbreviation that stands before its level in an id.
    """

    name: str
    question: str
    data: dict[str, Any]
    prompt: dict[str, Any]
    factors: dict[str, list["Level"]]
    constants: dict[str, Any]
    has_controls: bool
    evaluation: dict[str, Any]
    naming: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Level:
    """One level of a factor: its label in the table, and what it sets."""

    label: Any
    sets: dict[str, Any]


def read_experiment(path: Path) -> Experiment:
    """Read and check experiment.yaml.

    Raises:
        UserError: With every mistake of the file at once.
    """
    return check_experiment(load_yaml(path), path.name)


def check_experiment(document: Any, file: str) -> Experiment:
    """Check a parsed experiment.yaml and fill in its defaults.

    Raises:
        UserError: With every mistake of the document at once.
    """
    if not isinstance(document, dict):
        raise UserError(f"{file}: must be a mapping of keys such as question, data, factors, got {type(document).__name__}.")
    found = Findings(file)
    _check_keys(found, "", document, TOP_KEYS)
    data = _check_data(found, "data", _section(found, document, "data"))
    prompt = _check_prompt(found, _section(found, document, "prompt"))
    factors = _check_factors(found, _section(found, document, "factors"))
    constants = _check_constants(found, document)
    _check_overlap(found, factors, constants)
    experiment = Experiment(
        name=_check_name(found, document.get("experiment")),
        question=_check_text(found, "question", document.get("question")),
        data=data,
        prompt=prompt,
        factors=factors,
        constants=constants,
        has_controls=_check_controls(found, _section(found, document, "controls")),
        evaluation=_check_evaluation(found, _section(found, document, "evaluation")),
        naming=_check_naming(found, _section(found, document, "naming"), factors),
    )
    if document.get("design", "factorial") != "factorial":
        found.add("design", f"must be factorial, got {document['design']!r}", "It is the only design for now.")
    found.raise_if_any()
    return experiment


def _section(found: Findings, document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
        found.add(key, f"must be a mapping with words as keys, got {value!r}")
        return {}
    return value


def _check_keys(found: Findings, prefix: str, section: dict[Any, Any], known: tuple[str, ...]) -> None:
    for key in section:
        if key not in known:
            found.unknown(f"{prefix}{key}", known)


def _check_name(found: Findings, value: Any) -> str:
    if isinstance(value, str) and NAME_PATTERN.fullmatch(value):
        return value
    found.add(
        "experiment", f"must be a name of letters, digits, '.', '_' and '-', at most 80, got {value!r}", "Rename it."
    )
    return "experiment"


def _check_text(found: Findings, key: str, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    found.add(key, f"must be a sentence, got {value!r}", "Say what the experiment asks.")
    return ""


def _check_data(found: Findings, prefix: str, data: dict[str, Any]) -> dict[str, Any]:
    """The data section with its defaults; also used for the same section with a named level applied."""
    _check_keys(found, f"{prefix}.", data, DATA_KEYS)
    complete = {key: data.get(key) for key in DATA_KEYS}
    complete["input"] = data.get("input", "input")
    complete["output"] = data.get("output", "output")
    for key in ("source", "train", "validation", "test", "input", "output"):
        value = complete[key]
        if value is not None and not (isinstance(value, str) and value):
            found.add(f"{prefix}.{key}", f"must be a text, got {value!r}")
            complete[key] = None
    complete["split"] = _check_split(found, f"{prefix}.split", data.get("split"))
    return complete


def check_sources(found: Findings, data: dict[str, Any]) -> None:
    """A run's data comes from one source that is split, or from sources that are split already."""
    if data["source"] and (data["train"] or data["test"] or data["validation"]):
        found.add("data", "has both source and train/validation/test", "Keep one: a source is split by us, the others are not.")
    elif not data["source"] and data["split"]:
        found.add("data.split", "stands beside train and test, which are split already", "Remove it.")
    elif not data["source"] and not (data["train"] and data["test"]):
        found.add("data.source", "is missing", "Name a file, or both data.train and data.test.")


def _check_split(found: Findings, key: str, split: Any) -> dict[str, Any] | None:
    if split is None:
        return None
    if not isinstance(split, dict):
        found.add(key, f"must be a mapping such as {{train: 0.8, validation: 0.1, test: 0.1, seed: 0}}, got {split!r}")
        return None
    _check_keys(found, f"{key}.", split, SPLIT_KEYS)
    complete = complete_split(split)
    shares = [complete[part] for part in ("train", "validation", "test")]
    if not all(isinstance(s, int | float) and not isinstance(s, bool) and 0 <= s <= 1 for s in shares):
        found.add(key, f"train, validation and test must be shares from 0 to 1, got {shares}")
    elif abs(sum(shares) - 1) > 1e-9:
        found.add(key, f"train, validation and test must add up to 1, got {sum(shares):g}")
    if not isinstance(complete["seed"], int) or isinstance(complete["seed"], bool):
        found.add(f"{key}.seed", f"must be a whole number, got {complete['seed']!r}")
    for name in ("stratify", "group"):
        if complete[name] is not None and not isinstance(complete[name], str):
            found.add(f"{key}.{name}", f"must be the name of a column, got {complete[name]!r}")
    if complete["stratify"] and complete["group"]:
        found.add(key, "has both stratify and group", "Keep one.")
    return complete


def complete_split(split: dict[str, Any]) -> dict[str, Any]:
    """A split section with its defaults; validation is optional, so that `{train: 0.9, test: 0.1}` adds up."""
    return {name: split.get(name, DEFAULT_SPLIT[name] if name != "validation" else 0.0) for name in SPLIT_KEYS}


def _check_prompt(found: Findings, prompt: dict[str, Any]) -> dict[str, Any]:
    _check_keys(found, "prompt.", prompt, PROMPT_KEYS)
    complete = {"system": prompt.get("system"), "user": prompt.get("user", "{input}"), "date": prompt.get("date", "2026-01-01")}
    if isinstance(complete["date"], datetime.date):
        complete["date"] = complete["date"].isoformat()
    for key, value in complete.items():
        check_prompt_value(found, f"prompt.{key}", key, value)
    return complete


def check_prompt_value(found: Findings, where: str, key: str, value: Any) -> None:
    """Check one of prompt's keys: system, user or date."""
    if key == "user":
        if not isinstance(value, str):
            found.add(where, f"must be a text, got {value!r}")
        else:
            _check_placeholders(found, where, value)
    elif key == "system" and value is not None and not isinstance(value, str):
        found.add(where, f"must be a text, or null for no system turn, got {value!r}")
    elif key == "date" and not (isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)):
        found.add(where, f"must be a date such as 2026-01-01, got {value!r}")


def placeholders(template: str) -> list[str]:
    """The column names in a prompt, in order; `{{` and `}}` stand for braces.

    Raises:
        ValueError: If braces do not match.
    """
    return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]


def _check_placeholders(found: Findings, where: str, template: str) -> None:
    try:
        fields = [field[1:] for field in string.Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        found.add(where, f"has braces that do not match ({error})", "Write {{ and }} for braces that are text.")
        return
    for name, form, conversion in fields:
        if not name or form or conversion or re.search(r"[.\[\]]", name) or name.isdigit():
            found.add(where, f"has braces around something that is no column's name, got {template!r}", "Write {{ and }} for braces that are text.")
            return
    if not fields:
        found.add(where, f"names no column, so every prompt would be the same, got {template!r}", "Put {input} where the input goes.")


def _check_factors(found: Findings, factors: dict[str, Any]) -> dict[str, list[Level]]:
    checked: dict[str, list[Level]] = {}
    for name, levels in factors.items():
        key = f"factors.{name}"
        if isinstance(levels, dict):
            checked[name] = _check_named_levels(found, key, levels)
        elif name not in SETTINGS and not is_torchtune_key(name):
            found.unknown(key, [*SETTINGS, *TORCHTUNE_TOP_LEVEL], "factor")
        elif not isinstance(levels, list) or not levels:
            found.add(key, f"must be a list of at least one level, got {levels!r}", "Write [first, second].")
        else:
            checked[name] = [Level(level, {name: level}) for level in levels]
            for level in levels:
                _check_assignment(found, key, name, level)
            _check_repeats(found, key, levels)
    return checked


def _check_repeats(found: Findings, key: str, levels: list[Any]) -> None:
    for index, level in enumerate(levels):
        if any(level == other and type(level) is type(other) or _same_number(level, other) for other in levels[:index]):
            found.add(key, f"has the level {level!r} twice", "Remove one.")


def _same_number(a: Any, b: Any) -> bool:
    return isinstance(a, int | float) and isinstance(b, int | float) and not isinstance(a, bool) and not isinstance(b, bool) and a == b


def _check_named_levels(found: Findings, key: str, levels: dict[Any, Any]) -> list[Level]:
    """A named factor: `{small: {data.source: a.json}, large: {data.source: b.json}}`."""
    checked = []
    factor = key.split(".", 1)[1]
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,39}", factor) or factor in SETTINGS or factor in RESERVED_FACTORS:
        found.add(
            key, f"a named factor needs a name of its own, of letters, digits, '_' and '-', got {factor!r}",
            "The short names of settings and the columns of results.csv are taken.",
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
            found.add(where, problem)
    elif head == "data":
        if tail not in DATA_KEYS:
            found.add(where, "unknown key", suggestion(name, [f"data.{k}" for k in DATA_KEYS]))
        elif tail == "split":
            _check_split(found, where, value)
        elif not isinstance(value, str) or not value:
            found.add(where, f"must be a text, got {value!r}")
    elif head == "prompt":
        if tail not in PROMPT_KEYS:
            found.add(where, "unknown key", suggestion(name, [f"prompt.{k}" for k in PROMPT_KEYS]))
        else:
            check_prompt_value(found, where, tail, value.isoformat() if isinstance(value, datetime.date) else value)
    elif is_torchtune_key(name):
        owner = owned_by(name)
        if owner:
            found.add(where, "is a torchtune key that another fact owns", owner[0].upper() + owner[1:] + ".")
        elif isinstance(value, str) and value.lower() in ("yes", "no", "on", "off"):
            found.add(where, f"is the text {value!r}, which torchtune would take for true", "Write true or false.")
        elif not _is_plain(value):
            found.add(where, f"must be a finite number, a text, a boolean, a list or null, got {value!r}")
    else:
        found.unknown(where, [*SETTINGS, *(f"data.{k}" for k in DATA_KEYS), *(f"prompt.{k}" for k in PROMPT_KEYS)])


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, int | float):
        return abs(value) < 2**63
    return value is None or isinstance(value, str)


def _check_constants(found: Findings, document: dict[str, Any]) -> dict[str, Any]:
    constants = dict(_section(found, document, "constants"))
    if "recipe" in document:
        if "recipe" in constants:
            found.add("recipe", "stands at the top and in constants", "Keep one.")
        constants["recipe"] = document["recipe"]
    for name, value in constants.items():
        where = name if name == "recipe" else f"constants.{name}"
        if name.startswith(("data.", "prompt.")):
            found.add(where, "belongs into its own section at the top")
        else:
            _check_assignment(found, where, name, value)
    return constants


def _check_overlap(found: Findings, factors: dict[str, list[Level]], constants: dict[str, Any]) -> None:
    """A thing is set in one place: by one factor, or as a constant."""
    owner = {name: "constants" for name in constants}
    for factor, levels in factors.items():
        for name in dict.fromkeys(name for level in levels for name in level.sets):
            if name in owner:
                found.add(f"factors.{factor}", f"sets '{name}', which {owner[name]} sets too", "Keep one.")
            owner[name] = f"factor {factor}"
    if "model" not in owner:
        found.add("constants.model", "is missing", "Name a folder in models/, here or as a factor.")


def _check_controls(found: Findings, controls: dict[str, Any]) -> bool:
    _check_keys(found, "controls.", controls, ("base",))
    base = controls.get("base", True)
    if not isinstance(base, bool):
        found.add("controls.base", f"must be true or false, got {base!r}")
    return bool(base)


def _check_evaluation(found: Findings, evaluation: dict[str, Any]) -> dict[str, Any]:
    _check_keys(found, "evaluation.", evaluation, EVALUATION_KEYS)
    complete = {"scorer": evaluation.get("scorer", "exact"), "max_tokens": evaluation.get("max_tokens", 64)}
    if complete["scorer"] not in SCORERS:
        found.add("evaluation.scorer", f"must be one of {', '.join(SCORERS)}, got {complete['scorer']!r}")
    problem = check_setting("batch_size", complete["max_tokens"])
    if problem:
        found.add("evaluation.max_tokens", problem)
    return complete


def _check_naming(found: Findings, naming: dict[str, Any], factors: dict[str, list[Level]]) -> dict[str, str]:
    for factor, abbreviation in naming.items():
        if factor not in factors:
            found.unknown(f"naming.{factor}", factors, "factor")
        elif not isinstance(abbreviation, str) or not re.fullmatch(r"[A-Za-z0-9.+-]{0,20}", abbreviation):
            found.add(f"naming.{factor}", f"must be at most 20 letters, digits, '.', '+' and '-', got {abbreviation!r}")
    return {str(k): str(v) for k, v in naming.items()}
