"""Claims: who has taken a stage of a run to Slurm, so that nothing is submitted twice. They live in .scratch/.

A claim names the submission, the task in it, and the hash of the inputs as they were; it is created exclusively before sbatch is
called. A submission is one call of sbatch: its list (task, run, input hash; never changed), its script, and, once Slurm has
answered, a record with the job's id.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftexp.ground import paths
from ftexp.ground.filesystem import read_json, read_mapping, write_json
from ftexp.state.run_lock import lock_file

# A claim of another host without a job is believed for so long; no submission takes half of it.
UNANSWERED_S = 600.0


@dataclass(frozen=True)
class Claim:
    """A stage of a run, taken to Slurm.

    Attributes:
        input_hash: `Work.submission_hash` at the time.
        claimed: Seconds since 1970.
    """

    run: str
    stage: str
    submission: str
    task: int
    input_hash: str
    host: str
    pid: int
    claimed: float

    def is_being_submitted(self, *, holds_lock: bool) -> bool:
        """Whether the process that made it may still be about to call sbatch; on this host not while we hold the lock."""
        if self.host != socket.gethostname():
            return 0 <= time.time() - self.claimed < UNANSWERED_S
        return not holds_lock and Path(f"/proc/{self.pid}").is_dir()


@contextmanager
def submission_lock() -> Iterator[None]:
    """One `make submit` or `make eval` at a time in an experiment; the next one waits."""
    paths.SUBMISSIONS_DIR.mkdir(parents=True, exist_ok=True)
    with (paths.SUBMISSIONS_DIR / "lock").open("w") as file:
        lock_file(file, fcntl.LOCK_EX)
        yield


def read_claim(run: str, stage: str) -> Claim | None:
    """The claim on a stage of a run; None where there is none, or it is not whole."""
    try:
        return Claim(**read_json(paths.RunPaths(run).claim(stage)))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def take(run: str, stage: str, *, submission: str, task: int, input_hash: str) -> bool:
    """Claim a stage of a run, exclusively; return whether it was free."""
    claim = Claim(run, stage, submission, task, input_hash, socket.gethostname(), os.getpid(), round(time.time(), 1))
    path = paths.RunPaths(run).claim(stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    aside.write_text(json.dumps(asdict(claim)), encoding="utf-8")
    try:
        os.link(aside, path)  # unlike a rename, refuses where there is one; unlike an exclusive open, is never half written
    except FileExistsError:
        return False
    finally:
        aside.unlink()
    return True


def release(run: str, stage: str) -> None:
    """Give a stage of a run free."""
    paths.RunPaths(run).claim(stage).unlink(missing_ok=True)


def record_job(submission: str, **facts: Any) -> None:
    """Remember what Slurm answered to a submission (`job_id`)."""
    write_json(submission_path(submission, "json"), facts)


def job_id_of(submission: str) -> str | None:
    """The id that Slurm gave to a submission; None where that is not recorded."""
    record = read_mapping(submission_path(submission, "json"), ("job_id",))
    return str(record["job_id"]) if record else None


def submission_path(submission: str, kind: str) -> Path:
    """A file of a submission: its `list`, its `sh`, its `json`."""
    return paths.SUBMISSIONS_DIR / f"{submission}.{kind}"
