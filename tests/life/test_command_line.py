"""What stands on make's command line: refused where a target does not read it, and read by neither make nor a shell."""

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from ftexp.life.command_line import variables

STAMPED = "{{cookiecutter.experiment_name}}"
OF_EXPERIMENT = variables(REPOSITORY / STAMPED / "Makefile")
# Stands for every program of an environment: tells how it was called. What is wrong with a command line it asks the real one.
PROGRAM = """#!/usr/bin/python3 -IS
import json, os, sys
if sys.argv[1:2] == ["-I"]:
    os.execv("/usr/bin/python3", sys.argv)
with open(os.environ["CALLS"], "a") as file:
    print(json.dumps(["begin", sys.argv[1:], dict(os.environ)]), file=file)
import time
time.sleep(float(os.environ.get("PAUSE", "0")))
with open(os.environ["CALLS"], "a") as file:
    print(json.dumps(["end", sys.argv[1:], {}]), file=file)
"""
HOSTILE = (
    "x; touch y", "$(touch y)", "`touch y`", "$(shell touch y)", "${shell touch y}", "$$(touch y)", "a\ntouch y\n",
    "x' ; touch y; '", 'x"; touch y; "', "x | touch y", "x && touch y", "x > y", "# touch y", "\\$(shell touch y)", "*", "a  b",
    "-x", "$(error y)", "%\\%$y", "~", "x=y", "ü € \\",
)  # fmt: skip


def copy_makefile(source: Path, folder: Path) -> None:
    """A Makefile with what it includes and calls."""
    (folder / "scripts/ftexp/life").mkdir(parents=True)
    shutil.copy(source / "Makefile", folder)
    for name in ("command_line.mk", "ftexp/life/command_line.py"):
        shutil.copy(REPOSITORY / "scripts" / name, folder / "scripts" / name)
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("python", "cookiecutter"):
        (folder / ".venv/bin" / name).write_text(PROGRAM)
        (folder / ".venv/bin" / name).chmod(0o755)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The template's folder with an experiment in demo/capitalization, both with stand-ins for what they call."""
    copy_makefile(REPOSITORY, tmp_path / "top")
    copy_makefile(REPOSITORY / STAMPED, tmp_path / "top/demo/capitalization")
    copy_makefile(REPOSITORY / STAMPED, tmp_path / "top" / STAMPED)
    (tmp_path / "top/tests").mkdir()
    for name in ("demo/capitalization/site.yaml", "tests/requirements.txt", f"{STAMPED}/requirements.txt"):
        (tmp_path / "top" / name).touch()
    (tmp_path / "top/.venv/ready").touch()
    return tmp_path / "top/demo/capitalization"


