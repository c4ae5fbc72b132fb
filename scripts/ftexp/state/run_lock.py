"""One job at a time per stage of a run: a lock that the system drops when its last holder dies, however it dies."""

import errno
import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ftexp.ground import paths
from ftexp.ground.errors import UserError


def _path(run: str, stage: str) -> Path:
    return paths.LOCKS_DIR / f"{run}.{stage}"


def take_lock(run: str, stage: str) -> IO[str]:
    """Hold the lock while the returned file, or a copy of it in a child process, is open.

    Raises:
        UserError: If another job holds it.
    """
    path = _path(run, stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        lock_file(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise UserError(f"{paths.RunPaths(run).dir}: another job is at its {stage} stage. Wait for it: `make wait`.") from error
    return file


@contextmanager
def only_one_make(work: str) -> Iterator[None]:
    """One process of an experiment at a time does this work (`stamp`, `train`, `dvc` and so on); the next says so and waits."""
    path = paths.LOCKS_DIR / f"make.{work}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:  # leaves the time of the file alone
        try:
            lock_file(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another make is at work here ({work}); waiting until it has ended", file=sys.stderr, flush=True)
            lock_file(file, fcntl.LOCK_EX)
        yield


def is_running(run: str, stage: str) -> bool:
    """Whether a job holds the lock."""
    path = _path(run, stage)
    if not path.is_file():
        return False
    with path.open("r") as file:
        try:
            lock_file(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def lock_file(file: IO[str], operation: int) -> None:
    """`flock`, on a file system that has locks; on one that has none (Lustre mounted so), on with a word about it.

    Raises:
        BlockingIOError: If another process holds it, and `operation` does not wait.
    """
    try:
        fcntl.flock(file, operation)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        print(f"{file.name}: this file system has no locks; do not run two commands at once here", file=sys.stderr)
