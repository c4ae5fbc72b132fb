"""Slurm, through its own commands. Nothing here knows of runs; no other module starts a command of Slurm's."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ftexp.ground.errors import UserError

WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
AT_WORK = frozenset({"RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"})
# squeue itself gives up after 9 s without a controller (22.05).
TIMEOUT_S = 30.0
SUBMIT_TRIES = 4
_RETRY_AFTER_S = 2.0
# What sbatch says when the controller is away or too busy; the job may have been taken all the same.
_PASSING = re.compile(
    r"socket timed out|unable to contact|connection refused|resource temporarily unavailable|slurm controller not responding"
    r"|communication connection failure|transport endpoint|timed out|slurm temporarily unable", re.IGNORECASE
)
# Limits on what one user may have in the queue (ESLURM_ACCOUNTING_POLICY, 2050, and MaxJobCount).
_LIMIT = re.compile(r"submit limit|MaxSubmit|QOSMaxSubmitJob|MaxJobsPerUser|accounting/QOS policy|MaxJobCount", re.IGNORECASE)
# Keys of site.yaml by what sbatch says.
_KEYS = {
    "gres": "train.gpus, eval.gpus (0 where there are none, with device: cpu)", "partition": "partition", "account": "account",
    "qos": "qos", "feature": "constraint", "memory": "train.mem_gb, eval.mem_gb", "time limit": "train.time_min, eval.time_min",
    "node configuration": "mem_gb, cpus, gpus, constraint (no node has so much)", "array": "array_max",
}
_FORMAT = "%i|%T|%r|%M|%Z|%k"


class NoAnswer(Exception):
    """Slurm could not be asked; the text says why."""


class LimitReached(Exception):
    """Slurm takes no more jobs of this user now; the text is Slurm's."""


class NotReached(UserError):
    """Slurm could not be reached; whether it took a job will show."""


@dataclass(frozen=True)
class Job:
    """A job, or one task of an array.

    Attributes:
        id: As Slurm shows it: `12`, or `12_3` for a task.
        state: Slurm's word, such as PENDING or OUT_OF_MEMORY.
        reason: Why it is in that state, in Slurm's words; empty for none.
        elapsed: As Slurm shows it, such as `1:02:03`.
        work_dir: The folder that it was submitted from.
    """

    id: str
    state: str
    reason: str = ""
    elapsed: str = ""
    work_dir: str = ""
    comment: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it waits or works."""
        return self.state in WAITING or self.state in AT_WORK


def query_jobs() -> dict[str, Job]:
    """All of this user's jobs that Slurm remembers, ended ones too, by id; array tasks one by one. One call.

    Raises:
        NoAnswer: If Slurm cannot be asked.
    """
    command = ["squeue", f"--user={os.getuid()}", "--states=all", "--array", "--noheader", f"--format={_FORMAT}"]
    jobs = [_parse(line) for line in _ask(command).splitlines() if line.count("|") >= 5]
    return {job.id: job for job in jobs}


def _parse(line: str) -> Job:
    """One line of squeue's; a folder may hold the separator, the comment comes last."""
    job_id, state, reason, elapsed, rest = line.strip().split("|", 4)
    work_dir, comment = rest.rsplit("|", 1)
    return Job(job_id, state, "" if reason == "None" else reason, elapsed, work_dir, comment)


def query_ended(ids: Iterable[str]) -> dict[str, str]:
    """What accounting says of jobs that Slurm's queue has forgotten: state by id; empty where there is no accounting."""
    wanted = sorted(set(ids))
    if not wanted or shutil.which("sacct") is None:
        return {}
    command = ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State", f"--jobs={','.join(wanted)}"]
    try:
        lines = _ask(command).splitlines()
    except NoAnswer:  # `Slurm accounting storage is disabled`: the answer is that there is none
        return {}
    pairs = [line.split("|") for line in lines if line.count("|") == 1]
    return {job: state.split()[0] for job, state in pairs if state}


def submit(command: list[str]) -> str:
    """Call sbatch (`--parsable` among the words) and return the job's id.

    Raises:
        NoAnswer: If the controller is away or too busy: the job may have been taken all the same.
        LimitReached: If the user has too many jobs already.
        UserError: If Slurm refuses the job, with Slurm's words.
    """
    result = _run(command, 2 * TIMEOUT_S)
    if result.returncode == 0:
        return result.stdout.strip().split(";")[0]
    words = result.stderr.strip() or result.stdout.strip()
    if _PASSING.search(words):
        raise NoAnswer(words)
    if _LIMIT.search(words):
        raise LimitReached(words)
    keys = [keys for sign, keys in _KEYS.items() if sign in words.lower()] or ["what a job asks for"]
    raise UserError(f"sbatch: refused the job: {words}\nCorrect site.yaml: {'; '.join(keys)} (or job.slurm.template).")


def wait_before_retry(attempt: int) -> None:
    """Sleep, longer after each attempt (from 0)."""
    time.sleep(_RETRY_AFTER_S * 2**attempt)


def cancel(ids: list[str]) -> None:
    """Cancel jobs, in few calls.

    Raises:
        UserError: If Slurm cannot be asked.
    """
    for start in range(0, len(ids), 500):
        try:
            _ask(["scancel", *ids[start : start + 500]])
        except NoAnswer as error:
            raise UserError(f"scancel: {error}. Nothing is known to be cancelled; look with: make status") from error


def requeue(job: str) -> None:
    """Ask Slurm to stop a job and queue it again.

    Raises:
        NoAnswer: If Slurm does not do so.
    """
    _ask(["scontrol", "requeue", job])


def _ask(command: list[str]) -> str:
    result = _run(command, TIMEOUT_S)
    if result.returncode != 0:
        raise NoAnswer(f"{command[0]}: {(result.stderr or result.stdout).strip()}")
    return result.stdout


def _run(command: list[str], timeout_s: float) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False, stdin=subprocess.DEVNULL,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"{command[0]} gave no answer in {timeout_s:.0f} s") from error
    except FileNotFoundError as error:
        raise _no_slurm(command[0]) from error


def _no_slurm(program: str) -> UserError:
    what = f"site.yaml: backend: is slurm, but there is no `{program}` here"
    return UserError(f"{what}. Run this on the cluster's login node, or set backend: local.")
