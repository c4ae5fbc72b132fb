"""The process of a training: forked from one that has imported torch already, and gone when its launcher is.

Imports take longer than a short training does; a fork pays for them once. The parent computes nothing with torch, so the
child starts as a fresh process would, and gives the same bytes (a test). Where there is a GPU the child imports for itself:
CUDA cannot be used in a fork of a process that asked for it.
"""

import ctypes
import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence

from ftexp.ground.gpus import gpu_ids
from ftexp.ground.own_code import import_own_code

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


def import_before_fork(modules: Sequence[str]) -> None:
    """Import them here, where there is no GPU.

    Raises:
        CodeEdited: If this process has imported other code than its job began with.
    """
    if gpu_ids():
        return
    for name in modules:
        importlib.import_module(name)
    import_own_code()


def run_forked(target: Callable[[list[str]], None], words: list[str]) -> int:
    """Call `target` with `words` in a fork of this process.

    Returns:
        The exit status; negative, the number of the signal that ended it.
    """
    process = multiprocessing.get_context("fork").Process(target=_without_handlers, args=(target, words))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _without_handlers(target: Callable[[list[str]], None], words: list[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)  # the job's are for its parent
    target(words)


def die_with_launcher() -> None:
    """In a process that torchrun started: be killed when torchrun dies; elsewhere nothing.

    torchrun ends its processes when it is told to end, but not when it is killed: they would train on, without the
    run's lock, into the folder that the next attempt works in.

    Raises:
        OSError: If the system refuses.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
