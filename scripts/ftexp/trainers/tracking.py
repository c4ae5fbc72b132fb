"""Weights & Biases beside train.csv, by torchtune's own logger, where site.yaml names a project. No number depends on it.

The job script says project and mode (FTEXP_WANDB_PROJECT, FTEXP_WANDB_MODE). The job names the W&B run of a training
(FTEXP_WANDB_RUN), and the training's process opens it: a training that goes on after an epoch goes on in the W&B run it began.
"""

import json
import netrc
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from ftexp.ground import paths
from ftexp.jobs.site import Site

_KEYS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
_NO_KEY = "is set and offline is false, but there is no key to Weights & Biases"
_CURE = "Put WANDB_API_KEY=<key> into .env, or set offline: true, or wandb_project: null"
# What torchtune's log shows where a W&B run could not begin; `diagnosis` looks for it.
REFUSED = "Weights & Biases could not begin the run"
# A training that has ended does not hold its GPU for a slow upload; the rest is in logs/wandb, for `wandb sync`.
_FINISH_TIMEOUT_S = 300


def missing_key(environment: Mapping[str, str]) -> str | None:
    """What to say where trainings are to be logged online and no key is known, neither in `environment` nor in ~/.netrc."""
    if any(environment.get(name) for name in _KEYS):
        return None
    path = Path(environment.get("NETRC") or Path.home() / ".netrc")
    try:
        host = urlparse(environment.get("WANDB_BASE_URL", "")).hostname or "api.wandb.ai"
        is_known = path.is_file() and netrc.netrc(path).authenticators(host) is not None
    except (netrc.NetrcParseError, OSError, ValueError):
        is_known = False
    return None if is_known else f"site.yaml: wandb_project: {_NO_KEY}. {_CURE}"


def check_tracking(site: Site, environment: Mapping[str, str]) -> list[str]:
    """The same of a site, as a warning: jobs may run elsewhere."""
    missing = missing_key(environment) if site.wandb_project and not site.offline else None
    return [missing] if missing else []


def name_wandb_run(run: dict[str, Any], scratch: Path, *, is_resumed: bool) -> None:
    """Say to the training that this process starts next which W&B run it is; nothing where no project is named.

    Args:
        scratch: The training's folder, which lasts until it is done; the W&B run's id is kept there.
    """
    os.environ.pop("FTEXP_WANDB_RUN", None)
    if "FTEXP_WANDB_PROJECT" not in os.environ:
        return
    path = scratch / "wandb-id"
    if not (is_resumed and path.is_file()):
        path.write_text(secrets.token_hex(8), encoding="ascii")
    mode = os.environ["FTEXP_WANDB_MODE"]
    os.environ["FTEXP_WANDB_RUN"] = json.dumps({
        "project": os.environ["FTEXP_WANDB_PROJECT"], "mode": mode, "group": run["experiment"], "name": run["run"],
        "id": path.read_text(encoding="ascii"), "dir": str(paths.LOGS_DIR),
        **({"resume": "allow"} if mode == "online" else {}),  # offline, `wandb sync` joins what has one id
    })


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
        from torchtune.training.metric_logging import WandBLogger

        # The log stays in runs/<id>; git is asked nothing, as a remote's address or a diff may hold a secret.
        settings = {
            "console": "off", "disable_git": True, "disable_code": True, "finish_timeout": _FINISH_TIMEOUT_S,
            "symlink": False,  # a link to the config in the training's folder, which goes, would dangle
        }
        self._wandb = wandb
        self._is_lost = False
        try:
            self._logger = WandBLogger(**arguments, settings=settings, log_dir=None)
        except wandb.Error as error:
            print(f"{REFUSED}: {error}", file=sys.stderr, flush=True)
            wandb.teardown(exit_code=1)
            sys.exit(1)

    def log_config(self, config: Any) -> None:
        """The training's resolved config."""
        self._try(lambda: self._logger.log_config(config))

    def log_dict(self, payload: Mapping[str, Any], step: int) -> None:
        """The metrics of a step, from 1, over the whole training."""
        self._try(lambda: self._logger.log_dict(payload, step))

    def close(self) -> None:
        """Finish the run, and end W&B's own process, which a forked process's end would not."""
        self._try(self._logger.close)
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
    arguments = os.environ.get("FTEXP_WANDB_RUN")
    return Tracker(json.loads(arguments)) if arguments else None
