"""The stock recipe, run as `tune run` runs it, in a process of its own forked from one that has imported torch already.

Imports take longer than a short training does; a fork pays for them once. The parent computes nothing with torch, so the
child starts as a fresh process would, and gives the same bytes (a test). Where there is a GPU the child imports for itself:
importing torchtune 0.6.1 asks CUDA for the device's capability, and CUDA cannot be used in a fork of a process that did so.
"""

import ctypes
import importlib
import multiprocessing
import os
import signal
import sys
from pathlib import Path

from ftexp.ground.gpus import gpu_ids
from ftexp.ground.own_code import import_own_code
from ftexp.trainers.torchtune.recipes import is_distributed

_PRELOADED = (
    "torchtune.config", "torchtune.training", "torchtune.data", "torchtune.modules.peft", "torchdata.stateful_dataloader",
    "transformers.models.auto.tokenization_auto",
    *(f"ftexp.trainers.torchtune.components.{name}" for name in ("checkpointer", "dataset", "metric_logger", "schedule")),
)

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


def run_recipe(recipe: str, config_path: Path, overrides: list[str], *, processes: int = 1) -> int:
    """Run a recipe of torchtune on a config.

    Args:
        overrides: `key=value` words, as on the command line of `tune run`.
        processes: Processes that a distributed recipe starts on this machine.

    Returns:
        The exit status; negative, the number of the signal that ended it. Of a distributed recipe it is 1, however
        one of its processes ended; the log says how.

    Raises:
        CodeEdited: If this process has imported other code than its job began with.
    """
    launcher = []
    if is_distributed(recipe):
        # Started by torchrun, even a single process, each with imports of its own. Without an endpoint `tune run` finds a
        # free port, so that trainings on one machine do not meet.
        launcher = ["--nproc_per_node", str(processes)]
    elif not gpu_ids():
        for name in _PRELOADED:
            importlib.import_module(name)
        import_own_code()
    words = ["tune", "run", *launcher, recipe, "--config", str(config_path), *overrides]
    process = multiprocessing.get_context("fork").Process(target=_tune, args=(words,))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


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


def _tune(words: list[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)  # the job's are for its parent
    from torchtune._cli.tune import main

    sys.argv = words
    main()
