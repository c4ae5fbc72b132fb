"""Experiments as a person has them: stamped by cookiecutter, run by their own Makefile, looked at by their tables."""

import csv
import json
import os
import subprocess
from pathlib import Path

from cookiecutter.main import cookiecutter

REPOSITORY = Path(__file__).resolve().parents[2]
# What a make around the tests would tell ours.
_OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")


def bake_small(root: Path, *, words: int = 120, **answers: str) -> Path:
    """An experiment named `small` on so many of the demo's words, by cookiecutter; not set up yet."""
    root.mkdir(parents=True, exist_ok=True)
    rows = json.loads((REPOSITORY / "data/words.json").read_text(encoding="utf-8"))[:words]
    (root / "words.json").write_text(json.dumps(rows), encoding="utf-8")
    asked = {"experiment_name": "small", "data": str(root / "words.json"), **answers}
    cookiecutter(str(REPOSITORY), no_input=True, extra_context=asked, output_dir=str(root), default_config=True)
    return root / "small"


def make(
    folder: Path, *targets: str, check: bool = True, environment: dict[str, str] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`make targets` in a folder; `variables` are added to the environment."""
    given = {**(os.environ if environment is None else environment), **variables}
    clean = {name: value for name, value in given.items() if name not in _OF_MAKE}
    result = subprocess.run(["make", *targets], cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert result.returncode == 0 or not check, result.stdout[-3000:] + result.stderr[-3000:]
    return result


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def results(folder: Path, metric: str = "exact") -> dict[str, dict[str, str]]:
    """The rows of results.csv by run, as far as they are of one metric, of an experiment with one task."""
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == metric]
    assert len({row["task"] for row in rows}) == 1
    return {row["run"]: row for row in rows}


def adapter(folder: Path, run: str) -> bytes:
    """The bytes of a run's adapter."""
    return (folder / f"runs/{run}/checkpoint/adapter_model.safetensors").read_bytes()


def times(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file but git's and the environment's."""
    files = [p for p in folder.rglob("*") if p.is_file() and not {".git", ".venv"} & set(p.relative_to(folder).parts)]
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}


def status_words(folder: Path) -> set[str]:
    """The statuses that `make status` shows."""
    rows = [line.split() for line in make(folder, "status").stdout.splitlines()]
    return {row[2] for row in rows if len(row) > 2 and row[1] in ("train", "eval")}


Tree = dict[str, bytes | None]


def tree(folder: Path) -> Tree:
    """Every file with its bytes, every folder with None."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
