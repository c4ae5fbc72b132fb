"""The sections of experiment.yaml but the factors and the prompt, checked: data, split, controls, evaluation.

Only the standard library and PyYAML are imported here, because the cookiecutter hook runs this code too.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from ftexp.data.splits import DEFAULT_SPLIT, PARTS, SOURCE_KEYS, VALIDATION
from ftexp.ground.errors import Findings, suggestion

DATA_KEYS = ("source", "train", "test", "split", "input", "output", "text")
# Keys of data that name a column.
_COLUMNS = ("input", "output", "text")
# In place of a list: all that there are.
ALL = "all"
SPLIT_KEYS = ("train", "test", "seed", "stratify", "group")


def read_section(found: Findings, document: dict[str, Any], key: str) -> dict[str, Any]:
    """The section `key` of the document; an empty one where it is absent or no mapping."""
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
        found.add(key, f"must be a mapping with words as keys, got {value!r}")
        return {}
    return value


def check_keys(found: Findings, prefix: str, section: Iterable[Any], known: tuple[str, ...]) -> None:
    """Every key of a section is a known one."""
    for key in section:
        if key not in known:
            found.add(f"{prefix}{key}", "unknown key", suggestion(str(key), known))


def is_of_experiment(file: str) -> bool:
    """Whether a file is named by its path within the experiment, which git and DVC keep and a copy of it has."""
    parts = file.replace("\\", "/").split("/")
    return not file.startswith(("/", "~")) and ".." not in parts


def check_data(found: Findings, prefix: str, data: dict[str, Any]) -> dict[str, Any]:
    """The data section with its defaults; also used for the same section with a named level applied."""
    check_keys(found, f"{prefix}.", data, (*DATA_KEYS, VALIDATION))
    complete = {key: data.get(key) for key in DATA_KEYS if key != "text"}
    if data.get(VALIDATION) is not None and check_validation_rows(found, f"{prefix}.{VALIDATION}", data[VALIDATION]):
        complete[VALIDATION] = data[VALIDATION]
    complete["input"] = data.get("input", "input")
    complete["output"] = data.get("output", "output")
    for key in (*SOURCE_KEYS, "input", "output"):
        is_wanted = key in ("input", "output")
        if (is_wanted or complete[key] is not None) and not check_data_value(found, f"{prefix}.{key}", key, complete[key]):
            complete[key] = key if is_wanted else None
    complete["split"] = check_split(found, f"{prefix}.split", data.get("split"))
    if VALIDATION in complete and VALIDATION in (complete["split"] or {}):
        found.add(f"{prefix}.{VALIDATION}", f"stands beside {prefix}.split.{VALIDATION}", "Keep one.")
    if data.get("text") is not None and check_data_value(found, f"{prefix}.text", "text", data["text"]):
        complete = of_documents({**complete, "text": data["text"]})
    return complete


def check_validation_rows(found: Findings, where: str, value: Any) -> bool:
    """Check `data.validation`: a file, or a share of the training rows; return whether it is one."""
    if isinstance(value, float) and 0 < value < 1:
        return True
    if isinstance(value, str):
        return check_data_value(found, where, VALIDATION, value)
    found.add(where, f"must be a file, or a share of the training rows above 0 and below 1, got {value!r}")
    return False


def validation_rows_of(data: dict[str, Any], *, is_validated: bool) -> dict[str, Any]:
    """A data section whose `validation` says which rows validate: a file, a share of those that train, or True for the default.

    A share of `split`, which is one of all rows, becomes one of the training rows; so the test rows are those without it.
    """
    split = dict(data["split"] or {})
    share = split.pop(VALIDATION, 0)
    if share:
        train = round(split["train"] + share, 9)
        data = {**data, "split": {**split, "train": train}, VALIDATION: round(share / train, 9)}
    if is_validated and data.get(VALIDATION) is None:
        return {**data, VALIDATION: True}
    return data


def of_documents(data: dict[str, Any]) -> dict[str, Any]:
    """A data section as it is where it names a text: a document has no input and no output."""
    return {**data, "input": None, "output": None} if data.get("text") else data


def check_data_value(found: Findings, where: str, key: str, value: Any) -> bool:
    """Check the name of a file or a column, one of data's keys but `split`; return whether it is one."""
    if not (isinstance(value, str) and value):
        found.add(where, f"must be a text, got {value!r}")
    elif key not in _COLUMNS and not (value.isprintable() and "${" not in value):
        found.add(where, f"must be a file's name on one line, without the '${{' that DVC reads as a reference, got {value!r}",
                  "Rename the file.")
    else:
        return True
    return False


