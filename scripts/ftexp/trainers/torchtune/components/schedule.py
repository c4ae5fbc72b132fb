"""The schedule components: linear warm-up, then a cosine or a line to 0, or the rate as it is; right after a resume too.

torchtune 0.6.1 starts a schedule again after a resume, because its step counter does; the loaded optimizer state knows how many
steps were taken. `last_epoch`, which the recipe passes, is therefore not used.
"""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torchtune.training.lr_schedulers import get_cosine_schedule_with_warmup

from ftexp.trainers.torchtune.components.effect import WATCH

_APART = 1_000_003  # between the seeds of two steps, more than between those of two processes


def cosine_with_warmup(optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1) -> LRScheduler:
    """After the warm-up half a cosine to 0: torchtune's schedule, counted from the optimizer's own steps."""
    done = _begin(optimizer, num_training_steps)
    schedule: LRScheduler = get_cosine_schedule_with_warmup(
        optimizer, num_warmup_steps=num_warmup_steps, num_training_steps=num_training_steps, last_epoch=done - 1
    )
    return schedule


def linear_with_warmup(optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1) -> LRScheduler:
    """After the warm-up a line to 0, as transformers' `linear`."""
    left = max(1, num_training_steps - num_warmup_steps)
    done = _begin(optimizer, num_training_steps)
    return _with_warmup(optimizer, num_warmup_steps, done, lambda step: max(0.0, (num_training_steps - step) / left))


def constant_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LRScheduler:
    """After the warm-up the rate as it is, as transformers' `constant_with_warmup`."""
    done = _begin(optimizer, num_training_steps)
    return _with_warmup(optimizer, num_warmup_steps, done, lambda step: 1.0)


def _with_warmup(optimizer: Optimizer, num_warmup_steps: int, done: int, after: Callable[[int], float]) -> LRScheduler:
    """The share of the rate at each step: from 0 by equal parts, and from the end of the warm-up by `after`."""

    def share(step: int) -> float:
        return step / num_warmup_steps if step < num_warmup_steps else after(step)

    return LambdaLR(optimizer, share, done - 1)


def _begin(optimizer: Optimizer, num_training_steps: int) -> int:
    """The steps that are taken already; what has to be done with each further one, and with the last, is begun."""
    done = steps_taken(optimizer)
    WATCH.begin(optimizer, num_training_steps - done)
    _draw_by_step(optimizer, done)
    return done


def _draw_by_step(optimizer: Optimizer, done: int) -> None:
    """What a step draws, for dropout, follows from the process's seed and the step: torchtune 0.6.1 resumes no generator."""
    seed, step = torch.initial_seed(), itertools.count(done)

    def draw_anew(*_: Any) -> None:
        torch.manual_seed((seed + _APART * next(step)) % 2**63)

    draw_anew()
    optimizer.register_step_post_hook(draw_anew)


def steps_taken(optimizer: Optimizer) -> int:
    """Steps that the optimizer has taken, by its state; 0 for a new one."""
    return max((int(state["step"]) for state in optimizer.state.values() if "step" in state), default=0)
