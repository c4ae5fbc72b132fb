"""What an interrupted training resumes from: one file that names the epochs that are finished."""

from pathlib import Path

from ftexp.trainers.numbered_dirs import numbered_dirs

RECIPE_STATE = Path("recipe_state/recipe_state.pt")


def epoch_dirs(output_dir: Path) -> dict[int, Path]:
    """The checkpoint folders `epoch_<n>`, by epoch, counted from 0."""
    return numbered_dirs(output_dir, "epoch")


def finished_epochs(output_dir: Path) -> int:
    """Epochs whose adapter and optimizer state are both whole; 0 where training has to start anew.

    The state file is renamed into place after everything else of its epoch is on disk, so it alone decides.
    """
    path = output_dir / RECIPE_STATE
    if not path.is_file():
        return 0
    import torch

    return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["epochs_run"])
