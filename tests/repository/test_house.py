"""House rules, over the syntax trees of scripts/ and hooks/: how long, with how many arguments, and what is documented.

Who may import whom is import-linter's (pyproject.toml, make lint); that it would notice is shown here.
"""

import ast
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY
from warm.environment import REAL_ENVIRONMENT

SCRIPTS = REPOSITORY / "scripts"
VERBS = sorted(SCRIPTS.glob("*.py"))
NOUNS = sorted((SCRIPTS / "ftexp").rglob("*.py"))
HOOKS = sorted((REPOSITORY / "hooks").glob("*.py"))
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))
ROOMS = sorted({path.parent for path in NOUNS} - {SCRIPTS / "ftexp"})
LONGEST_FUNCTION = 50
LONGEST_FILE, LONGEST_TEST_FILE, MOST_ARGUMENTS = 265, 400, 5
Function = ast.FunctionDef | ast.AsyncFunctionDef


def _name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@functools.cache
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
            - {"ftexp.life", "ftexp.life.environment", "ftexp.life.pip_options"}
            - {
                f"ftexp.life.environment.{name}"
                for name in ("VENV", "conda_environment", "link_environment", "make_environment", "stop")
            }
        )


@pytest.mark.parametrize("path", [*VERBS, *NOUNS, *HOOKS, *TESTS], ids=_name)
def test_no_file_is_too_long_to_read(path: Path) -> None:
    most = LONGEST_TEST_FILE if path in TESTS else LONGEST_FILE
    assert len(path.read_text(encoding="utf-8").splitlines()) <= most


# Their callers are torchtune, inspect-ai and configs, which pass them by name; or all of them are facts of one text.
WITH_MORE_ARGUMENTS = {
    "PromptedRows.__init__", "ResumableCheckpointer.__init__", "draw_lora", "TunedModelAPI.__init__", "tuned_model", "load_model",
    "generate", "array_script", "_send_all", "_heat_map", "AdamW.__init__", "write_manifest",
}


@pytest.mark.parametrize("path", [*VERBS, *NOUNS, *HOOKS], ids=_name)
def test_no_function_has_more_than_5_arguments(path: Path) -> None:
    for node in ast.walk(_tree(path)):
        for function in (child for child in ast.iter_child_nodes(node) if isinstance(child, Function)):
            name = f"{node.name}.{function.name}" if isinstance(node, ast.ClassDef) else function.name
            given = function.args
            names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs) if each.arg not in ("self", "cls")]
            assert len(names) <= MOST_ARGUMENTS or name in WITH_MORE_ARGUMENTS, f"{name}: {len(names)}"


@pytest.mark.parametrize("room", ROOMS, ids=_name)
def test_a_room_says_what_it_is_for_what_is_in_it_and_what_it_may_and_must_not_import(room: Path) -> None:
    text = ast.get_docstring(_tree(room / "__init__.py")) or ""
    *_, may, must = text.splitlines()
    assert may.startswith("May import: ") and must.startswith("Must not ")
    inside = [path.stem for path in room.glob("*.py") if path.stem != "__init__"]
    assert [name for name in inside if f"`{name}`" not in text] == []


def test_the_contracts_would_notice_an_import_from_above(tmp_path: Path) -> None:
    """import-linter is given a copy of the code in which data/ imports a run."""
    shutil.copytree(SCRIPTS / "ftexp", tmp_path / "scripts/ftexp")
    with (tmp_path / "scripts/ftexp/data/rows.py").open("a") as file:
        file.write("\nimport ftexp.design.run\n")
    command = [str(REAL_ENVIRONMENT / "bin/lint-imports"), "--no-cache", "--config", str(REPOSITORY / "pyproject.toml")]
    told = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": "scripts"}, capture_output=True, text=True, check=False
    )
    assert told.returncode == 1 and "ftexp.data is not allowed to import ftexp.design" in told.stdout


BLOCKER = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, "scripts")
for name in ("torch", "transformers", "peft", "inspect_ai", "pandas", "numpy", "datasets", "dvc"):
    sys.modules[name] = None
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("verb", ["plan", "stamp", "split", "status"])
def test_the_stages_that_only_plan_and_stamp_do_without_torch(verb: str, experiment: Path) -> None:
    if verb != "plan":
        run_verb("stamp", blocked=verb == "stamp")
    run_verb(verb, blocked=verb != "stamp")


def run_verb(verb: str, *, blocked: bool) -> None:
    """Run a verb of the experiment in the working folder; `blocked`: every import of a heavy package fails."""
    script = f"scripts/{verb}.py"
    command = [sys.executable, "-c", BLOCKER, script] if blocked else [sys.executable, script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
