"""The stock recipe, run as `tune run` runs it, in a process of its own forked from one that has imported torch already."""

import sys
from pathlib import Path

from ftexp.trainers.child_process import import_before_fork, run_forked
from ftexp.trainers.recipes import is_distributed

_PRELOADED = (
    "torchtune.config", "torchtune.training", "torchtune.data", "torchtune.modules.peft", "torchdata.stateful_dataloader",
    "transformers.models.auto.tokenization_auto",
    *(f"ftexp.trainers.torchtune.components.{name}" for name in ("checkpointer", "dataset", "metric_logger", "schedule")),
)


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
    else:
        import_before_fork(_PRELOADED)
    return run_forked(_tune, ["tune", "run", *launcher, recipe, "--config", str(config_path), *overrides])


def _tune(words: list[str]) -> None:
    from torchtune._cli.tune import main

    sys.argv = words
    main()
