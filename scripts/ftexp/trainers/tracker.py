"""The W&B run of a training, beside train.csv. No number depends on it."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ftexp.trainers.tracking import REFUSED, RUN_VARIABLE

# A training that has ended does not hold its GPU for a slow upload; the rest is in logs/wandb, for `wandb sync`.
_FINISH_TIMEOUT_S = 300


class Tracker:
    """The W&B run of a training, open from now on."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        """`arguments` are those of wandb.init.

        Raises:
            SystemExit: If it cannot begin; nothing was trained yet.
        """
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_CACHE_DIR", ".scratch/wandb")  # logs of its own, otherwise in the home folder
        import wandb

        # The log stays in runs/<id>; git is asked nothing, as a remote's address or a diff may hold a secret.
        settings = {
            "console": "off", "disable_git": True, "disable_code": True, "finish_timeout": _FINISH_TIMEOUT_S,
            "symlink": False,  # a link to the config in the training's folder, which goes, would dangle
        }
        self._wandb = wandb
        self._is_lost = False
        try:
            wandb.init(**arguments, settings=settings)
            wandb.define_metric("global_step")
            wandb.define_metric("*", step_metric="global_step", step_sync=True)
        except wandb.Error as error:
            print(f"{REFUSED}: {error}", file=sys.stderr, flush=True)
            wandb.teardown(exit_code=1)
            sys.exit(1)

    def log_config(self, config: Mapping[str, Any]) -> None:
        """The training's resolved config."""
        self._try(lambda: self._wandb.config.update(dict(config)))

    def log_dict(self, payload: Mapping[str, Any], step: int) -> None:
        """The metrics of a step, from 1, over the whole training."""
        self._try(lambda: self._wandb.log({**payload, "global_step": step}))

    def close(self) -> None:
        """Finish the run, and end W&B's own process, which a forked process's end would not."""
        self._try(self._wandb.finish)
        self._try(self._wandb.teardown)

    def _try(self, action: Callable[[], object]) -> None:
        """What W&B cannot take any more does not end the training; the log says so once."""
        if self._is_lost:
            return
        try:
            action()
        except (self._wandb.Error, OSError) as error:
            self._is_lost = True
            print(f"Weights & Biases is lost from here on ({error}); train.csv has every step", file=sys.stderr, flush=True)


def open_tracker() -> Tracker | None:
    """The W&B run that the job named; None where it named none, as in a bare `tune run`."""
    arguments = os.environ.get(RUN_VARIABLE)
    return Tracker(json.loads(arguments)) if arguments else None
