"""train.csv's rows of a training by transformers: what each optimiser step cost, and how fast it was."""

import time
from typing import TYPE_CHECKING, Any

import torch
import transformers

from ftexp.trainers.train_csv import TrainCsv

if TYPE_CHECKING:
    from ftexp.trainers.transformers.training import RowTrainer


class StepLog(transformers.TrainerCallback):
    """Sums up the loss of a step over its batches and processes, and writes its row."""

    def __init__(self, trainer: "RowTrainer", file: TrainCsv | None) -> None:
        """`file` is None in all processes but the one that writes."""
        self._trainer, self._file = trainer, file
        self._loss: Any = 0.0
        self._tokens: Any = 0
        self._began = time.monotonic()

    def add(self, loss: torch.Tensor, tokens: Any) -> None:
        """The share of a batch in the step's mean loss, and the trained tokens of the whole step."""
        self._loss, self._tokens = self._loss + loss, tokens

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write the row; the rate is that of the next step, as torchtune's recipes log it."""
        loss: Any = self._trainer.accelerator.reduce(self._loss, "mean")
        now, tokens = time.monotonic(), float(self._tokens)
        payload = {
            "loss": float(loss), "lr": self._rate(), "tokens_per_second_per_gpu": tokens / (now - self._began) / args.world_size,
        }
        if args.device.type == "cuda":
            payload["peak_memory_alloc"] = torch.cuda.max_memory_allocated(args.device) / 2**30
        self._loss, self._began = 0.0, now
        if self._file is not None:
            self._file.write(state.global_step, payload)

    def _rate(self) -> float:
        optimizer: Any = self._trainer.optimizer
        return float(optimizer.param_groups[0]["lr"])
