"""The metric logger component: train.csv, one row per optimiser step, without gaps or repeats after a resume.

Where site.yaml names a project, torchtune's logger to Weights & Biases gets every step too.
"""

import csv
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torchtune.training.metric_logging import MetricLoggerInterface
from torchtune.utils import get_device, get_world_size_and_rank

from ftexp.trainers.torchtune.components.resume import finished_epochs
from ftexp.trainers.torchtune.device_file import DEVICE_FILE
from ftexp.trainers.torchtune.tracker import Tracker, open_tracker

COLUMNS = ("step", "epoch", "loss", "lr", "tokens_per_s", "peak_gb")


class CsvLogger(MetricLoggerInterface):
    """Writes `<output_dir>/train.csv`.

    Columns: step (from 1, over the whole training), epoch (from 1), loss (mean over the step's trained tokens,
    nats), lr, tokens_per_s (trained tokens per second), peak_gb (peak GPU memory in GiB; empty on a CPU).
    """

    def __init__(self, output_dir: str, steps_per_epoch: int) -> None:
        self._path = Path(output_dir) / "train.csv"
        self._steps_per_epoch = steps_per_epoch
        self._steps_before = 0
        self._offset: int | None = None
        self._file: Any = None
        self._tracker: Tracker | None = None

    def log_config(self, config: DictConfig) -> None:
        """Begin the file, or, where training resumes, keep the rows of the finished epochs."""
        kept: list[str] = []
        if config.resume_from_checkpoint:
            self._steps_before = finished_epochs(self._path.parent) * self._steps_per_epoch
            kept = self._path.read_text(encoding="utf-8").splitlines(keepends=True)[1 : self._steps_before + 1]
            if len(kept) != self._steps_before:
                raise RuntimeError(f"{self._path} has {len(kept)} of the {self._steps_before} rows of the finished epochs")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_suffix(".tmp")
        aside.write_text(",".join(COLUMNS) + "\n" + "".join(kept), encoding="utf-8")
        os.replace(aside, self._path)
        self._file = self._path.open("a", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        _write_device(self._path.with_name(DEVICE_FILE), config)
        self._tracker = open_tracker()
        if self._tracker:
            self._tracker.log_config(config)

    def log(self, name: str, data: Any, step: int) -> None:
        """One metric of a step, as `log_dict`."""
        self.log_dict({name: data}, step)

    def log_dict(self, payload: Mapping[str, Any], step: int) -> None:
        """Write the row of a step; after a resume some recipes count `step` from 1 again, and some go on."""
        if self._offset is None:
            self._offset = self._steps_before if step <= self._steps_before else 0
        total = self._offset + step
        speed = f"{float(payload['tokens_per_second_per_gpu']):.1f}" if "tokens_per_second_per_gpu" in payload else ""
        memory = payload.get("peak_memory_alloc")
        row = {
            "step": total,
            "epoch": (total - 1) // self._steps_per_epoch + 1,
            "loss": _number(payload.get("loss")),
            "lr": _number(payload.get("lr")),
            "tokens_per_s": speed,
            "peak_gb": f"{float(memory):.3f}" if memory is not None else "",
        }
        self._writer.writerow([row[name] for name in COLUMNS])
        if total % self._steps_per_epoch == 0 or time.monotonic() - getattr(self, "_flushed", 0) > 1:
            self._file.flush()
            self._flushed = time.monotonic()
        if self._tracker:
            self._tracker.log_dict(payload, total)

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._tracker:
            self._tracker.close()
            self._tracker = None


def _write_device(path: Path, config: DictConfig) -> None:
    """What this training computes on, as the recipe chose it and torch calls it; what it went on from, before that."""
    device, (processes, _) = get_device(config.device), get_world_size_and_rank()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    now = f"{processes} x {name}" if processes > 1 else name
    before = path.read_text(encoding="utf-8").strip() if config.resume_from_checkpoint and path.is_file() else now
    path.write_text((before if before.endswith(now) else f"{before}, then {now}") + "\n", encoding="utf-8")


def _number(value: Any) -> str:
    return "" if value is None else repr(float(value))
