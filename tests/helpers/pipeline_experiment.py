"""The runs of the pipeline's experiment, and copies of its folder."""

import shutil
from pathlib import Path

RUNS = ("r2_s1", "r4_s1")


def copy_into(folder: Path, root: Path) -> Path:
    return Path(shutil.copytree(folder, root / folder.name, symlinks=True))
