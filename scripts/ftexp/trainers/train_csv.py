"""train.csv: a row per optimiser step, without gaps or repeats after a resume; and steps that are no training any more.

Whoever trains writes it by this. Where site.yaml names a project, Weights & Biases gets every step too.
"""

import csv
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftexp.ground.wording import first_of
from ftexp.trainers.prompted_rows import rows_of_step
from ftexp.trainers.tracker import Tracker, open_tracker

COLUMNS = ("step", "epoch", "loss", "lr", "tokens_per_s", "peak_gb")
# Where a training says why it ended itself, in its own folder.
FAILURE_FILE = "failure.txt"
NO_EFFECT = "the adapter changes no logit of the base: the training did nothing. Raise lr, or train longer"


class TrainingFailed(Exception):
    """A step after which training on is of no use; the text says which, with its rows."""


@dataclass(frozen=True)
class Rows:
    """Which rows a training takes when: their number, the seed, and how many a step takes; the file for messages."""

    file: str
    rows: int
    seed: int
    effective_batch: int

    def of_step(self, step: int) -> str:
        """The rows of a step, from 1, in words."""
        found = rows_of_step(self.rows, self.seed, step, self.effective_batch)
        return f"rows {first_of([str(row + 1) for row in found], 16)} of {self.file}"


class TrainCsv:
    """The open file.

    Columns: step (from 1, over the whole training), epoch (from 1), loss (mean over the step's trained tokens,
    nats), lr, tokens_per_s (trained tokens per second), peak_gb (peak GPU memory in GiB; empty on a CPU).
    """

    def __init__(self, folder: Path, steps_per_epoch: int, finished_epochs: int, rows: Rows, config: Mapping[str, Any]) -> None:
        """Begin the file, or, where training resumes, keep the rows of the finished epochs.

        Args:
            config: The training's, for Weights & Biases.

        Raises:
            RuntimeError: If rows of a finished epoch are not there.
        """
        self.steps_before = finished_epochs * steps_per_epoch
        self._steps_per_epoch, self._folder, self._rows = steps_per_epoch, folder, rows
        path = folder / "train.csv"
        kept: list[str] = []
        if finished_epochs:
            kept = path.read_text(encoding="utf-8").splitlines(keepends=True)[1 : self.steps_before + 1]
            if len(kept) != self.steps_before:
                raise RuntimeError(f"{path} has {len(kept)} of the {self.steps_before} rows of the finished epochs")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FAILURE_FILE).unlink(missing_ok=True)
        aside = path.with_suffix(".tmp")
        aside.write_text(",".join(COLUMNS) + "\n" + "".join(kept), encoding="utf-8")
        os.replace(aside, path)
        self._file = path.open("a", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._flushed = 0.0
        self._tracker: Tracker | None = open_tracker()
        if self._tracker:
            self._tracker.log_config(config)

    def write(self, step: int, payload: Mapping[str, Any]) -> None:
        """The row of a step, counted over the whole training.

        Args:
            payload: loss, lr, and where they are known tokens_per_second_per_gpu and peak_memory_alloc.

        Raises:
            TrainingFailed: If its loss is not finite, or 0: of no token, or of answers that the model was given.
        """
        memory, speed = payload.get("peak_memory_alloc"), payload.get("tokens_per_second_per_gpu")
        row = {
            "step": step,
            "epoch": (step - 1) // self._steps_per_epoch + 1,
            "loss": _number(payload.get("loss")),
            "lr": _number(payload.get("lr")),
            "tokens_per_s": f"{float(speed):.1f}" if speed is not None else "",
            "peak_gb": f"{float(memory):.3f}" if memory is not None else "",
        }
        self._writer.writerow([row[name] for name in COLUMNS])
        if step % self._steps_per_epoch == 0 or time.monotonic() - self._flushed > 1:
            self._file.flush()
            self._flushed = time.monotonic()
        if self._tracker:
            self._tracker.log_dict(payload, step)
        loss = float(payload["loss"])
        if not math.isfinite(loss) or loss == 0:
            self.fail(f"step {step}: the loss is {loss:g}, and nothing is learned from it, on {self._rows.of_step(step)}")

    def fail(self, why: str) -> None:
        """End the training.

        Raises:
            TrainingFailed: Always.
        """
        self.close()
        (self._folder / FAILURE_FILE).write_text(why + "\n", encoding="utf-8")
        raise TrainingFailed(why)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
        if self._tracker:
            self._tracker.close()
            self._tracker = None


def failure_of(folder: Path) -> str | None:
    """Why a training ended itself; None where it did not."""
    path = folder / FAILURE_FILE
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def _number(value: Any) -> str:
    return "" if value is None else repr(float(value))
