"""Measures the demo trained by transformers against the demo trained by torchtune: its tables, its losses, what it takes.

Reads the template. Writes into the folder it is given (KEEP=<folder> keeps it); prints tables. On a GPU where there is one.
Command: .venv/bin/python benchmarks/trainers.py [fp32 | bf16] [JOBS]
         (JOBS: both demos at the same time, so many runs of each at a time, which leaves nothing to be said of what they take)
"""

import resource
import shutil
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from experiments import call, experiments_folder
from two_demos import make_demo, print_effects, print_scores, read_csv

TRAINERS = ("torchtune", "transformers")
STAGES = (["stamp", "split", "validate"], ["submit"], ["eval"], ["report"])
PAIRS = 3
RUN = "r16_lr3e-3_s1"


def main(root: Path, dtype: str, jobs: str | None) -> None:
    """Print effects, scores and losses of both, then seconds of the stages, then of one training alone."""
    changes = {name: {"dtype: fp32": f"dtype: {dtype}, trainer: {name}"} for name in TRAINERS}
    folders = {name: make_demo(root, f"demo-{name}", change) for name, change in changes.items()}
    if jobs:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda folder: call(folder, ["make", "all", f"JOBS={jobs}"]), folders.values()))
    else:
        taken = {name: [seconds_of(folder, ["make", *stages]) for stages in STAGES] for name, folder in folders.items()}
    print_effects(folders)
    print_scores(folders)
    print_losses(*folders.values())
    if not jobs:
        print_stages(taken)
        print_alone(folders)


def print_stages(taken: dict[str, list[tuple[float, float]]]) -> None:
    """A row per step of the pipeline: what it takes by each trainer."""
    print("| stage | " + " | ".join(f"{name}: seconds | of the cores" for name in TRAINERS) + " |\n|---|--:|--:|--:|--:|")
    for stages, *pairs in zip(STAGES, *taken.values(), strict=True):
        print(f"| {', '.join(stages)} | " + " | ".join(f"{wall:.0f} | {cores:.0f}" for wall, cores in pairs) + " |", flush=True)


def print_alone(folders: dict[str, Path]) -> None:
    """What one training takes by each, in turn."""
    alone = [[train_alone(folder) for folder in folders.values()] for _ in range(PAIRS)]
    for index, name in enumerate(TRAINERS):
        walls, cores = zip(*(pair[index] for pair in alone), strict=True)
        print(f"{name}: {RUN} alone, imports among it: {described(walls)} s, of the cores {described(cores)} s")
    ratios = [pair[1][1] / pair[0][1] for pair in alone]
    print(f"transformers / torchtune, seconds of the cores: {statistics.median(ratios):.2f} ({described(ratios, 2)})")


def print_losses(one: Path, other: Path) -> None:
    """A row per run: how far the losses of its steps are apart at most, and the last of both."""
    print("| run | steps | apart at most | at the step | loss at the end | and |\n|---|--:|--:|--:|--:|--:|")
    for path in sorted(one.glob("runs/*/train.csv")):
        run = path.parent.name
        losses = [[float(row["loss"]) for row in read_csv(folder / "runs" / run / "train.csv")] for folder in (one, other)]
        apart = [abs(a - b) for a, b in zip(*losses, strict=True)]
        at = apart.index(max(apart)) + 1
        print(f"| {run} | {len(apart)} | {max(apart):.2g} | {at} | {losses[0][-1]:.5f} | {losses[1][-1]:.5f} |")


def train_alone(folder: Path) -> tuple[float, float]:
    """What one run's own job script takes, from nothing."""
    run = folder / "runs" / RUN
    shutil.rmtree(run / "checkpoint", ignore_errors=True)
    shutil.rmtree(folder / ".scratch/train", ignore_errors=True)
    (run / "train.json").unlink(missing_ok=True)
    return seconds_of(folder, ["bash", f"runs/{RUN}/finetune.slurm"])


def seconds_of(folder: Path, command: list[str]) -> tuple[float, float]:
    """Wall seconds of a command, and what it took of the cores in user mode."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    call(folder, command)
    return time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def described(values: tuple[float, ...] | list[float], digits: int = 1) -> str:
    """Numbers behind each other."""
    return ", ".join(f"{value:.{digits}f}" for value in values)


if __name__ == "__main__":
    with experiments_folder() as temporary:
        dtype_and_jobs = sys.argv[1:] or ["fp32"]
        main(temporary, dtype_and_jobs[0], dtype_and_jobs[1] if len(dtype_and_jobs) > 1 else None)
