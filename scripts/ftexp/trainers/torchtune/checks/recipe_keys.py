"""Which keys of a config a torchtune recipe reads, which it cannot do without, and what it builds with what: from its source.

A recipe is a script of its own, which reads its config as it goes; torchtune has no schema of it. Reads the recipe's source
in the installed package `recipes` (torchtune 0.6.1) without importing it. Writes nothing.
"""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ftexp.trainers.torchtune.shipped_configs import shipped_configs_dir

# Names of keys that recipes write as constants of torchtune's.
_CONSTANTS = {"PROFILER_KEY": "profiler"}
_CONDITIONAL = (ast.If, ast.IfExp, ast.BoolOp, ast.ExceptHandler, ast.While)


@dataclass(frozen=True)
class Build:
    """A section that the recipe instantiates, and what it passes beside the section's own keys."""

    positional: int
    keywords: frozenset[str]


@dataclass(frozen=True)
class RecipeKeys:
    """What a recipe does with its config.

    Attributes:
        read: Dotted keys that it reads, each with its sections.
        required: Those of them that it reads whatever happens, without a default.
        built: Per section what it is instantiated with.
    """

    read: set[str] = field(default_factory=set)
    required: set[str] = field(default_factory=set)
    built: dict[str, Build] = field(default_factory=dict)


def recipes() -> list[str]:
    """The recipes that torchtune ships."""
    return sorted(path.stem for path in _folder().glob("*.py") if path.stem != "__init__")


def _folder() -> Path:
    return shipped_configs_dir().parent


@functools.cache
def recipe_keys(recipe: str) -> RecipeKeys:
    """The keys of one recipe.

    Raises:
        FileNotFoundError: If torchtune ships no such recipe.
    """
    tree = ast.parse((_folder() / f"{recipe}.py").read_text(encoding="utf-8"))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    sections = _sections_of_parameters(functions)
    keys = RecipeKeys()
    for function in functions.values():
        names = {name: section for (owner, name), section in sections.items() if owner == function.name}
        for node, is_conditional in _nodes(function, is_conditional=False):
            _add_reads(keys, node, names, is_required=not is_conditional and function.name in ("__init__", "setup"))
            _add_builds(keys, node, names)
    return keys


def _sections_of_parameters(functions: dict[str, ast.FunctionDef]) -> dict[tuple[str, str], str]:
    """Per function and parameter that holds a part of the config, which part: `cfg` is all of it."""
    found = {(name, "cfg"): "" for name, node in functions.items() if any(a.arg == "cfg" for a in _arguments(node))}
    for caller in functions.values():
        names = {name: section for (owner, name), section in found.items() if owner == caller.name}
        for call in (node for node in ast.walk(caller) if isinstance(node, ast.Call)):
            called = functions.get(call.func.attr) if isinstance(call.func, ast.Attribute) else None
            if called is None:
                continue
            own = [argument.arg for argument in _arguments(called) if argument.arg != "self"]
            passed = [*zip(own, call.args, strict=False), *((k.arg, k.value) for k in call.keywords if k.arg)]
            for name, value in passed:
                section = _key_of(value, names)
                if section is not None:
                    found[called.name, name] = section
    return found


def _arguments(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _nodes(node: ast.AST, *, is_conditional: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below, outermost first, and whether it is reached only under a condition."""
    for child in ast.iter_child_nodes(node):
        below = is_conditional or (isinstance(node, _CONDITIONAL) and child is not getattr(node, "test", None))
        yield child, below
        yield from _nodes(child, is_conditional=below)


def _add_reads(keys: RecipeKeys, node: ast.AST, names: dict[str, str], *, is_required: bool) -> None:
    key = _key_of(node, names)
    if not key:
        return
    parts = key.split(".")
    keys.read.update(".".join(parts[: count + 1]) for count in range(len(parts)))
    if is_required and isinstance(node, ast.Attribute | ast.Subscript):
        keys.required.add(key)


def _key_of(node: ast.AST, names: dict[str, str]) -> str | None:
    """The dotted key that an expression reads, `` for the whole config, None where it reads no key."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        return _joined(_key_of(node.value, names), node.attr)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return _joined(_key_of(node.value, names), str(node.slice.value))
    if isinstance(node, ast.Call) and node.args:
        function, last = node.func, node.args[0]
        if isinstance(function, ast.Attribute) and function.attr == "get":
            return _joined(_key_of(function.value, names), _constant(last))
        if isinstance(function, ast.Name) and function.id == "getattr" and len(node.args) > 1:
            return _joined(_key_of(last, names), _constant(node.args[1]))
    return None


def _constant(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return _CONSTANTS.get(node.id) if isinstance(node, ast.Name) else None


def _joined(section: str | None, key: str | None) -> str | None:
    if section is None or key is None or key == "get":
        return None
    return f"{section}.{key}" if section else key


def _add_builds(keys: RecipeKeys, node: ast.AST, names: dict[str, str]) -> None:
    """`config.instantiate(section, ...)`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return
    if node.func.attr != "instantiate" or not node.args:
        return
    section = _key_of(node.args[0], names)
    if section:
        passed = Build(len(node.args) - 1, frozenset(keyword.arg for keyword in node.keywords if keyword.arg))
        keys.built[section] = passed
