"""What a training leaves of each epoch: what it goes on from, and what is published. A folder is there whole or not at all."""

import os
import re
import shutil
from pathlib import Path

# In an epoch's folder: what is published, in Hugging Face layout; the numbers that are trained, to go on from.
PRODUCT, TRAINED = "product", "trained.safetensors"


def epoch_dirs(output_dir: Path) -> dict[int, Path]:
    """The folders `epoch_<n>`, by epoch, from 1."""
    found = {}
    for path in output_dir.glob("epoch_*"):
        match = re.fullmatch(r"epoch_(\d+)", path.name)
        if match:
            found[int(match[1])] = path
    return found


def finished_epochs(output_dir: Path) -> int:
    """Epochs after which training can go on; 0 where it has to start anew."""
    return max((epoch for epoch, folder in epoch_dirs(output_dir).items() if (folder / TRAINED).is_file()), default=0)


def aside(output_dir: Path) -> Path:
    """An empty folder in which an epoch is written."""
    folder = output_dir / "unfinished"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def put_in_place(folder: Path, epoch: int) -> None:
    """Rename what was written aside to the epoch's folder; those before it go."""
    target = folder.parent / f"epoch_{epoch}"
    shutil.rmtree(target, ignore_errors=True)
    os.replace(folder, target)
    for number, other in epoch_dirs(folder.parent).items():
        if number < epoch:
            shutil.rmtree(other)
