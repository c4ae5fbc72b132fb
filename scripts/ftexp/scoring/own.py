"""Scorers of one's own: functions of inspect-ai's kind in a file of the experiment."""

import functools
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from inspect_ai.scorer import Scorer

from ftexp.ground.errors import one_line, suggestion
from ftexp.scoring.asking import UnusableScore, outcomes, verdict
from ftexp.scoring.verdicts import Question, Verdict, mistake


def judge(questions: Sequence[Question], options: Mapping[str, Any]) -> list[Verdict]:
    """What a scorer of one's own says of each answer; where it raises an exception there is a gap, to be asked again.

    The experiment's root and the file's folder can be imported from.

    Args:
        options: `file`, relative to the experiment's root, which is the working folder; `function`, the name of the function in
            it that gives the scorer, or is it; and what that function is called with.

    Raises:
        UserError: If there is no such scorer, or it gives a list or a mapping.
    """
    file, function = options["file"], options["function"]
    name, others = f"{file}@{function}", {key: value for key, value in options.items() if key not in ("file", "function")}
    with _importable(Path.cwd(), Path(file).absolute().parent):
        scorer = _scorer(name, _member(file, function), others)
        found = outcomes(scorer, questions)
    try:
        return [verdict(outcome) for outcome in found]
    except UnusableScore as unusable:
        what = f"{name} must give one number for an answer, got {unusable}"
        raise mistake(what, "Let it return Score(value=<number>).") from unusable


@contextmanager
def _importable(*folders: Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = map(str, folders)
    try:
        yield
    finally:
        sys.path[:] = before


def _member(file: str, function: str) -> Any:
    path = Path(file)
    if not path.is_file():
        raise mistake(f"{file}@{function}: the file is missing", "Put it there, or correct the name.")
    module = _module(str(path.absolute()), hashlib.sha256(path.read_bytes()).hexdigest())
    if not hasattr(module, function):
        own = {name: value for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
        known = [name for name, value in own.items() if callable(value)]
        raise mistake(f"{file} has no function {function}", suggestion(function, known))
    return getattr(module, function)


@functools.lru_cache(maxsize=16)
def _module(path: str, digest: str) -> ModuleType:
    """The module that a file of that content is."""
    name = f"ftexp_own_{digest[:12]}_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise mistake(f"{Path(path).name} could not be imported, got {_said(error)}", "Correct the file.") from error
    return module


def _scorer(name: str, member: Any, options: dict[str, Any]) -> Scorer:
    if _is_scorer(member) and not options:
        return cast(Scorer, member)
    try:
        made = member(**options)
    except Exception as error:
        what = f"{name} could not be called with {options or 'no options'}, got {_said(error)}"
        raise mistake(what, "Correct either.") from error
    if not _is_scorer(made):
        raise mistake(
            f"{name} must give a scorer of inspect-ai's, an async function of state and target, got {type(made).__name__}",
            "See https://inspect.aisi.org.uk/scorers.html.",
        )
    return cast(Scorer, made)


def _is_scorer(value: Any) -> bool:
    return inspect.iscoroutinefunction(value) or (
        callable(value) and inspect.iscoroutinefunction(type(value).__call__)
    )


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(str(error)).rstrip('.')}"
