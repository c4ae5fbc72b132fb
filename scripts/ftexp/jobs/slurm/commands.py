"""Slurm, through its own commands. Nothing here knows of runs; no other module starts a command of Slurm's."""

import datetime
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ftexp.ground.errors import UserError
from ftexp.ground.own_job import environment_of_another_job

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
    "gres": "train.gpus, eval.gpus (0 where there are none, with device: cpu), gpus_as",
    "gpus-per": "gpus_as", "partition": "partition", "account": "account",
    "qos": "qos", "feature": "constraint", "memory": "train.mem_gb, eval.mem_gb", "time limit": "train.time_min, eval.time_min",
    "node configuration": "mem_gb, cpus, gpus, constraint (no node has so much)", "array": "array_max",
}
_FORMAT = "%i|%T|%r|%M|%Z|%k|%V|%N"
_ID = r"\d+(?:_(?:\d+|\[[\d,:%-]+\]))?(?:\+\d+)?"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
# A site's own squeue or sbatch prints more than Slurm's: what is not of this form is no job. A folder may hold the separator.
_HEAD = rf"(?P<id>{_ID})\|(?P<state>[A-Z_]+)\|(?P<reason>[^|]*)\|(?P<elapsed>[^|]*)\|(?P<dir>.*)\|(?P<comment>[^|]*)"
_LINES = (re.compile(rf"{_HEAD}\|(?P<submitted>{_TIME}|N/A|Unknown)\|(?P<nodes>[^|]*)"), re.compile(_HEAD))
_MORE = rf"(?P<code>\d+:\d+)\|(?P<submitted>{_TIME}|N/A|Unknown)\|(?P<nodes>[^|]*)\|(?P<dir>.*)"
_ENDED = re.compile(rf"(?P<id>{_ID})\|(?P<state>[A-Z_]+)(?: [^|]*)?(?:\|{_MORE})?")
_SUBMITTED = re.compile(r"(?:submitted batch job )?(\d+)(?:;[\w.-]+)?(?: on cluster [\w.-]+)?", re.IGNORECASE)
# Slurm's reasons where a node could not begin a job (no such folder, no room for its log, a failed prolog), by squeue or sacct.
_LAUNCH = re.compile(r"launch[ _]?fail|RaisedSignal:53\b|^0:53$", re.IGNORECASE)
_NODE = re.compile(r" BatchHost=([\w.-]+)| NodeList=([\w.-]+)")
# What our calls ask for decides; these of a person's shell would hide jobs, or change how times are written.
_ASIDE = ("SQUEUE_", "SCANCEL_", "SACCT_", "SCONTROL_", "SLURM_TIME_FORMAT")


class NoAnswer(Exception):
    """Slurm could not be asked, or its answer not be read; the text says why."""


class NoJobNamed(NoAnswer):
    """sbatch took a job, and did not say plainly which; `likely` is the last number that it printed, or empty."""

    def __init__(self, text: str, likely: str) -> None:
        super().__init__(text)
        self.likely = likely


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
        submitted: When it was submitted, or requeued, in seconds since 1970; None where Slurm does not say.
        nodes: Where it runs or ran, as Slurm shows it.
    """

    id: str
    state: str
    reason: str = ""
    elapsed: str = ""
    work_dir: str = ""
    comment: str = ""
    submitted: float | None = None
    nodes: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it waits or works."""
        return self.state in WAITING or self.state in AT_WORK

    @property
    def could_not_start(self) -> bool:
        """Whether a node failed to begin it: it has ended so, or Slurm holds it back for somebody to look."""
        return self.state in WAITING | {"FAILED", "NODE_FAIL"} and _LAUNCH.search(self.reason) is not None


def query_jobs() -> dict[str, Job]:
    """All of this user's jobs that Slurm remembers, ended ones too, by id; array tasks one by one. One call.

    Raises:
        NoAnswer: If Slurm cannot be asked.
    """
    command = ["squeue", f"--user={os.getuid()}", "--states=all", "--array", "--noheader", f"--format={_FORMAT}"]
    jobs = [job for line in _ask(command).splitlines() if (job := _parse(line.strip())) is not None]
    return {job.id: job for job in jobs}


