"""The one model that a process holds: loaded once for all that ask the same weights, and gone before another is loaded."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

from ftexp.evaluation.tuned_model import chosen_device, load_model
from ftexp.ground.errors import UserError
from ftexp.models.loading import Classifier

_File = tuple[str, int, int, int]  # path, inode, size, time of writing in ns


@dataclass(frozen=True)
class Weights:
    """Which model: what it is loaded from and how.

    Attributes:
        base_dir: The base model's folder.
        checkpoint_dir: A PEFT adapter, or whole weights; None for the base itself.
        dtype: A key of `tuned_model.DTYPES`.
        is_quantized: Whether the base was quantised in training.
        classifier: What it chooses from, where it writes no text.
    """

    base_dir: Path
    checkpoint_dir: Path | None
    dtype: str
    is_quantized: bool = False
    classifier: Classifier | None = None

    def files(self) -> tuple[_File, ...]:
        """What lies in both folders now, so that a checkpoint that was trained again is another one."""
        folders = [folder for folder in (self.base_dir, self.checkpoint_dir) if folder is not None and folder.is_dir()]
        paths = sorted(path for folder in folders for path in folder.iterdir() if path.is_file())
        return tuple((str(path), (its := path.stat()).st_ino, its.st_size, its.st_mtime_ns) for path in paths)


class LoadedModel:
    """A model for one user at a time."""

    def __init__(self) -> None:
        """Hold none."""
        self._lock = threading.Lock()
        self._held: tuple[Weights, tuple[_File, ...], PreTrainedModel] | None = None

    @contextmanager
    def use(self, weights: Weights, files: tuple[_File, ...]) -> Iterator[PreTrainedModel]:
        """The model, for this thread alone; it waits where another has it.

        Args:
            files: What `weights.files()` were when the user first asked for them.

        Raises:
            UserError: If the model cannot be loaded, or its files were written anew meanwhile.
        """
        with self._lock:
            if self._held is None or self._held[:2] != (weights, files):
                self._held = None
                gc.collect()
                torch.cuda.empty_cache()
                self._held = (weights, files, _load(weights, files))
            yield self._held[2]


def _load(weights: Weights, files: tuple[_File, ...]) -> PreTrainedModel:
    if weights.files() != files:
        where = weights.checkpoint_dir or weights.base_dir
        raise UserError(f"{where}: the model's files were written anew while it was evaluated. Run the evaluation again.")
    return load_model(
        weights.base_dir, weights.checkpoint_dir, weights.dtype, chosen_device(), quantize_base=weights.is_quantized,
        classifier=weights.classifier,
    )
