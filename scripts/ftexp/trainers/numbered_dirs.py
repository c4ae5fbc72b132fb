"""Folders that a training writes one after another, `epoch_0`, `epoch_1`, ..., each there whole or not at all."""

import re
import shutil
from pathlib import Path


def numbered_dirs(output_dir: Path, word: str) -> dict[int, Path]:
    """The folders `<word>_<n>`, by n."""
    found = ((re.fullmatch(rf"{word}_(\d+)", path.name), path) for path in output_dir.glob(f"{word}_*"))
    return {int(match[1]): path for match, path in found if match}


def remove_before(output_dir: Path, word: str, number: int) -> None:
    """Those of smaller numbers go."""
    for own, folder in numbered_dirs(output_dir, word).items():
        if own < number:
            shutil.rmtree(folder)
