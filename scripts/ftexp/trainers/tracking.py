"""Weights & Biases beside train.csv, where site.yaml names a project. No number depends on it.

The job script says project and mode. The job names the W&B run of a training (FTEXP_WANDB_RUN), and the training's process opens
it: a training that goes on after an epoch goes on in the W&B run it began.
"""

import json
import netrc
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from ftexp.ground import paths
from ftexp.ground.own_job import own_job

if TYPE_CHECKING:
    from ftexp.design.run import Run

_KEYS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
_NO_KEY = "is set and offline is false, but there is no key to Weights & Biases"
_CURE = "Put WANDB_API_KEY=<key> into .env, or set offline: true, or wandb_project: null"
# How the job tells the training that it starts which W&B run it is.
RUN_VARIABLE = "FTEXP_WANDB_RUN"
# What torchtune's log shows where a W&B run could not begin; `diagnosis` looks for it.
REFUSED = "Weights & Biases could not begin the run"


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


def name_wandb_run(run: "Run", scratch: Path, *, is_resumed: bool) -> None:
    """Say to the training that this process starts next which W&B run it is; nothing where no project is named.

    Args:
        scratch: The training's folder, which lasts until it is done; the W&B run's id is kept there.
    """
    os.environ.pop(RUN_VARIABLE, None)
    job = own_job()
    if job.wandb_project is None:
        return
    path = scratch / "wandb-id"
    if not (is_resumed and path.is_file()):
        path.write_text(secrets.token_hex(8), encoding="ascii")
    mode = job.wandb_mode
    os.environ[RUN_VARIABLE] = json.dumps({
        "project": job.wandb_project, "mode": mode, "group": run.experiment, "name": run.id,
        "id": path.read_text(encoding="ascii"), "dir": str(paths.LOGS_DIR),
        **({"resume": "allow"} if mode == "online" else {}),  # offline, `wandb sync` joins what has one id
    })
