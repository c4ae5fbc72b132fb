"""House rules, over the syntax trees of scripts/ and hooks/: what imports what, how long, and what is documented."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY

SCRIPTS = REPOSITORY / "scripts"
VERBS = sorted(SCRIPTS.glob("*.py"))
NOUNS = sorted((SCRIPTS / "ftexp").rglob("*.py"))
HOOKS = sorted((REPOSITORY / "hooks").glob("*.py"))
LONGEST_FUNCTION = 50
LONGEST_FILE = 380
Function = ast.FunctionDef | ast.AsyncFunctionDef


def _name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.AST) -> set[str]:
    """Modules that a tree imports, wherever in it, `from a import b` as `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _undocumented(tree: ast.Module) -> list[str]:
    """Public functions and classes at the top, and public methods of public classes, without a docstring."""
    public = [node for node in tree.body if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_")]
    return [node.name for node in public if ast.get_docstring(node) is None]


def test_there_are_verbs_and_nouns_to_check() -> None:
    assert {"plan", "stamp", "split", "validate"} <= {path.stem for path in VERBS} and len(NOUNS) > 20 and len(HOOKS) == 2


@pytest.mark.parametrize("path", [*VERBS, *NOUNS, *HOOKS], ids=_name)
def test_nothing_imports_a_verb(path: Path) -> None:
    verbs = {verb.stem for verb in VERBS}
    assert not {name.split(".")[0] for name in _imports(_tree(path))} & verbs


@pytest.mark.parametrize("path", [*VERBS, *NOUNS], ids=_name)
def test_no_module_is_named_after_one_of_the_standard_library(path: Path) -> None:
    is_top = path.parent == SCRIPTS
    assert path.stem not in sys.stdlib_module_names or not is_top
    assert path.stem not in ("utils", "helpers", "common", "misc")


@pytest.mark.parametrize("path", [*VERBS, *NOUNS, *HOOKS], ids=_name)
def test_no_function_is_longer_than_50_lines(path: Path) -> None:
    long = {f.name: f.end_lineno - f.lineno + 1 for f in _functions(_tree(path)) if f.end_lineno}
    assert not {name: lines for name, lines in long.items() if lines > LONGEST_FUNCTION}


@pytest.mark.parametrize("path", [*VERBS, *NOUNS, *HOOKS], ids=_name)
def test_every_module_and_everything_public_in_it_has_a_docstring(path: Path) -> None:
    tree = _tree(path)
    assert ast.get_docstring(tree), "the module has no docstring"
    assert not _undocumented(tree)


@pytest.mark.parametrize("path", VERBS, ids=_name)
def test_a_verb_says_what_it_reads_and_writes_and_its_command(path: Path) -> None:
    text = ast.get_docstring(_tree(path)) or ""
    assert all(word in text for word in ("Command: ", "Reads ", "Writes ")), text
    assert len(text.splitlines()) <= 8


@pytest.mark.parametrize("path", [*VERBS, *NOUNS, *HOOKS], ids=_name)
def test_no_error_is_swallowed(path: Path) -> None:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.ExceptHandler):
            is_broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
            is_raised = any(isinstance(child, ast.Raise) for child in ast.walk(node))
            assert not is_broad or is_raised, f"line {node.lineno}"


def _closure(module: str) -> set[str]:
    """Everything that a module of ours imports, on its top level, through other modules of ours."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = SCRIPTS / (name.replace(".", "/") + ".py")
        if name in seen or not path.is_file():
            seen.add(name)
            continue
        seen.add(name)
        waiting += _imports(ast.Module([node for node in _tree(path).body if isinstance(node, ast.Import | ast.ImportFrom)], []))
    return {name for name in seen if not name.startswith("ftexp")}


def test_the_hook_imports_the_standard_library_and_yaml_only() -> None:
    used = {name for name in _imports(_tree(REPOSITORY / "hooks/post_gen_project.py")) if name.startswith("ftexp")}
    assert "ftexp.life.new_experiment" in used
    roots = {root.split(".")[0] for name in used for root in _closure(name)}
    assert "yaml" in roots
    assert roots - {"yaml"} <= set(sys.stdlib_module_names)


def test_set_up_begins_on_any_python_with_the_standard_library_only() -> None:
    files = [
        SCRIPTS / name for name in (
            "set_up.py", "ftexp/__init__.py", "ftexp/life/__init__.py", "ftexp/life/environment.py", "ftexp/life/pip_options.py",
        )
    ]
    for path in files:
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
        roots = {name.split(".")[0] for name in _imports(_tree(path))}
        assert roots <= {*sys.stdlib_module_names, "ftexp"}
        assert (
            not {name for name in _imports(_tree(path)) if name.startswith("ftexp.")}
            - {"ftexp.life.environment", "ftexp.life.pip_options"}
            - {
                f"ftexp.life.environment.{name}"
                for name in ("VENV", "conda_environment", "link_environment", "make_environment", "stop")
            }
        )


def test_the_stages_that_only_plan_and_stamp_do_not_wait_for_torch() -> None:
    heavy = {"torch", "torchtune", "transformers", "inspect_ai", "pandas", "numpy", "datasets", "dvc"}
    for name in ("plan", "stamp", "split", "status"):
        tops: list[ast.stmt] = [
            node for node in _tree(SCRIPTS / f"{name}.py").body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        roots = {
            root.split(".")[0]
            for used in _imports(ast.Module(tops, []))
            for root in ({used} if not used.startswith("ftexp") else _closure(used))
        }
        assert not roots & heavy, name


@pytest.mark.parametrize("path", [*VERBS, *NOUNS, *HOOKS], ids=_name)
def test_no_file_is_too_long_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
