"""Any task of inspect-ai, asked of our model: of a file of the experiment, or of an installed package."""

import contextlib
import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from inspect_ai import Task, task_with
from inspect_ai.model import Model
from inspect_ai.util import registry_create

from ftexp.ground.errors import UserError, one_line
from ftexp.ground.paths import from_root


def inspect_task(source: str, args: dict[str, Any], *, model: Model, max_tokens: int, metadata: dict[str, Any]) -> Task:
    """The task that `source` names, with our model and our metadata; its data, solvers and scorers are its own.

    Args:
        source: `file.py@function`, a file's path relative to the experiment's root; `module@function`, or `package/task`, of an
            installed package.
        args: What the task is called with.
        max_tokens: Longest answer, where the task does not say one.

    Raises:
        UserError: If there is no such task, or it cannot be made with these arguments.
    """
    make = _maker(source)
    try:
        with contextlib.chdir(_folder(source)):  # where a task's file lies, it finds its own files
            found = make(**args)
    except UserError:
        raise
    except Exception as error:  # whatever the code of others raises
        raise _wrong(source, f"cannot be made with args {args} ({_said(error)})") from error
    if not isinstance(found, Task):
        raise _wrong(source, f"gives no inspect-ai task, but a {type(found).__name__}")
    config = found.config.model_copy(update={"max_tokens": found.config.max_tokens or max_tokens})
    said = {"source": source, "args": args, **metadata}
    return task_with(found, model=model, config=config, metadata={**(found.metadata or {}), **said})


def load_task(source: str) -> None:
    """Import what a task is in. eval.py calls this before its own tasks, whose names then win over those of a file.

    What is wrong with it is said when the task is asked: no other task of that eval.py depends on it.
    """
    with contextlib.suppress(UserError):
        _maker(source)


@functools.cache
def _maker(source: str) -> Callable[..., Any]:
    """What makes the task that `source` names.

    Raises:
        UserError: If there is none.
    """
    place, sign, name = source.rpartition("@" if "@" in source else "/")
    if sign == "/":
        return functools.partial(_registered, source)
    try:
        module = _file(place) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:
        raise _wrong(source, f"cannot be imported ({_said(error)})") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise _wrong(source, f"has no function {name}")
    return cast(Callable[..., Any], function)


def _registered(name: str, **args: Any) -> Any:
    try:
        return registry_create("task", name, **args)
    except LookupError as error:
        raise _wrong(name, "is no task of an installed package") from error


def _folder(source: str) -> Path:
    place = source.partition("@")[0]
    return from_root(place).parent if place.endswith(".py") else Path.cwd()


def _file(place: str) -> Any:
    """A file of the experiment as a module; the files beside it can be imported by it."""
    path = from_root(place)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {place}")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"task_of_the_experiment_{path.stem}", path)
    assert spec and spec.loader, "a file that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    with contextlib.chdir(path.parent):
        spec.loader.exec_module(module)
    return module


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(str(error))}"


def _wrong(source: str, what: str) -> UserError:
    cure = "Correct its file, its name or args, or install the package."
    return UserError(f"experiment.yaml: evaluation.tasks: inspect: {source} {what}. {cure}")
