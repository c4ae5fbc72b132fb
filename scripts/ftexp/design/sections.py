"""The sections of experiment.yaml but the factors, checked: data, split, prompt, controls, evaluation.

Only the standard library and PyYAML are imported here, because the cookiecutter hook runs this code too.
"""

import datetime
import re
import string
from collections.abc import Iterable
from typing import Any

from ftexp.data.splits import DEFAULT_SPLIT, PARTS, SOURCE_KEYS
from ftexp.design.settings import check_setting
from ftexp.ground.errors import Findings

DATA_KEYS = ("source", "train", "test", "split", "input", "output")
SPLIT_KEYS = ("train", "test", "seed", "stratify", "group")
PROMPT_KEYS = ("system", "user", "date")
EVALUATION_KEYS = ("scorer", "max_tokens")
# How answers are drawn, with the defaults; where temperature is 0 they are not drawn, and a run knows none of these.
SAMPLING = {"temperature": 0.0, "top_p": 1.0, "seed": 0, "epochs": 1}
ANALYSIS_KEYS = ("primary", "metrics", "cluster", "groups")
# Per scorer what it says of an answer; the function of that name is in evaluation/scorer.py.
SCORERS = {"exact": "string equality after stripping outer white space, case-sensitive"}
METRICS = ("macro_f1", "balanced_accuracy")


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
            found.unknown(f"{prefix}{key}", known)


def check_data(found: Findings, prefix: str, data: dict[str, Any]) -> dict[str, Any]:
    """The data section with its defaults; also used for the same section with a named level applied."""
    check_keys(found, f"{prefix}.", [key for key in data if key != "validation"], DATA_KEYS)
    if data.get("validation") is not None:
        refuse_validation(found, f"{prefix}.validation", data["validation"], "Leave it out, or give its rows to train or test.")
    complete = {key: data.get(key) for key in DATA_KEYS}
    complete["input"] = data.get("input", "input")
    complete["output"] = data.get("output", "output")
    for key in (*SOURCE_KEYS, "input", "output"):
        is_wanted = key in ("input", "output")
        if (is_wanted or complete[key] is not None) and not check_data_value(found, f"{prefix}.{key}", key, complete[key]):
            complete[key] = key if is_wanted else None
    complete["split"] = check_split(found, f"{prefix}.split", data.get("split"))
    return complete


def refuse_validation(found: Findings, where: str, value: Any, advice: str) -> None:
    """Say that rows kept apart for validation would do nothing."""
    found.add(where, f"validation rows are used for nothing yet, got {value!r}", advice)


def check_data_value(found: Findings, where: str, key: str, value: Any) -> bool:
    """Check the name of a file or a column, one of data's keys but `split`; return whether it is one."""
    if not (isinstance(value, str) and value):
        found.add(where, f"must be a text, got {value!r}")
    elif key not in ("input", "output") and not (value.isprintable() and "${" not in value):
        found.add(where, f"must be a file's name on one line, without the '${{' that DVC reads as a reference, got {value!r}",
                  "Rename the file.")
    else:
        return True
    return False


def check_sources(found: Findings, data: dict[str, Any]) -> None:
    """A run's data comes from one source that is split, or from sources that are split already."""
    if data["source"] and (data["train"] or data["test"]):
        found.add("data", "has both source and train/test", "Keep one: a source is split by us, the others are not.")
    elif not data["source"] and data["split"]:
        found.add("data.split", "stands beside train and test, which are split already", "Remove it.")
    elif not data["source"] and not (data["train"] and data["test"]):
        found.add("data.source", "is missing", "Name a file, or both data.train and data.test.")


def check_split(found: Findings, key: str, split: Any) -> dict[str, Any] | None:
    """A split section with its defaults; None where there is none."""
    if split is None:
        return None
    if not isinstance(split, dict):
        found.add(key, f"must be a mapping such as {{train: 0.8, test: 0.2, seed: 0}}, got {split!r}")
        return None
    check_keys(found, f"{key}.", [name for name in split if name != "validation"], SPLIT_KEYS)
    complete = complete_split(split)
    shares = [complete[part] for part in PARTS]
    kept_apart = split.get("validation", 0)
    if isinstance(kept_apart, bool) or kept_apart != 0:
        advice = "Leave it out, or set it to 0, and give its share to train or test."
        refuse_validation(found, f"{key}.validation", kept_apart, advice)
    elif not all(isinstance(s, int | float) and not isinstance(s, bool) and 0 <= s <= 1 for s in shares):
        found.add(key, f"train and test must be shares from 0 to 1, got {shares}")
    elif abs(sum(shares) - 1) > 1e-9:
        absent = [f"{part} is {DEFAULT_SPLIT[part]} where it is left out" for part in PARTS if part not in split]
        found.add(key, f"train and test must add up to 1, got {sum(shares):g}", f"{absent[0]}." if absent else "")
    if not isinstance(complete["seed"], int) or isinstance(complete["seed"], bool):
        found.add(f"{key}.seed", f"must be a whole number, got {complete['seed']!r}")
    for name in ("stratify", "group"):
        if complete[name] is not None and not isinstance(complete[name], str):
            found.add(f"{key}.{name}", f"must be the name of a column, got {complete[name]!r}")
    if complete["stratify"] and complete["group"]:
        found.add(key, "has both stratify and group", "Keep one.")
    return complete


def complete_split(split: dict[str, Any]) -> dict[str, Any]:
    """A split section with its defaults."""
    return {name: split.get(name, DEFAULT_SPLIT[name]) for name in SPLIT_KEYS}


