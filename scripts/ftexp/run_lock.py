"""One job at a time per stage of a run: a lock that the system drops when its last holder dies, however it dies."""

import fcntl
from pathlib import Path
from typing import IO

from ftexp import paths
from ftexp.errors import UserError


def _path(run: str, stage: str) -> Path:
    return Path(".scratch/locks") / f"{run}.{stage}"


def take_lock(run: str, stage: str) -> IO[str]:
    """Hold the lock while the returned file, or a copy of it in a child process, is open.

    Raises:
        UserError: If another job holds it.
    """
    path = _path(run, stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise UserError(f"{paths.RunPaths(run).dir}: another job is at its {stage} stage. Wait for it: `make wait`.") from error
    return file


def is_running(run: str, stage: str) -> bool:
    """Whether a job holds the lock."""
    path = _path(run, stage)
    if not path.is_file():
        return False
    with path.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
