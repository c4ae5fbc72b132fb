"""Measures the demo in bf16 against the demo in fp32: scores within each other's intervals, seconds and memory of a training.

Reads the template. Writes into the folder it is given (KEEP=<folder> keeps it); prints two tables, and what a training takes.
Command: .venv/bin/python benchmarks/precision.py [torchtune | transformers]
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from experiments import BIN, call, environment, experiments_folder
from two_demos import make_demo, print_effects, print_scores

FACTORS = "{lora_rank: [2, 16], lr: [1e-4, 3e-3], seed: [1, 2, 3]}"
BARE = {
    "torchtune": [str(BIN / "tune"), "run", "lora_finetune_single_device", "--config"],
    "transformers": [sys.executable, "-m", "ftexp.trainers.transformers.train"],
}


def main(root: Path, trainer: str) -> None:
    """Print the effects, the scores by run, then what one training takes."""
    changes = {dtype: {"dtype: fp32": f"dtype: {dtype}, trainer: {trainer}"} for dtype in ("fp32", "bf16")}
    folders = {dtype: make_demo(root, f"demo-{dtype}", change, factors=FACTORS) for dtype, change in changes.items()}
    for folder in folders.values():
        call(folder, ["make", "all"])
    print_effects(folders)
    print_scores(folders)
    for dtype, folder in folders.items():
        seconds, megabytes = train_bare(folder, trainer)
        print(f"{dtype}: a training takes {seconds:.1f} s and {megabytes:.0f} MB at most, imports among both", flush=True)


def train_bare(folder: Path, trainer: str) -> tuple[float, float]:
    """Wall seconds and peak memory in MB of a run's config, started by hand."""
    out = folder.parent / "bare"
    shutil.rmtree(out, ignore_errors=True)
    command = [*BARE[trainer], "runs/r16_lr3e-3_s1/finetune.yaml", f"output_dir={out}"]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} ended with status {status}")
    return time.perf_counter() - began, used.ru_maxrss / 1024


if __name__ == "__main__":
    with experiments_folder() as temporary:
        main(temporary, sys.argv[1] if len(sys.argv) > 1 else "torchtune")