def _parse(line: str) -> Job | None:
    """One line of squeue's; None for a line that is about no job.

    Raises:
        NoAnswer: If it is about a job of ours, and cannot be read.
    """
    match = _LINES[0].fullmatch(line) or _LINES[1].fullmatch(line)
    if match is None:
        if "|ftexp:" in line:
            raise NoAnswer(f"squeue: its line is not of the form that was asked for: {line}")
        return None
    said = match.groupdict(default="")
    reason = "" if said["reason"] == "None" else said["reason"]
    rest = said["dir"], said["comment"], _seconds(said.get("submitted", "")), said.get("nodes", "")
    return Job(said["id"], said["state"], reason, said["elapsed"], *rest)


def _seconds(time_text: str) -> float | None:
    """A time of Slurm's, which is this machine's own; None where there is none."""
    return datetime.datetime.fromisoformat(time_text).timestamp() if re.fullmatch(_TIME, time_text) else None


def query_ended(ids: Iterable[str]) -> dict[str, Job]:
    """What accounting says of jobs that Slurm's queue has forgotten, by id; empty where there is no accounting."""
    wanted = sorted(set(ids))
    if not wanted or shutil.which("sacct") is None:
        return {}
    fields = "--format=JobID,State,ExitCode,Submit,NodeList,WorkDir"
    command = ["sacct", "--noheader", "--parsable2", "--allocations", fields, f"--jobs={','.join(wanted)}"]
    try:
        lines = _ask(command).splitlines()
    except NoAnswer:  # `Slurm accounting storage is disabled`: the answer is that there is none
        return {}
    found = [match.groupdict(default="") for line in lines if (match := _ENDED.fullmatch(line.strip()))]
    return {
        said["id"]: Job(
            said["id"], said["state"], said["code"], "", said["dir"], submitted=_seconds(said["submitted"]), nodes=said["nodes"]
        )
        for said in found
    }


def node_of(job_id: str) -> str:
    """The node that a job was on, as the controller remembers it; empty where it does not."""
    try:
        match = _NODE.search(_ask(["scontrol", "--oneliner", "show", "job", job_id]))
    except NoAnswer:  # the job is forgotten
        return ""
    return (match[1] or match[2]) if match else ""


def submit(command: list[str]) -> str:
    """Call sbatch (`--parsable` among the words) and return the job's id.

    Raises:
        NoJobNamed: If it took the job, and what it printed names none, or more than one.
        NoAnswer: If the controller is away or too busy: the job may have been taken all the same.
        LimitReached: If the user has too many jobs already.
        UserError: If Slurm refuses the job, with Slurm's words.
    """
    result = _run(command, 2 * TIMEOUT_S)
    if result.returncode == 0:
        lines = [line.strip() for line in result.stdout.splitlines()]
        named = [match[1] for line in lines if (match := _SUBMITTED.fullmatch(line))]
        if len(named) != 1:
            words = result.stdout.strip() or result.stderr.strip() or "it said nothing"
            raise NoJobNamed(f"it took the job, but did not say which: {words}", named[-1] if named else "")
        return named[0]
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
    is_away = _PASSING.search(result.stderr) is not None  # as a script around it may say and end with 0
    if result.returncode != 0 or is_away:
        raise NoAnswer(f"{command[0]}: {(result.stderr or result.stdout).strip()}")
    return result.stdout


def _run(command: list[str], timeout_s: float) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=False, stdin=subprocess.DEVNULL,
            timeout=timeout_s, env=_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"{command[0]} gave no answer in {timeout_s:.0f} s") from error
    except FileNotFoundError as error:
        raise _no_slurm(command[0]) from error


def _environment() -> dict[str, str]:
    """Of a person's shell, or of the job that this is called in, what is not to reach Slurm's commands and the jobs they make."""
    return {name: value for name, value in environment_of_another_job().items() if not name.startswith(_ASIDE)}


def _no_slurm(program: str) -> UserError:
    what = f"site.yaml: backend: is slurm, but there is no `{program}` here"
    return UserError(f"{what}. Run this on the cluster's login node, or set backend: local.")
