"""One task of the evaluation section: what is asked, as run.yaml has it.

Only the standard library is imported here, because the cookiecutter hook runs this code too.
"""

import re
from collections.abc import Collection
from typing import Any

from ftexp.data.cuts import UNITS
from ftexp.design.prompt_section import as_text, check_prompt_value
from ftexp.design.sections import (
    check_data_value,
    check_keys,
    is_json,
    is_of_experiment,
    number_problem,
)
from ftexp.design.settings import check_setting
from ftexp.ground.errors import Findings

# How answers are drawn, with the defaults; where temperature is 0 they are not drawn, and a run knows none of these.
SAMPLING = {"temperature": 0.0, "top_p": 1.0, "seed": 0, "epochs": 1}
# What a task has of its own, and else from the section around it.
ANSWERING_KEYS = ("max_tokens", *SAMPLING)
JUDGING_KEYS = ("scorers", "metrics", "normalization", "cluster", "groups")
DATA_KEYS = ("data", "input", "output")
PROMPT_KEYS = ("prompt.system", "prompt.user", "prompt.date")
TASK_KEYS = (*DATA_KEYS, *PROMPT_KEYS, "choices", "document", "complete", "inspect", "args", *ANSWERING_KEYS, *JUDGING_KEYS)
DEFAULT_MAX_TOKENS = 64
KINDS = {"choices": "options", "document": "document", "inspect": "inspect"}
_INSPECT = re.compile(r"[^@\n]+\.py@[A-Za-z_]\w*|[A-Za-z_][\w.]*(/|@)[A-Za-z_]\w*")


def key_of(tasks: Collection[str], task: str, key: str) -> str:
    """Where a person says something of a task: in the section where there is one task only, else in the task itself."""
    return f"evaluation.{key}" if len(tasks) == 1 else f"evaluation.tasks.{task}.{key}"


def places_of(where: str, own: dict[str, Any], shared: dict[str, Any]) -> dict[str, str]:
    """Of the keys that a task may have of its own or share, the place of each that says something else than the default does."""
    defaults = {**SAMPLING, "normalization": "none"}
    given = {key: (f"{where}.{key}", own[key]) if key in own else (f"evaluation.{key}", shared.get(key))
             for key in (*ANSWERING_KEYS, *JUDGING_KEYS)}
    return {key: place for key, (place, value) in given.items() if value not in (None, defaults.get(key))}


def task_file(task: dict[str, Any]) -> str | None:
    """The file of the experiment that an inspect task is in; None of an installed package's, and of others."""
    file = str(task.get("inspect") or "").partition("@")[0]
    return file if file.endswith(".py") else None


def kind_of(own: dict[str, Any], *, of_documents: bool) -> str:
    """The kind of a task by what it says; `of_documents`: whether the data of all runs are documents."""
    if own.get("complete") is not None:
        return "answer"
    named = [kind for key, kind in KINDS.items() if own.get(key) is not None]
    has_prompt = any(own.get(key) is not None for key in (*PROMPT_KEYS, "input", "output"))
    return named[0] if named else "document" if of_documents and not has_prompt else "answer"


def check_task(found: Findings, where: str, own: dict[str, Any], shared: dict[str, Any], kind: str) -> dict[str, Any]:
    """What is asked, complete but for what it takes from a run: its data and its prompt."""
    check_keys(found, f"{where}.", own, TASK_KEYS)
    completes = own.get("complete") is not None
    kinds = [each for key, each in KINDS.items() if own.get(key) is not None and not (completes and key == "document")]
    if len(kinds) + completes > 1:
        found.add(where, f"is of several kinds: {', '.join(kinds + ['complete'] * completes)}", "Keep one of them.")
    if kind == "inspect":
        return _inspect_task(found, where, own, shared)
    _refuse(found, where, own, ("args",), "only a task of inspect-ai's has arguments")
    if kind != "options":
        _refuse(found, where, own, ("normalization",), "there are no choices")
    is_of_documents = completes or kind == "document"
    keys = ("data",) if is_of_documents else DATA_KEYS
    task: dict[str, Any] = {"kind": kind, **_task_data(found, where, own, keys), "prompt": _task_prompt(found, where, own)}
    if kind == "options":
        task["choices"] = _check_choices(found, f"{where}.choices", own["choices"])
    if is_of_documents:
        _refuse(found, where, own, (*PROMPT_KEYS, "input", "output"), "a document is read as it stands, without a prompt")
        task |= _document(found, where, own)
    if kind != "answer":
        _refuse(found, where, own, ANSWERING_KEYS, "nothing is generated")
        return task
    given = {key: own[key] for key in ANSWERING_KEYS if key in own}
    check_answering(found, where, given, is_drawn=bool({**shared, **given}.get("temperature")))
    return task | answering({**shared, **own})


def _document(found: Findings, where: str, own: dict[str, Any]) -> dict[str, Any]:
    """The column, where it is not the run's own, and after how much of a document it is to be completed, where it is."""
    facts = {key: own[key] for key in ("document",) if own.get(key) is not None}
    if facts and not (isinstance(own["document"], str) and own["document"]):
        found.add(f"{where}.document", f"must be the name of a column, got {own['document']!r}")
    if own.get("complete") is not None:
        facts["complete"] = _check_after(found, f"{where}.complete", own["complete"])
    return facts


