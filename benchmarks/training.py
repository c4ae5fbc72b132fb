"""Measures a training by ftexp against a bare `tune run` of the same config, and eight short ones together against eight.

Reads the template. Writes into the folder it is given; prints ratios, each of times taken in turn in one run.
Command: .venv/bin/python benchmarks/training.py
"""

import shutil
import statistics
import sys
import time
from pathlib import Path

from experiments import BIN, TEMPLATE, call, experiments_folder

PAIRS = 3
RECIPE = "lora_finetune_single_device"


def main(root: Path) -> None:
    """Print both ratios."""
    one = make_experiment(root, "one", "{lora_rank: [16]}", epochs=6)
    pairs = [(train_here(one), train_bare(one, "r16")) for _ in range(PAIRS)]
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    described = ", ".join(f"{ours:.1f} s and {bare:.1f} s" for ours, bare in pairs)
    print(f"a training by ftexp / bare `tune run` of its config: {ratio:.2f} (limit 1.05; {described})", flush=True)
    eight = make_experiment(root, "eight", "{lora_rank: [1, 2, 3, 4, 5, 6, 7, 8]}", epochs=1)
    together = submit(eight)
    bare = sum(train_bare(eight, f"r{rank}") for rank in range(1, 9))
    described = f"{together:.1f} s and {bare:.1f} s"
    print(f"8 short trainings by `make submit` / 8 bare starts, one by one: {together / bare:.2f} (limit 0.7; {described})")


def make_experiment(root: Path, name: str, factors: str, *, epochs: int) -> Path:
    """The demo with these factors, validated."""
    command = [str(BIN / "cookiecutter"), str(TEMPLATE), "--no-input", "--default-config", "-o", str(root)]
    call(root, [*command, f"experiment_name={name}", f"factors={factors}"])
    folder = root / name
    design = folder / "experiment.yaml"
    design.write_text(design.read_text(encoding="utf-8").replace("epochs: 2", f"epochs: {epochs}"), encoding="utf-8")
    (folder / "models").symlink_to("data/models")
    (folder / ".venv").symlink_to(BIN.parent)
    call(folder, [str(BIN / "dvc"), "init", "--quiet", "--no-scm"])
    for verb in ("stamp", "split", "validate"):
        call(folder, [sys.executable, f"scripts/{verb}.py"])
    return folder


def train_here(folder: Path) -> float:
    """Seconds of the one run's own job script, from nothing."""
    [script] = folder.glob("runs/*/finetune.slurm")
    for path in (script.parent / "checkpoint", script.parent / "train.json", folder / ".scratch/train"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return timed(folder, ["bash", str(script.relative_to(folder))])


def train_bare(folder: Path, run: str) -> float:
    """Seconds of `tune run` of a run's config."""
    out = folder.parent / "bare"
    shutil.rmtree(out, ignore_errors=True)
    command = [str(BIN / "tune"), "run", RECIPE, "--config", f"runs/{run}/finetune.yaml", f"output_dir={out}"]
    return timed(folder, command)


def submit(folder: Path) -> float:
    """Seconds of training every run, with what DVC records."""
    return timed(folder, ["make", "submit"])


def timed(folder: Path, command: list[str]) -> float:
    """Wall seconds of a command."""
    began = time.perf_counter()
    call(folder, command)
    return time.perf_counter() - began


if __name__ == "__main__":
    with experiments_folder() as temporary:
        main(temporary)
