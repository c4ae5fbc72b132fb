"""The schedule component: linear warm-up, then a cosine to 0, right after a resume too."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchtune.training.lr_schedulers import get_cosine_schedule_with_warmup


def cosine_with_warmup(optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1) -> LRScheduler:
    """torchtune's schedule, counted from the optimizer's own steps.

    torchtune 0.6.1 starts the schedule again after a resume, because its step counter does; the loaded optimizer
    state knows how many steps were taken. `last_epoch`, which the recipe passes, is therefore not used.
    """
    done = steps_taken(optimizer)
    schedule: LRScheduler = get_cosine_schedule_with_warmup(
        optimizer, num_warmup_steps=num_warmup_steps, num_training_steps=num_training_steps, last_epoch=done - 1
    )
    return schedule


def steps_taken(optimizer: Optimizer) -> int:
    """Steps that the optimizer has taken, by its state; 0 for a new one."""
    return max((int(state["step"]) for state in optimizer.state.values() if "step" in state), default=0)
