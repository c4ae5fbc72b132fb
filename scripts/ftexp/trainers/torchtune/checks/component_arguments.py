"""The arguments that a section of a config gives its component, against the component's own signature."""

import functools
import importlib
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from ftexp.ground.errors import suggestion
from ftexp.trainers.torchtune.checks.recipe_keys import Build

_NEAR = 0.8
_SEQUENCES = (list, tuple, Sequence)
_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}


class NoComponent(Exception):
    """A dotpath that leads nowhere; the text says why."""


def check_component(key: str, section: dict[str, Any], build: Build) -> list[str]:
    """What is wrong with a section that is instantiated, nested components too.

    Args:
        key: Where the section stands.
        section: `_component_` and its keyword arguments.
        build: What the recipe passes beside them.
    """
    messages = []
    for name, value in section.items():
        if isinstance(value, dict) and "_component_" in value:
            messages += check_component(f"{key}.{name}", value, Build(0, frozenset()))
    try:
        signature = _signature(section["_component_"])
    except NoComponent as problem:
        return [*messages, f"{key}._component_: {problem}, got {section['_component_']!r}"]
    given = {str(name): value for name, value in section.items() if name != "_component_"}
    return messages + _check_names(key, given, signature, build) + _check_types(key, given, signature)


class _Signature(typing.NamedTuple):
    name: str
    parameters: dict[str, inspect.Parameter]
    hints: dict[str, Any]
    has_more: bool
    forwards: tuple[str, ...]


@functools.cache
def _signature(dotpath: Any) -> _Signature:
    """The parameters of a component.

    Raises:
        NoComponent: If there is none, or its name is not public.
    """
    component = _component(dotpath)
    parameters = inspect.signature(component).parameters
    named = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    more = next((p.name for p in parameters.values() if p.kind == p.VAR_KEYWORD), "")
    return _Signature(dotpath.rpartition(".")[2], named, _hints(component), bool(more), _forwarded(more))


def _component(dotpath: Any) -> Any:
    if not isinstance(dotpath, str) or "." not in dotpath:
        raise NoComponent("must be a dotted path such as torchtune.models.qwen2.lora_qwen2")
    if any(part.startswith("_") for part in dotpath.split(".")):
        raise NoComponent("must be a public name, without a part that begins with an underscore")
    module, _, name = dotpath.rpartition(".")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise NoComponent(f"there is no module {module} ({error}). Use a component that is installed") from error
    if not callable(getattr(found, name, None)):
        raise NoComponent(f"{module} has nothing of that name. {suggestion(name, _public(found))}")
    return getattr(found, name)


def _public(module: Any) -> list[str]:
    return [name for name in dir(module) if not name.startswith("_") and callable(getattr(module, name))][:20]


def _hints(component: Any) -> dict[str, Any]:
    """Type hints by parameter; none where they cannot be evaluated (they name what is imported for type checks only)."""
    plain = component.func if isinstance(component, functools.partial) else component
    function = plain.__init__ if inspect.isclass(plain) else plain
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        return {}


def _forwarded(more: str) -> tuple[str, ...]:
    """Names that `**kwargs` is known to take: torchtune's data sets hand `load_dataset_kwargs` to Hugging Face's function."""
    if more != "load_dataset_kwargs":
        return ()
    from datasets import load_dataset

    return tuple(inspect.signature(load_dataset).parameters)


def _check_names(key: str, given: dict[str, Any], signature: _Signature, build: Build) -> list[str]:
    """No argument is unknown, missing, or given by the recipe already."""
    passed = {*list(signature.parameters)[: build.positional], *build.keywords}
    own = [name for name in signature.parameters if name not in passed]
    messages = []
    for name in given:
        if name in passed:
            messages.append(f"{key}.{name}: the recipe passes it itself. Remove it")
        elif name not in signature.parameters and not _is_forwarded(name, own, signature):
            near = suggestion(name, [*own, *signature.forwards]) if own else "It has none."
            messages.append(f"{key}.{name}: is no argument of {signature.name}. {near}")
    for name in own:
        if signature.parameters[name].default is inspect.Parameter.empty and name not in given:
            messages.append(f"{key}.{name}: is missing, and {signature.name} needs it")
    return messages


def _is_forwarded(name: str, own: list[str], signature: _Signature) -> bool:
    """Whether `**kwargs` may take a name: one it is known to take, or, where that is not known, one that is no typing error."""
    import difflib

    if not signature.has_more:
        return False
    if signature.forwards:
        return name in signature.forwards
    return not difflib.get_close_matches(name, own, n=1, cutoff=_NEAR)


def _check_types(key: str, given: dict[str, Any], signature: _Signature) -> list[str]:
    messages = []
    for name, value in given.items():
        hint = signature.hints.get(name, Any)
        default = signature.parameters[name].default if name in signature.parameters else None
        if not fits(value, hint) and not (value is None and default is None):
            messages.append(f"{key}.{name}: must be {_in_words(hint)}, got {value!r}")
    return messages


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of a config can be what a type hint says; where the hint is not understood, it can."""
    if isinstance(value, str) and "${" in value:
        return True
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin in _SEQUENCES or hint in _SEQUENCES:
        is_list = isinstance(value, list)
        return is_list and (not arguments or origin is tuple or all(fits(item, arguments[0]) for item in value))
    if origin in (dict, Mapping) or hint in (dict, Mapping):
        return isinstance(value, dict)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str, type(None)):
        return isinstance(value, hint)
    return getattr(hint, "__name__", "") != "Tensor"  # which no config can hold


def _in_words(hint: Any) -> str:
    """A type hint in words."""
    arguments = tuple(each for each in typing.get_args(hint) if getattr(each, "__name__", "") != "Tensor")
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_in_words(argument) for argument in arguments)
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(map(str, arguments))
    if typing.get_origin(hint) is tuple and Ellipsis not in arguments:
        return f"a list of {len(arguments)} values ({', '.join(map(_in_words, arguments))})"
    if typing.get_origin(hint) in _SEQUENCES or hint in _SEQUENCES:
        return f"a list of {_in_words(arguments[0])}" if arguments else "a list"
    return _NAMES.get(hint, getattr(hint, "__name__", str(hint)))
