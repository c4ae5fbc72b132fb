"""YAML as a scientist reads it: `3e-4` is a number, `on` is a word, a key stands once.

PyYAML follows YAML 1.1, in which `3e-4` is a string, `no` a boolean and `12:30` a number in base 60. The
resolvers here are those of YAML 1.2's core schema, plus dates (`2026-01-01`).
"""

import datetime
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ftexp.ground.errors import UserError, one_line

OUR_FIRST_LINE = re.compile(r"# [^\n]*Written by `make ")
_FLOAT = re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|nan)$")
# What a document may hold with its aliases written out: a billion laughs end here.
_MOST_NODES = 1_000_000
_RESOLVERS = (
    ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""]),
    ("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf")),
    ("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789")),
    ("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789")),
    ("tag:yaml.org,2002:timestamp", re.compile(r"^\d{4}-\d\d-\d\d$"), list("0123456789")),
)


_CURES = {
    "'\\t'": "Indent with blanks.", "stands twice": "Keep one.", "mapping values": "Put a text that holds ': ' into quotes.",
    "alias": "Write it out.", "tag": "Leave the tag out.", "another document": "Keep one.", "nested": "Nest less.",
    "surrogates": "Write the whole character.", "end of stream": "Close what is open.",
}


class _UniqueKeys(yaml.constructor.SafeConstructor):
    """A repeated key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if str(key_node.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key_node.value}' stands twice", key_node.start_mark)
            seen.add(str(key_node.value))
        return super().construct_mapping(node, deep=deep)


class _Loader(_UniqueKeys, yaml.SafeLoader):
    """SafeLoader with the resolvers above only."""


class _FastLoader(_UniqueKeys, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same on libyaml's parser, where PyYAML was built with it: ten times as fast, with messages of its own."""


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes every string which either set of resolvers would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _loader in (_Loader, _FastLoader):
    _loader.yaml_implicit_resolvers = {}  # none of YAML 1.1's, which PyYAML would copy from SafeLoader
for _tag, _pattern, _first in _RESOLVERS:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
    _FastLoader.add_implicit_resolver(_tag, _pattern, _first)
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)


_SCALARS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    "bool": {"true": True, "false": False}.__getitem__,
    "timestamp": datetime.date.fromisoformat,
}


_NOUNS = {"int": "whole number of at most 4300 digits", "float": "number", "bool": "true or false", "timestamp": "date"}


def _constructor(kind: str) -> Callable[[Any, yaml.ScalarNode], Any]:
    def construct(loader: Any, node: yaml.ScalarNode) -> Any:
        try:
            return _SCALARS[kind](loader.construct_scalar(node))
        except (ValueError, KeyError) as error:
            what = f"'{node.value[:40]}' is no {_NOUNS[kind]}"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from error

    return construct


for _kind in _SCALARS:
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _constructor(_kind))
    _FastLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _constructor(_kind))


def load_yaml(path: Path, name: str | None = None) -> Any:
    """Read one YAML document.

    Raises:
        UserError: If the file is missing, is not UTF-8, or is not YAML; names line and column.
    """
    name = name or path.name
    if not path.is_file():
        raise UserError(f"{name}: there is no such file.")
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), name)
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 text, at byte {error.start}. Save it as UTF-8.") from error


def parse_yaml(text: str, name: str) -> Any:
    """Parse one YAML document given as text; `name` stands for it in messages.

    Raises:
        UserError: If the text is not YAML.
    """
    try:
        value = _parse(text)
        if "*" in text:
            _check_size(value)
        # A ValueError where an alias holds itself, or a text holds half a character (`\ud83d`), which no file can.
        json.dumps(value, default=str, skipkeys=True, ensure_ascii=False).encode("utf-8")
        return value
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        what = "is nested too deep" if isinstance(error, RecursionError) else _problem(error)
        raise UserError(f"{name}:{where} not readable as YAML: {one_line(what)}. {_cure(what)}") from error


def _problem(error: Exception) -> str:
    """What a parser says, in its own words."""
    problem = getattr(error, "problem", None)
    if problem and problem.startswith("but "):
        return f"{getattr(error, 'context', None) or 'something else was expected'}, {problem}"
    return problem or str(error).splitlines()[0]


def _check_size(value: Any) -> None:
    """A document is no larger than a person's, its aliases written out; one that holds itself is larger than any."""
    waiting, count = [value], 0
    while waiting:
        node = waiting.pop()
        children = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
        count += len(children)
        if count > _MOST_NODES:
            raise ValueError("an alias holds itself, or aliases of aliases grow beyond all bounds")
        waiting += children


def _cure(problem: str) -> str:
    """What to do about what the parser says."""
    return next((cure for sign, cure in _CURES.items() if sign in problem), "Correct the file.")


def _parse(text: str) -> Any:
    """What we wrote, by the fast parser; what it refuses is for the other to explain.

    libyaml crashes on a hundred thousand brackets, so what a person wrote is never given to it.
    """
    if OUR_FIRST_LINE.match(text):
        try:
            return yaml.load(text, Loader=_FastLoader)  # a SafeLoader
        except (yaml.YAMLError, ValueError):
            return yaml.load(text, Loader=_Loader)  # a SafeLoader
    return yaml.load(text, Loader=_Loader)  # a SafeLoader


def dump_yaml(value: Any) -> str:
    """YAML text in the order given, one key a line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=110)
