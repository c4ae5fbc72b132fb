"""What a training leaves of each epoch: what it goes on from, and what is published. A folder is there whole or not at all."""

import os
import shutil
from pathlib import Path

from ftexp.trainers.numbered_dirs import numbered_dirs
from ftexp.trainers.validation_csv import VALIDATION_CSV, read_looks

# In an epoch's folder: what is published, in Hugging Face layout; the numbers that are trained, to go on from.
PRODUCT, TRAINED = "product", "trained.safetensors"
# Where one is written.
UNFINISHED = "unfinished"


def epoch_dirs(output_dir: Path) -> dict[int, Path]:
    """The folders `epoch_<n>`, by epoch, from 1."""
    return numbered_dirs(output_dir, "epoch")


def best_dirs(output_dir: Path) -> dict[int, Path]:
    """The folders `step_<n>` of steps that validation found worth keeping, by step, from 1."""
    return numbered_dirs(output_dir, "step")


def kept_product(output_dir: Path, epochs: int) -> Path:
    """What a training of so many epochs that has ended keeps: the step that validation.csv names, else the last epoch's."""
    kept = next((look.step for look in read_looks(output_dir / VALIDATION_CSV) if look.kept), None)
    folder = epoch_dirs(output_dir)[epochs] if kept is None else best_dirs(output_dir)[kept]
    return folder / PRODUCT


def finished_epochs(output_dir: Path) -> int:
    """Epochs after which training can go on; 0 where it has to start anew."""
    return max((epoch for epoch, folder in epoch_dirs(output_dir).items() if (folder / TRAINED).is_file()), default=0)


def aside(output_dir: Path) -> Path:
    """An empty folder in which an epoch is written."""
    folder = output_dir / UNFINISHED
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def put_in_place(folder: Path, name: str) -> None:
    """Rename what was written aside: to `epoch_<n>` or `step_<n>`."""
    target = folder.with_name(name)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(folder, target)
