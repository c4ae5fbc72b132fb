"""The demo in two variants, and their tables beside each other: what is the same, within which interval, and how far apart."""

import csv
import math
import sys
from collections.abc import Mapping
from pathlib import Path

from experiments import BIN, TEMPLATE, call

Row = dict[str, str]
NAMES = ("kind", "scope", "factor", "level")


def make_demo(root: Path, name: str, changes: Mapping[str, str], *, factors: str = "") -> Path:
    """The demo as `make demo` bakes it, with texts of its experiment.yaml exchanged, and perhaps other factors."""
    command = [str(BIN / "cookiecutter"), str(TEMPLATE), "--no-input", "--default-config", "-o", str(root)]
    call(root, [*command, f"experiment_name={name}", *([f"factors={factors}"] if factors else [])])
    folder = root / name
    design = folder / "experiment.yaml"
    text = design.read_text(encoding="utf-8")
    for old, new in changes.items():
        if old not in text:
            sys.exit(f"{design}: has no {old}")
        text = text.replace(old, new)
    design.write_text(text, encoding="utf-8")
    (folder / "models").symlink_to("data/models")
    (folder / ".venv").symlink_to(BIN.parent)
    call(folder, [str(BIN / "dvc"), "init", "--quiet", "--no-scm"])
    return folder


def print_effects(named: Mapping[str, Path]) -> None:
    """A row per effect: the estimate of the first folder with its interval, and that of the second."""
    first, second = named
    print(f"| effect | {first} | 95 % interval | {second} | within |\n|---|--:|---|--:|---|")
    for one, other in zip(*_tables(named, "effects.csv"), strict=True):
        name = " ".join(one[key] for key in NAMES if one.get(key))
        low, high, estimate = (float(value) for value in (one["low"], one["high"], other["estimate"]))
        inside = "yes" if low <= estimate <= high else "no"
        print(f"| {name} | {float(one['estimate']):.3f} | {low:.3f} to {high:.3f} | {estimate:.3f} | {inside} |")


def print_scores(named: Mapping[str, Path]) -> None:
    """A row per run: its scores, and how many standard errors of the two they are apart."""
    first, second = named
    print(f"| run | {first} | {second} | apart, in standard errors |\n|---|--:|--:|--:|")
    for one, other in zip(*_tables(named, "results.csv"), strict=True):
        scores, errors = ([float(row[key]) for row in (one, other)] for key in ("score", "score_se"))
        apart = abs(scores[0] - scores[1]) / max(math.hypot(*errors), 1e-9)
        print(f"| {one['run']} | {scores[0]:.3f} | {scores[1]:.3f} | {apart:.1f} |")


def _tables(named: Mapping[str, Path], table: str) -> list[list[Row]]:
    return [read_csv(folder / table) for folder in named.values()]


def read_csv(path: Path) -> list[Row]:
    """The rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