def _check_after(found: Findings, where: str, complete: Any) -> dict[str, Any]:
    """One unit and how many of it, or which share of them, a beginning has."""
    after = complete.get("after") if isinstance(complete, dict) and set(complete) == {"after"} else None
    if not isinstance(after, dict) or len(after) != 1 or not set(after) <= set(UNITS):
        found.add(where, f"must be {{after: {{UNIT: NUMBER}}}}, its unit one of {', '.join(UNITS)}, got {complete!r}")
        return {"tokens": 1}
    unit, amount = next(iter(after.items()))
    is_share = isinstance(amount, float) and 0 < amount < 1
    if not is_share and (not isinstance(amount, int) or check_setting("batch_size", amount)):
        what = f"must be a share of the document between 0 and 1, or a whole number above 0, got {amount!r}"
        found.add(f"{where}.after.{unit}", what)
        return {"tokens": 1}
    return {unit: amount}


def answering(section: dict[str, Any]) -> dict[str, Any]:
    """How answers are made: max_tokens; where they are drawn also temperature, top_p, seed and epochs."""
    settings: dict[str, Any] = {"max_tokens": section.get("max_tokens", DEFAULT_MAX_TOKENS)}
    drawn = {name: section.get(name, default) for name, default in SAMPLING.items()}
    if number_problem(drawn["temperature"], "", 0.01, 100) or number_problem(drawn["top_p"], "", 0, 1):  # greedy, or refused
        return settings
    return settings | drawn | {key: float(drawn[key]) for key in ("temperature", "top_p")}


def check_answering(found: Findings, where: str, given: dict[str, Any], *, is_drawn: bool) -> None:
    """Max_tokens, and temperature, top_p, seed and epochs, as far as they are given here.

    Args:
        is_drawn: Whether answers are drawn by these, whatever temperature is given here.
    """
    problems = {
        "max_tokens": lambda value: check_setting("batch_size", value),
        "temperature": lambda value: None if value == 0 and not isinstance(value, bool) else number_problem(
            value, "0 for greedy answers, or a number from 0.01 to 100", 0.01, 100
        ),
        "top_p": lambda value: number_problem(value, "a number above 0, at most 1", 1e-9, 1),
        "seed": lambda value: check_setting("seed", value), "epochs": lambda value: check_setting("epochs", value),
    }
    said = {key: problem for key, value in given.items() if key in problems and (problem := problems[key](value))}
    for key, problem in said.items():
        found.add(f"{where}.{key}", problem)
    if said or is_drawn:
        return
    for key in (key for key, default in SAMPLING.items() if given.get(key, default) != default):
        what = f"changes nothing, because the answers are greedy, got {given[key]!r}"
        found.add(f"{where}.{key}", what, "Set evaluation.temperature above 0, or leave it out.")


def _refuse(found: Findings, where: str, own: dict[str, Any], keys: tuple[str, ...], why: str) -> None:
    for key in (key for key in keys if key in own):
        found.add(f"{where}.{key}", f"changes nothing, because {why}", "Remove it.")


def _task_data(found: Findings, where: str, own: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The file and the columns that are a task's own; empty where its rows are those of the run's data."""
    given = {key: own[key] for key in keys if own.get(key) is not None}
    for key, value in given.items():
        check_data_value(found, f"{where}.{key}", "test" if key == "data" else key, value)
    if given and "data" not in given:
        cure = "Name the file as data, or remove them: the columns are the run's."
        found.add(where, f"has {' and '.join(given)} and no data", cure)
    return {"data": given} if given else {}


def _task_prompt(found: Findings, where: str, own: dict[str, Any]) -> dict[str, Any]:
    given = {key.partition(".")[2]: as_text(own[key]) for key in PROMPT_KEYS if key in own}
    for key, value in given.items():
        check_prompt_value(found, f"{where}.prompt.{key}", key, value)
    return given


def _check_choices(found: Findings, where: str, choices: Any) -> Any:
    """A column, or a list of at least two different texts."""
    if isinstance(choices, str) and choices:
        return choices
    texts = isinstance(choices, list) and all(isinstance(text, str) and text.strip() for text in choices)
    if not texts or len({text.strip() for text in choices}) < max(2, len(choices)):
        found.add(where, f"must be a list of two or more different texts, or the name of a column of such lists, got {choices!r}",
                  "Put words such as yes and no in quotes.")
        return [""]
    return choices


def _inspect_task(found: Findings, where: str, own: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    keys = tuple(key for key in own if key not in ("inspect", "args", "max_tokens"))
    _refuse(found, where, own, keys, "inspect's task says it itself")
    if not isinstance(own["inspect"], str) or not _INSPECT.fullmatch(own["inspect"]):
        found.add(f"{where}.inspect", f"must be file.py@task, package/task or module@task, got {own['inspect']!r}")
    elif not is_of_experiment(own["inspect"]):
        found.add(f"{where}.inspect", f"must be a file of the experiment, got {own['inspect']!r}", "Copy it there.")
    args = own.get("args") or {}
    if not isinstance(args, dict) or not all(isinstance(key, str) for key in args) or not is_json(args):
        found.add(f"{where}.args", f"must be a mapping of the task's arguments, got {args!r}")
        args = {}
    check_answering(found, where, {"max_tokens": own["max_tokens"]} if "max_tokens" in own else {}, is_drawn=False)
    limit = own.get("max_tokens", shared.get("max_tokens", DEFAULT_MAX_TOKENS))
    return {"kind": "inspect", "inspect": own["inspect"], "args": args, "max_tokens": limit}
