"""A Slurm job that is told to stop: warned before the end of its walltime (SIGUSR1), cancelled or preempted (SIGTERM)."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ftexp.ground.own_job import own_job

_PATIENCE_S = 5.0


@contextmanager
def when_told_to_stop(stop: Callable[[bool], int]) -> Iterator[None]:
    """In a Slurm job, end this process and its children by `stop(is_warning)`, whose result is the exit status.

    What is being computed is not unwound: everything is written aside and renamed, so that it may end anywhere.
    """
    if own_job().id is None:
        yield
        return

    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked child, for whom this is not meant
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        _end_children()
        os._exit(stop(number == signal.SIGUSR1))

    before = {number: signal.signal(number, handle) for number in (signal.SIGUSR1, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_children() -> None:
    for child in multiprocessing.active_children():
        child.terminate()
        child.join(_PATIENCE_S)
        child.kill()
