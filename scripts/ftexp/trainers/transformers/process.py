"""A training by transformers in a process of its own: forked, or several that torchrun starts."""

import sys
from pathlib import Path

from ftexp.trainers.child_process import import_before_fork, run_forked

MODULE = "ftexp.trainers.transformers.train"
_PRELOADED = (MODULE, "transformers.models.auto.modeling_auto", "transformers.integrations")


def run_training(config_path: Path, overrides: list[str], *, processes: int | None) -> int:
    """Train by a config.

    Args:
        overrides: `key=value` words.
        processes: How many torchrun starts on this machine; None: one, without torchrun.

    Returns:
        The exit status; negative, the number of the signal that ended it. Of several processes it is 1, however one of them
        ended; the log says how.

    Raises:
        CodeEdited: If this process has imported other code than its job began with.
    """
    if processes is None:
        import_before_fork(_PRELOADED)
        return run_forked(_train, [str(config_path), *overrides])
    launcher = ["--standalone", "--nproc_per_node", str(processes), "-m", MODULE]  # standalone: by a free port
    return run_forked(_launch, [*launcher, str(config_path), *overrides])


def _train(words: list[str]) -> None:
    from ftexp.trainers.transformers.train import main

    main(words)


def _launch(words: list[str]) -> None:
    from torch.distributed.run import main

    sys.argv = ["torchrun", *words]
    main(words)
