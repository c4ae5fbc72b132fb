"""The repository itself: what its README, its documents and its workflows name is there."""

import re
import subprocess
from importlib.metadata import distributions, metadata
from pathlib import Path

import pytest
import yaml
from conftest import ENVIRONMENT, REPOSITORY
from ftexp.life import environment
from packaging.specifiers import SpecifierSet

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("*/README.md")])
LOCKS = [REPOSITORY / "{{cookiecutter.experiment_name}}/requirements.txt", REPOSITORY / "tests/requirements.txt"]


def _in_git() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.splitlines() if (REPOSITORY / name).exists()]


def _tree() -> dict[str, set[str]]:
    """Of the README's last listing: names per folder (`` is the top), a folder with its slash."""
    block = README.partition("## What the files are")[2].partition("```\n")[2].partition("```")[0]
    names: dict[str, set[str]] = {"": set()}
    folder = ""
    for line in block.splitlines():
        words = re.split(r" {2,}", line.strip())[:-1]
        if not line.startswith(" "):
            names[""] |= set(words)
            folder = words[-1] if words[-1].endswith("/") else ""
        else:
            names.setdefault(folder, set()).update(words)
    return names


def _entries(folder: str) -> set[str]:
    """What git holds directly in a folder, folders with a slash."""
    inside = [name.removeprefix(folder) for name in _in_git() if name.startswith(folder)]
    return {name.partition("/")[0] + ("/" if "/" in name else "") for name in inside}


def test_the_layout_in_the_readme_is_that_of_the_files() -> None:
    tree = _tree()
    assert {"", "scripts/", "data/", "docs/"} <= set(tree)
    for folder, names in tree.items():
        assert names == _entries(folder), folder or "top"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_in_a_document_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), target
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in {_anchor(line) for line in text.splitlines() if line.startswith("#")}, anchor


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lstrip("# ")).lower().replace(" ", "-")


def test_the_tests_that_the_design_page_names_are_there() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (REPOSITORY / "docs/design.md").read_text(encoding="utf-8"))
    assert len(named) >= 11
    files = {path.name: path for path in (REPOSITORY / "tests").rglob("test_*.py")}
    for file, test in named:
        assert f"def {test}(" in files[file].read_text(encoding="utf-8"), (file, test)


def test_every_target_that_a_document_names_is_in_a_makefile() -> None:
    makefiles = [REPOSITORY / "Makefile", REPOSITORY / "{{cookiecutter.experiment_name}}/Makefile"]
    targets = {target for path in makefiles for target in re.findall(r"(?m)^([a-z-]+):", path.read_text(encoding="utf-8"))}
    for document in DOCUMENTS:
        for words in re.findall(r"(?:`|^|\n)make ((?:[a-z-]+ )*[a-z-]+)(?=[` \n])", document.read_text(encoding="utf-8")):
            first = words.split()[0]
            assert first in targets, (document.name, first)


def _workflow(name: str) -> dict[str, object]:
    document: dict[str, object] = yaml.safe_load((REPOSITORY / ".github/workflows" / name).read_text(encoding="utf-8"))
    return document


def test_the_weekly_workflow_tries_packages_of_the_lock() -> None:
    lines = [line for lock in LOCKS for line in lock.read_text().splitlines()]
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    groups = _workflow("newest.yml")["jobs"]["newest"]["strategy"]["matrix"]["packages"]  # type: ignore[index]
    tried = {name for group in groups for name in group.split()}
    assert tried <= pinned
    assert {"cookiecutter", "pyyaml", "torchtune", "inspect-ai", "pandas", "dvc"} <= tried


def test_the_demo_runs_once_a_week_on_every_python_that_the_lock_is_for() -> None:
    entries = _workflow("pythons.yml")["jobs"]["demo"]["strategy"]["matrix"]["include"]  # type: ignore[index]
    assert [entry["python"] for entry in entries] == environment.tested() and entries[0]["image"] == "debian:12"


def test_every_package_of_the_locks_takes_the_oldest_python_that_they_are_for() -> None:
    """By what the packages say that are installed here."""
    oldest = re.findall(r"(?m)^PYTHON = \"(.*)\"$", (REPOSITORY / "tests/make_locks.py").read_text(encoding="utf-8"))[0]
    named = [line.partition("==")[0] for lock in LOCKS for line in lock.read_text().splitlines() if re.match(r"[\w.-]+==", line)]
    said = {name: metadata(name).get("Requires-Python") for name in named if any(distributions(name=name))}
    assert len(said) > 150 and oldest == "3.11.2"
    assert not [name for name, wanted in said.items() if wanted and not SpecifierSet(wanted).contains(oldest)]


def test_the_workflow_of_a_change_runs_what_ci_runs() -> None:
    targets = _workflow("test.yml")["jobs"]["test"]["strategy"]["matrix"]["target"]  # type: ignore[index]
    run = (REPOSITORY / ".ci/run").read_text()
    assert {"test", "test-slow"} <= set(targets) and "make test\n" in run and "make test-slow\n" in run


def test_the_hooks_before_a_commit_call_tools_of_the_lock() -> None:
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    tools = [hook["entry"].split()[0] for hook in hooks]
    assert [tool for tool in tools if tool.startswith(".venv/")] and all(
        (ENVIRONMENT / tool.removeprefix(".venv/")).exists() for tool in tools if tool.startswith(".venv/")
    )