def call(folder: Path, *words: str, **variables: str) -> "tuple[subprocess.CompletedProcess[str], list[Any]]":
    """`make words`, and what was called."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "GNUMAKE"))}
    calls = folder / "calls"
    environment = {**known, "CALLS": str(calls), **variables}
    command = ["make", f"PYTHON={folder}/.venv/bin/python"] if words[:1] in (("setup",), ("demo",)) else ["make"]
    done = subprocess.run([*command, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lines = calls.read_text().splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return done, [json.loads(line) for line in lines]


REFUSED = [
    (["JOB=2"], "JOB: is no variable of `make help`. Did you mean 'JOBS'?"),
    (["submit", "JOB=2"], "JOB: is no variable of `make submit`. Did you mean 'JOBS'?"),
    (["all", "jobs=2"], "jobs: is no variable of `make all`. Did you mean 'JOBS'?"),
    (["cite", "RUNS=base"], "RUNS: is no variable of `make cite`. Did you mean 'RUN'?"),
    (["plan", "COLOUR=1"], "COLOUR: is no variable of `make plan`. It reads none: leave it out"),
    (["status", "CC=gcc"], "CC: is no variable of `make status`. It reads ONLY"),
    (["status", "SHELL=/bin/true"], "SHELL: is no variable of `make status`. It reads ONLY"),
    (["all", "MAKE=true"], "MAKE: is no variable of `make all`."),
    (["status", "py=true"], "py: is no variable of `make status`."),
    (["status", "said="], "said: is no variable of `make status`."),
    (["status", "said=ONLY", "JOB=2"], "is no variable of `make status`."),
    (["plan", "JOBS=2"], "JOBS: is not read by `make plan`, but by make submit, eval, all. Leave it out"),
    (["cancel", "DRY=1"], "DRY: is not read by `make cancel`, but by make submit, eval, all, gc, upgrade. Leave it out"),
    (["split", "validate", "RUN=base"], "RUN: is not read by `make split validate`, but by make cite, merge. Leave it out"),
    (["submit", "ONLY="], "ONLY: is empty. Give it a value, or leave it out"),
    (["submit", "JOBS= "], "JOBS: is empty. Give it a value, or leave it out"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
@pytest.mark.parametrize("flags", ["", "-kj4"])
def test_what_a_target_does_not_read_is_refused_before_anything_is_done(
    place: Path, words: list[str], message: str, flags: str
) -> None:
    done, calls = call(place, *words, MAKEFLAGS=flags)
    assert done.returncode == 2 and message in done.stderr and not calls, done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["submit", "JOB=2"], "JOB: is no variable of `make submit`. Did you mean 'JOBS'?"),
        (["demo", "JOB=2"], "JOB: is no variable of `make demo`. Did you mean 'JOBS'?"),
        (["plan", "JOBS=2"], "JOBS: is not read by `make plan`, but by make submit, eval, all, demo. Leave it out"),
        (["setup", "VENV=x"], "VENV: is no variable of `make setup`. It reads PYTHON"),
        (["test", "ONLY="], "ONLY: is empty. Give it a value, or leave it out"),
        (["lint", "ONLY=design"], "ONLY: is not read by `make lint`, but by make "),
        (["test", "WRITE=yes"], "WRITE: must be 1 or 0, got 'yes'."),
        (["status", "EXP=nowhere; touch y"], "EXP: there is no experiment in nowhere; touch y. Name its folder"),
    ],
)
def test_so_it_is_in_the_repositorys_folder(place: Path, words: list[str], message: str) -> None:
    done, calls = call(place.parents[1], *words)
    assert done.returncode == 2 and message in done.stderr and not calls, done.stderr
    assert not list(place.parents[1].rglob("y"))


@pytest.mark.parametrize("value", HOSTILE)
def test_every_value_reaches_the_scripts_as_it_was_typed(place: Path, value: str) -> None:
    top = place.parents[1]
    for folder, target, name in ((place, "cite", "RUN"), (top, "submit", "ONLY"), (top, "lock", "UPGRADE")):
        done, calls = call(folder, target, f"{name}={value}")
        assert done.returncode == 0 and calls, done.stderr
        assert {(value in words, environment.get(name)) for _, words, environment in calls[::2]} == {(False, value)}
    done, calls = call(top, "test", f"ONLY={value}")
    assert calls[0][1][2] == f"tests/{value}" and "ONLY" not in calls[0][2]
    assert not list(top.rglob("y"))


@pytest.mark.parametrize("target", [target for target, names in OF_EXPERIMENT.items() if {*names} - {"PYTHON"}])
def test_so_it_does_from_every_target(place: Path, target: str) -> None:
    value = "$(shell touch y)'\"; touch y; `touch y` #\n touch y"
    given = [name for name in OF_EXPERIMENT[target] if name != "PYTHON"]
    done, calls = call(place, target, *(f"{name}={value}" for name in given))
    assert done.returncode == 0 and calls, done.stderr
    assert all({name: environment[name] for name in given} == dict.fromkeys(given, value) for _, _, environment in calls[::2])
    assert not list(place.rglob("y"))


@pytest.mark.parametrize("folder", ["top", "experiment"])
@pytest.mark.parametrize("value", ["python3; touch y", "$(shell touch y)", "python3\ntouch y #", "no'such"])
def test_a_python_that_is_none_is_one_message(place: Path, folder: str, value: str) -> None:
    top = place.parents[1]
    (top / ".venv/ready").unlink()
    done = call(top if folder == "top" else place, "setup", f"PYTHON={value}")[0]
    assert done.returncode == 2 and f"PYTHON: there is no program '{value}' here." in done.stderr and not list(top.rglob("y"))


ORDER = ["--options", "split", "--surroundings", "validate", "submit", "evaluate", "status", "score", "report"]


@pytest.mark.parametrize("flags", ["-j4", "-kj", "-eBj4", "-sj4 -Otarget --warn-undefined-variables"])
@pytest.mark.parametrize("way", ["environment", "command line"])
def test_the_stages_go_one_after_another_whatever_makeflags_says(place: Path, flags: str, way: str) -> None:
    words, variables = (flags.split(), {}) if way == "command line" else ([], {"MAKEFLAGS": flags})
    for folder in (place, place.parents[1]):
        done, calls = call(folder, *words, "all", PAUSE="0.02", said="ONLY", py="true", **variables)
        assert done.returncode == 0 and "warning" not in done.stderr, done.stderr
        assert [kind for kind, _, _ in calls] == ["begin", "end"] * (len(calls) // 2)
        steps = [said[-1] if said[-1][:3] in ("--o", "--s") else Path(said[0]).stem for _, said, _ in calls[::2]]
        assert [step for step in steps if step != "stamp"] == ORDER


@pytest.mark.parametrize("flags", ["-i", "-ki", "-t", "-it"])
@pytest.mark.parametrize("variable", ["MAKEFLAGS", "GNUMAKEFLAGS"])
def test_a_make_that_would_not_fail_is_refused(place: Path, flags: str, variable: str) -> None:
    for folder in (place, place.parents[1]):
        done, calls = call(folder, "all", **{variable: flags})
        assert done.returncode == 2 and re.search("make -[it]: .*Leave it out, in MAKEFLAGS too", done.stderr) and not calls


def test_a_missing_environment_is_said_and_one_that_is_there_is_not_missed(place: Path) -> None:
    assert call(place, "-B", "status")[0].returncode == 0
    shutil.rmtree(place / ".venv")
    done = call(place, "status", "ONLY=base")[0]
    assert done.returncode == 2 and "There is no environment here yet (.venv). Run: make setup" in done.stderr


def test_help_names_the_variables_that_the_scripts_say_they_read() -> None:
    told: dict[str, set[str]] = {}
    for path in (REPOSITORY / "scripts").glob("*.py"):
        said = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("Command: ")[2]
        for target, words in re.findall(r"make ([a-z]+)(.*?)(?=, make|$)", said.partition(" (")[0]):
            told[target] = set(re.findall(r"([A-Z_]+)=", words))
    of_submit = set(OF_EXPERIMENT["submit"])
    assert {target: set(names) for target, names in OF_EXPERIMENT.items()} == {**told, "help": set(), "all": of_submit}


def test_all_looks_at_its_options_first(experiment: Path) -> None:
    for words, message in ((["ONLY=zz*"], "ONLY: no run's id matches 'zz*'."), (["JOBS=two"], "JOBS: must be a whole number")):
        done = call(experiment, "all", *words)[0]
        assert done.returncode == 2 and message in done.stderr and not (experiment / "data/splits").exists()
