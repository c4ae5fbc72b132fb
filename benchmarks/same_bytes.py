"""Is a training the same bytes, done again, and killed and resumed? By each trainer, by hand, on a GPU where there is one.

Dropout is on, which draws from the generators that a resumed training has to have back. All trainings run at the same time.
Reads the template. Writes into the folder it is given (KEEP=<folder> keeps it); prints a row per trainer.
Command: PYTHONPATH=scripts .venv/bin/python benchmarks/same_bytes.py [fp32 | bf16]
"""

import hashlib
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from experiments import call, environment, experiments_folder
from ftexp.trainers.device_file import device_used
from ftexp.trainers.torchtune import trainer as torchtune
from ftexp.trainers.transformers import trainer as transformers
from precision import BARE
from two_demos import make_demo, read_csv

FACES = {"torchtune": torchtune, "transformers": transformers}
EPOCHS, STEPS_OF_EPOCH = 4, 62
FACTORS = "{lora_rank: [16], lr: [3e-3], seed: [1]}"
POLL_S = 0.02


def main(root: Path, dtype: str) -> None:
    """Train by both, and compare."""
    of_both = {"epochs: 2": f"epochs: {EPOCHS}, lora_dropout: 0.1"}
    changes = {name: {**of_both, "dtype: fp32": f"dtype: {dtype}, trainer: {name}"} for name in FACES}
    folders = {name: make_demo(root, f"bytes-{name}", change, factors=FACTORS) for name, change in changes.items()}
    print("| trainer | device | once | again | killed after an epoch, and resumed |\n|---|---|---|---|---|")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda folder: call(folder, ["make", "stamp", "split"]), folders.values()))
        hashes = {
            name: [pool.submit(way, name, folder, root / f"{name}-{number}") for number, way in enumerate(WAYS)]
            for name, folder in folders.items()
        }
        for name, trainings in hashes.items():
            once, *others = (training.result() for training in trainings)
            told = " | ".join("the same" if other == once else other for other in others)
            print(f"| {name} | {device_used(root / f'{name}-0')} | {once} | {told} |", flush=True)


def train(trainer: str, folder: Path, out: Path) -> str:
    """The hash of the adapter that a training leaves."""
    return hash_of(trainer, out, begin(trainer, folder, out))


def train_killed(trainer: str, folder: Path, out: Path) -> str:
    """The same of one that is killed after its first epoch, and goes on from the last that it finished."""
    process, table = begin(trainer, folder, out), out / "train.csv"
    while process.poll() is None and not (table.is_file() and len(read_csv(table)) > STEPS_OF_EPOCH + 1):
        time.sleep(POLL_S)
    process.kill()
    if process.wait() != -signal.SIGKILL:
        sys.exit(f"{out}: ended by itself, with status {process.returncode}, before it could be killed")
    return hash_of(trainer, out, begin(trainer, folder, out, "resume_from_checkpoint=true"))


def begin(trainer: str, folder: Path, out: Path, *words: str) -> "subprocess.Popen[bytes]":
    """Start a training by its documented command; what it says goes beside its output."""
    [config] = folder.glob("runs/*/finetune.yaml")
    command = [*BARE[trainer], str(config.relative_to(folder)), f"output_dir={out}", *words]
    with out.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=log, stderr=log)


def hash_of(trainer: str, out: Path, process: "subprocess.Popen[bytes]") -> str:
    """The beginning of the SHA-256 of the adapter that a training leaves."""
    if process.wait() != 0:
        sys.exit(f"{out}: status {process.returncode}\n{out.with_suffix('.log').read_text(encoding='utf-8')[-2000:]}")
    folder = FACES[trainer].product_dir(out, EPOCHS)
    return hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()[:16]


WAYS = (train, train, train_killed)

if __name__ == "__main__":
    with experiments_folder() as temporary:
        main(temporary, sys.argv[1] if len(sys.argv) > 1 else "fp32")
