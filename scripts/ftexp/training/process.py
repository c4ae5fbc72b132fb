"""The stock recipe, run as `tune run` runs it, in a process of its own forked from one that has imported torch already.

Imports take longer than a short training does; a fork pays for them once. The parent computes nothing with torch, so the
child starts as a fresh process would, and gives the same bytes (a test).
"""

import importlib
import multiprocessing
import sys
from pathlib import Path

_PRELOADED = (
    "torchtune.config", "torchtune.training", "torchtune.data", "torchtune.modules.peft", "torchdata.stateful_dataloader",
    "transformers.models.auto.tokenization_auto", "ftexp.training.checkpointer", "ftexp.training.dataset",
    "ftexp.training.metric_logger", "ftexp.training.schedule",
)


def run_recipe(recipe: str, config_path: Path, overrides: list[str], *, processes: int = 1) -> int:
    """Run a recipe of torchtune on a config.

    Args:
        overrides: `key=value` words, as on the command line of `tune run`.
        processes: Processes that a distributed recipe starts on this machine.

    Returns:
        The exit status; negative, the number of the signal that ended it.
    """
    for name in _PRELOADED:
        importlib.import_module(name)
    words = ["tune", "run", recipe, "--config", str(config_path), *overrides]
    process = multiprocessing.get_context("fork").Process(target=_tune, args=(words,))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _tune(words: list[str]) -> None:
    from torchtune._cli.tune import main

    sys.argv = words
    main()
