"""The metric logger component: train.csv, as every trainer writes it, and what the training computes on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torchtune.training.metric_logging import MetricLoggerInterface
from torchtune.utils import get_device, get_world_size_and_rank

from ftexp.trainers.device_file import write_device
from ftexp.trainers.torchtune.components.effect import WATCH
from ftexp.trainers.torchtune.components.resume import finished_epochs
from ftexp.trainers.train_csv import NO_EFFECT, Rows, TrainCsv


class CsvLogger(MetricLoggerInterface):
    """Writes `<output_dir>/train.csv`: see `TrainCsv`."""

    def __init__(self, output_dir: str, steps_per_epoch: int) -> None:
        self._folder = Path(output_dir)
        self._steps_per_epoch = steps_per_epoch
        self._offset: int | None = None
        self._file: TrainCsv | None = None

    def log_config(self, config: DictConfig) -> None:
        """Begin the file, or, where training resumes, keep the rows of the finished epochs."""
        finished = finished_epochs(self._folder) if config.resume_from_checkpoint else 0
        processes, _ = get_world_size_and_rank()
        effective = config.batch_size * config.gradient_accumulation_steps * processes
        rows = Rows(config.dataset.file, config.dataset.rows, config.dataset.seed, effective)
        resolved: Any = OmegaConf.to_container(config, resolve=True)
        self._file = TrainCsv(self._folder, self._steps_per_epoch, finished, rows, resolved)
        device = get_device(config.device)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        write_device(self._folder, name, processes, is_resumed=config.resume_from_checkpoint)

    def log(self, name: str, data: Any, step: int) -> None:
        """One metric of a step, as `log_dict`."""
        self.log_dict({name: data}, step)

    def log_dict(self, payload: Mapping[str, Any], step: int) -> None:
        """Write the row of a step; after a resume some recipes count `step` from 1 again, and some go on.

        Raises:
            TrainingFailed: If nothing is learned from its loss, or the adapter does nothing after the last step.
        """
        assert self._file is not None
        if self._offset is None:
            self._offset = self._file.steps_before if step <= self._file.steps_before else 0
        self._file.write(self._offset + step, payload)
        if WATCH.found_none:
            self._file.fail(NO_EFFECT)

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