def check_sources(found: Findings, data: dict[str, Any], *, is_tested: bool) -> None:
    """A run's data comes from one source that is split, or from sources that are split already, with a test if one is asked."""
    if data["source"] and (data["train"] or data["test"]):
        found.add("data", "has both source and train/test", "Keep one: a source is split by us, the others are not.")
    elif not data["source"] and data["split"]:
        found.add("data.split", "stands beside train and test, which are split already", "Remove it.")
    elif not data["source"] and not (data["train"] and (data["test"] or not is_tested)):
        found.add("data.source", "is missing", "Name a file, or both data.train and data.test.")


def check_split(found: Findings, key: str, split: Any) -> dict[str, Any] | None:
    """A split section with its defaults; None where there is none."""
    if split is None:
        return None
    if not isinstance(split, dict):
        found.add(key, f"must be a mapping such as {{train: 0.8, test: 0.2, seed: 0}}, got {split!r}")
        return None
    check_keys(found, f"{key}.", split, (*SPLIT_KEYS, VALIDATION))
    complete = complete_split(split)
    named = [*PARTS, *([VALIDATION] if VALIDATION in complete else [])]
    shares, said = [complete[part] for part in named], " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
    if not all(isinstance(s, int | float) and not isinstance(s, bool) and 0 <= s <= 1 for s in shares):
        found.add(key, f"{said} must be shares from 0 to 1, got {shares}")
    elif abs(sum(shares) - 1) > 1e-9:
        absent = [f"{part} is {DEFAULT_SPLIT[part]} where it is left out" for part in PARTS if part not in split]
        found.add(key, f"{said} must add up to 1, got {sum(shares):g}", f"{absent[0]}." if absent else "")
    if not isinstance(complete["seed"], int) or isinstance(complete["seed"], bool):
        found.add(f"{key}.seed", f"must be a whole number, got {complete['seed']!r}")
    for name in ("stratify", "group"):
        if complete[name] is not None and not isinstance(complete[name], str):
            found.add(f"{key}.{name}", f"must be the name of a column, got {complete[name]!r}")
    if complete["stratify"] and complete["group"]:
        found.add(key, "has both stratify and group", "Keep one.")
    return complete


def complete_split(split: dict[str, Any]) -> dict[str, Any]:
    """A split section with its defaults; a share for validation is in it where it is not 0."""
    own = split.get(VALIDATION)
    complete = {name: split.get(name, DEFAULT_SPLIT[name]) for name in SPLIT_KEYS}
    return complete if own is None or (own == 0 and not isinstance(own, bool)) else {**complete, VALIDATION: own}


def check_controls(found: Findings, controls: dict[str, Any]) -> bool:
    """Whether the design has controls."""
    check_keys(found, "controls.", controls, ("base", "others"))
    base = controls.get("base", True)
    if not isinstance(base, bool):
        found.add("controls.base", f"must be true or false, got {base!r}")
    return bool(base)


def check_others(found: Findings, others: Any) -> dict[str, str]:
    """Existing checkpoints: per name, which is the id of a control, the path of its folder."""
    if others is None:
        return {}
    if not isinstance(others, dict):
        found.add("controls.others", f"must be a mapping of names to folders, got {others!r}")
        return {}
    named = {}
    for name, folder in others.items():
        where = f"controls.others.{name}"
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9._+-]{0,39}", name):
            found.add(where, f"must have a name of letters, digits and '._+-', at most 40, got {name!r}")
        elif not check_data_value(found, where, "source", folder):
            continue
        elif folder.startswith(("/", "~")):
            found.add(where, f"must be a folder of the experiment, got {folder!r}", "Link it there, or into models/.")
        else:
            named[name] = folder.rstrip("/")
    return named


def number_problem(value: Any, wants: str, low: float, high: float) -> str | None:
    """What is wrong with a number that must lie between two others; None where it is right."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if is_number and low <= value <= high else f"must be {wants}, got {value!r}"


def is_json(value: Any) -> bool:
    """Whether a value of YAML is the same in JSON: no date, no number as a key, nothing infinite."""
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def as_list(value: Any, *kinds: type) -> Any:
    """Where a list is wanted, what a person means: one thing of these kinds that stands alone is a list of it."""
    return [value] if isinstance(value, kinds) else value


def check_names(found: Findings, key: str, names: Any, known: tuple[str, ...] | None = None) -> list[str]:
    """A list of distinct names, or one name, of the known ones where these are given; empty where it is left out."""
    if names is None:
        return []
    names = as_list(names, str)
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        found.add(key, f"must be a list of names, got {names!r}", "Write [first, second].")
        return []
    for name in names:
        if known and name not in known:
            found.add(key, f"must be out of {', '.join(known)}, got {name!r}")
    if len(set(names)) < len(names):
        found.add(key, f"names one twice, got {names!r}", "Remove one.")
    return names
