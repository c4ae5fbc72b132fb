"""The loss of a training, step by step, from its train.csv."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ftexp.ground import paths


@dataclass(frozen=True)
class Loss:
    """One optimiser step of a training: step and epoch count from 1, loss in nats per trained token."""

    step: int
    epoch: int
    loss: float


def read_losses(run: str) -> tuple[Loss, ...]:
    """train.csv of a run; steps without a loss are left out."""
    with paths.RunPaths(run).train_csv.open(encoding="utf-8", newline="") as file:
        return tuple(Loss(int(r["step"]), int(r["epoch"]), float(r["loss"])) for r in csv.DictReader(file) if r["loss"])


def last_epoch_loss(losses: Sequence[Loss]) -> float | None:
    """Mean loss over the steps of the last epoch."""
    last = [loss.loss for loss in losses if loss.epoch == losses[-1].epoch]
    return math.fsum(last) / len(last) if last else None
