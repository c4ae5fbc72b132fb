"""Measures the demo in bf16 against the demo in fp32: scores within each other's intervals, seconds and memory of a training.

Reads the template. Writes into the folder it is given (KEEP=<folder> keeps it); prints two tables, and what a training takes.
Command: .venv/bin/python benchmarks/precision.py
"""

import csv
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from experiments import BIN, TEMPLATE, call, environment, experiments_folder

Row = dict[str, str]
FACTORS = "{lora_rank: [2, 16], lr: [1e-4, 3e-3], seed: [1, 2, 3]}"
NAMES = ("kind", "scope", "factor", "level")
RECIPE = "lora_finetune_single_device"


def main(root: Path) -> None:
    """Print the effects, the scores by run, then what one training takes."""
    folders = {dtype: make_experiment(root, dtype) for dtype in ("fp32", "bf16")}
    for folder in folders.values():
        call(folder, ["make", "all"])
    print_effects(*(read_csv(folder / "effects.csv") for folder in folders.values()))
    print_scores(*(read_csv(folder / "results.csv") for folder in folders.values()))
    for dtype, folder in folders.items():
        seconds, megabytes = train_bare(folder)
        print(f"{dtype}: a training takes {seconds:.1f} s and {megabytes:.0f} MB at most, imports among both", flush=True)


def print_effects(fp32: list[Row], bf16: list[Row]) -> None:
    """A row per effect: the estimate in fp32 with its interval, and the one in bf16."""
    print("| effect | fp32 | 95 % interval | bf16 | within |\n|---|--:|---|--:|---|")
    for one, other in zip(fp32, bf16, strict=True):
        name = " ".join(one[key] for key in NAMES if one.get(key))
        low, high, estimate = (float(value) for value in (one["low"], one["high"], other["estimate"]))
        inside = "yes" if low <= estimate <= high else "no"
        print(f"| {name} | {float(one['estimate']):.3f} | {low:.3f} to {high:.3f} | {estimate:.3f} | {inside} |")


def print_scores(fp32: list[Row], bf16: list[Row]) -> None:
    """A row per run: its scores, and how many standard errors of the two they are apart."""
    print("| run | fp32 | bf16 | apart, in standard errors |\n|---|--:|--:|--:|")
    for one, other in zip(fp32, bf16, strict=True):
        scores, errors = ([float(row[key]) for row in (one, other)] for key in ("score", "score_se"))
        apart = abs(scores[0] - scores[1]) / max(math.hypot(*errors), 1e-9)
        print(f"| {one['run']} | {scores[0]:.3f} | {scores[1]:.3f} | {apart:.1f} |")


def make_experiment(root: Path, dtype: str) -> Path:
    """The demo with three seeds in one precision, as `make demo` bakes it."""
    command = [str(BIN / "cookiecutter"), str(TEMPLATE), "--no-input", "--default-config", "-o", str(root)]
    call(root, [*command, f"experiment_name=demo-{dtype}", f"factors={FACTORS}"])
    folder = root / f"demo-{dtype}"
    design = folder / "experiment.yaml"
    text = design.read_text(encoding="utf-8")
    if "dtype: fp32" not in text:
        sys.exit(f"{design}: has no dtype: fp32")
    design.write_text(text.replace("dtype: fp32", f"dtype: {dtype}"), encoding="utf-8")
    (folder / "models").symlink_to("data/models")
    (folder / ".venv").symlink_to(BIN.parent)
    call(folder, [str(BIN / "dvc"), "init", "--quiet", "--no-scm"])
    return folder


def read_csv(path: Path) -> list[Row]:
    """The rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def train_bare(folder: Path) -> tuple[float, float]:
    """Wall seconds and peak memory in MB of `tune run` of a run's config."""
    out = folder.parent / "bare"
    shutil.rmtree(out, ignore_errors=True)
    command = [str(BIN / "tune"), "run", RECIPE, "--config", "runs/r16_lr3e-3_s1/finetune.yaml", f"output_dir={out}"]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} ended with status {status}")
    return time.perf_counter() - began, used.ru_maxrss / 1024


if __name__ == "__main__":
    with experiments_folder() as temporary:
        main(temporary)