def check_prompt(found: Findings, prompt: dict[str, Any]) -> dict[str, Any]:
    """The prompt section with its defaults."""
    check_keys(found, "prompt.", prompt, PROMPT_KEYS)
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
            found.add(where, f"must be a text, got {value!r}", 'Put it in quotes: "{input}".')
        else:
            _check_placeholders(found, where, value)
    elif key == "system" and value is not None and not isinstance(value, str):
        found.add(where, f"must be a text, or null for no system turn, got {value!r}")
    elif value == "???":
        found.add(where, "cannot be '???', which torchtune's configs read as a missing value", "Write something else.")
    elif key == "date" and not (isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)):
        found.add(where, f"must be a date such as 2026-01-01, got {value!r}")


def _check_placeholders(found: Findings, where: str, template: str) -> None:
    try:
        fields = [field[1:] for field in string.Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        found.add(where, f"has braces that do not match ({error})", "Write {{ and }} for braces that are text.")
        return
    for name, form, conversion in fields:
        if not name or form or conversion or re.search(r"[.\[\]]", name) or name.isdigit():
            what = f"has braces around something that is no column's name, got {template!r}"
            found.add(where, what, "Write {{ and }} for braces that are text.")
            return
    if not fields:
        what = f"names no column, so every prompt would be the same, got {template!r}"
        found.add(where, what, "Put {input} where the input goes.")


def check_controls(found: Findings, controls: dict[str, Any]) -> bool:
    """Whether the design has controls."""
    check_keys(found, "controls.", controls, ("base",))
    base = controls.get("base", True)
    if not isinstance(base, bool):
        found.add("controls.base", f"must be true or false, got {base!r}")
    return bool(base)


def check_evaluation(found: Findings, evaluation: dict[str, Any]) -> dict[str, Any]:
    """What the evaluation section says of how a run is asked and scored, with its defaults."""
    check_keys(found, "evaluation.", evaluation, (*EVALUATION_KEYS, *SAMPLING, *ANALYSIS_KEYS))
    complete = {"scorer": evaluation.get("scorer", "exact"), "max_tokens": evaluation.get("max_tokens", 64)}
    if complete["scorer"] not in tuple(SCORERS):
        found.add("evaluation.scorer", f"must be one of {', '.join(SCORERS)}, got {complete['scorer']!r}")
    problem = check_setting("batch_size", complete["max_tokens"])
    if problem:
        found.add("evaluation.max_tokens", problem)
    return complete | _check_sampling(found, evaluation)


def _check_sampling(found: Findings, evaluation: dict[str, Any]) -> dict[str, Any]:
    """Temperature, top_p, seed and epochs where answers are sampled; nothing where they are greedy."""
    given = {name: evaluation.get(name, default) for name, default in SAMPLING.items()}
    problems = {
        "temperature": _number_problem(given["temperature"], "0 for greedy answers, or a number from 0.01 to 100", 0.01, 100),
        "top_p": _number_problem(given["top_p"], "a number above 0, at most 1", 1e-9, 1),
        "seed": check_setting("seed", given["seed"]), "epochs": check_setting("epochs", given["epochs"]),
    }
    if given["temperature"] == 0 and not isinstance(given["temperature"], bool):
        problems["temperature"] = None
    for name, problem in problems.items():
        if problem:
            found.add(f"evaluation.{name}", problem)
    if any(problems.values()):
        return {}
    given |= {"temperature": float(given["temperature"]), "top_p": float(given["top_p"])}
    if given["temperature"]:
        return given
    for name in (name for name, default in SAMPLING.items() if given[name] != default):
        what = f"changes nothing, because the answers are greedy, got {given[name]!r}"
        found.add(f"evaluation.{name}", what, "Set evaluation.temperature above 0, or leave it out.")
    return {}


def _number_problem(value: Any, wants: str, low: float, high: float) -> str | None:
    """What is wrong with a number that must lie between two others; None where it is right."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if is_number and low <= value <= high else f"must be {wants}, got {value!r}"


def check_analysis(found: Findings, evaluation: dict[str, Any]) -> dict[str, Any]:
    """What the evaluation section says of how the scores are read: no run's answers depend on it.

    Returns:
        `primary` (a metric), `metrics` (beside the scorer's), `cluster` (a column, or None) and `groups` (columns).
    """
    metrics = _check_names(found, "evaluation.metrics", evaluation.get("metrics"), METRICS)
    scorer = evaluation.get("scorer", "exact")
    primary = evaluation.get("primary", scorer)
    if primary not in (scorer, *metrics):
        valid = ", ".join(map(str, (scorer, *metrics)))
        found.add("evaluation.primary", f"must be the scorer or one of evaluation.metrics ({valid}), got {primary!r}")
    cluster = evaluation.get("cluster")
    if cluster is not None and not (isinstance(cluster, str) and cluster):
        found.add("evaluation.cluster", f"must be the name of a column, or null, got {cluster!r}")
    groups = _check_names(found, "evaluation.groups", evaluation.get("groups"))
    return {"primary": primary, "metrics": metrics, "cluster": cluster, "groups": groups}


def _check_names(found: Findings, key: str, names: Any, known: tuple[str, ...] | None = None) -> list[str]:
    """A list of distinct names, of the known ones where these are given; empty where it is left out."""
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        found.add(key, f"must be a list of names, got {names!r}", "Write [first, second].")
        return []
    for name in names:
        if known and name not in known:
            found.add(key, f"must be out of {', '.join(known)}, got {name!r}")
    if len(set(names)) < len(names):
        found.add(key, f"names one twice, got {names!r}", "Remove one.")
    return names
