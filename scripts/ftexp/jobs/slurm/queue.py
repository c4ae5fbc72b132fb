"""What became of the jobs that we gave to Slurm: claims, the jobs' own records and Slurm's word, put together.

Slurm is asked once per object. A job's own record and a stage's manifest outlive Slurm's memory, so nothing depends on
accounting; where there is accounting, it says how a job ended that left no word.
"""

import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

from ftexp.ground import paths
from ftexp.jobs.site import Site
from ftexp.jobs.slurm import claims
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.slurm.claims import Claim
from ftexp.jobs.slurm.commands import Job
from ftexp.jobs.slurm.identity import is_of_claim, is_of_record
from ftexp.state.job_record import read_job
from ftexp.state.status_words import State

_ENDS = {
    "TIMEOUT": ("failed", "it reached its walltime. Raise {stage}.time_min in site.yaml"),
    "OUT_OF_MEMORY": ("failed", "out of memory: it needed more than {stage}.mem_gb in site.yaml gives. Raise it"),
    "NODE_FAIL": ("failed", "its node failed"),
    "BOOT_FAIL": ("failed", "its node failed to start"),
    "DEADLINE": ("failed", "it missed its deadline"),
    "FAILED": ("failed", "its job failed without a word of its own; see {log}"),
    "CANCELLED": ("ready", "was cancelled"),
    "PREEMPTED": ("ready", "was preempted"),
    "REVOKED": ("ready", "was revoked"),
}


class SlurmQueue:
    """The state of an experiment's jobs. One object per command, or per poll."""

    def __init__(self, *, holds_lock: bool = False) -> None:
        """`holds_lock` says that this process holds the submission lock, so that no other on this host is submitting."""
        self._holds_lock = holds_lock
        self._root = str(Path.cwd())
        self.silence = ""

    @cached_property
    def jobs(self) -> dict[str, Job]:
        """This user's jobs by id; empty, and `silence` says why, where Slurm does not answer."""
        try:
            return slurm.query_jobs()
        except slurm.NoAnswer as error:
            self.silence = str(error)
            return {}

    @property
    def answers(self) -> bool:
        """Whether Slurm answers; asks it, where nothing has yet. `silence` says why not."""
        return bool(self.jobs) or not self.silence

    @property
    def active_count(self) -> int:
        """Jobs of this user's, ours or not, that wait or work; tasks of arrays one by one."""
        return sum(job.is_active for job in self.jobs.values())

    def own_jobs(self) -> list[Job]:
        """Active jobs that were submitted from this experiment's folder, by their comments."""
        jobs = [job for job in self.jobs.values() if job.is_active and job.work_dir == self._root]
        return [job for job in jobs if job.comment.startswith("ftexp:") and job.comment.count(":") == 4]

    def _own(self, job_id: str, claim: Claim | None, record: dict[str, Any] | None) -> Job | None:
        """A job of ours by its id: that of the claim, or one that a person called sbatch for and that began."""
        job = self.jobs.get(job_id)
        if job and claim and is_of_claim(job, claim, record, self._root):
            return job
        is_by_hand = record is not None and record.get("job_id") == job_id and not record.get("submission")
        return job if job and record and is_by_hand and is_of_record(job, record) else None

    @cached_property
    def _by_comment(self) -> dict[tuple[str, str, str], str]:
        """Base id of our active jobs by what their comment says: run or @submission, stage, hash (or any)."""
        found = {}
        for job in self.own_jobs():
            _, _, named, stage, digest = job.comment.split(":")
            found[named, stage, digest] = found[named, stage, ""] = job.id.split("_")[0]
        return found

    def job_id(self, claim: Claim) -> str | None:
        """The id of a claim's job; looked for in Slurm, and then recorded, where a kill kept it from being recorded."""
        base = claims.job_id_of(claim.submission)
        if base is None:
            named = (f"@{claim.submission}", claim.stage, "")
            base = self._by_comment.get(named) or self._by_comment.get((claim.run, claim.stage, claim.input_hash))
            base = base or self._started(claim)
            if base is not None and self._holds_lock:
                claims.record_job(claim.submission, job_id=base)
        return f"{base}_{claim.task}" if base else None

    def _started(self, claim: Claim) -> str | None:
        record = read_job(claim.run, claim.stage)
        if record and record.get("submission") == claim.submission:
            return str(record["job_id"]).split("_")[0]
        return None

    def active(self, run: str, stage: str) -> State | None:
        """`submitted` or `running`, where a job for this stage is under way; None where there is none."""
        record, claim = read_job(run, stage), claims.read_claim(run, stage)
        claimed = self.job_id(claim) if claim else None
        recorded = str(record["job_id"]) if record and "job_id" in record else None
        for job_id in filter(None, (claimed, recorded)):
            job = self._own(job_id, claim, record)
            if job and job.is_active and not job.could_not_start and not _says_it_ended(record, job):
                return _describe(job, record)
        if claim and claimed is None and claim.is_being_submitted(holds_lock=self._holds_lock):
            return State("submitted", f"is being submitted on {claim.host}")
        if self.silence and (claim or recorded):
            return _last_known(record, claimed or recorded or "", self.silence)
        return None

    def outcome(self, run: str, stage: str, submission_hash: str) -> State | None:
        """How the job ended that was submitted for these very inputs; None where there was none, or it is under way."""
        claim = claims.read_claim(run, stage)
        job_id = self.job_id(claim) if claim and claim.input_hash == submission_hash else None
        if job_id is None:
            return None
        record = read_job(run, stage)
        assert claim is not None
        is_own = record is not None and (record.get("job_id"), record.get("submission")) == (job_id, claim.submission)
        own = record if is_own else None
        if own and own["state"] == "failed":
            return State("failed", own["reason"], job_id)
        was_at_work = own is not None and own["state"] == "running"
        job = self._own(job_id, claim, record) or self._accounted.get(job_id)
        if job and job.could_not_start and (job.is_active or not was_at_work):
            return _not_started(job)
        word = job.state if job else ""
        log = paths.RunPaths(run).log(stage)
        if own is None and word in ("FAILED", "COMPLETED"):
            return State("failed", f"its job ended before its work began: {_last_line(log)} ({log})", job_id)
        if word in _ENDS and not (own and own["state"] == "stopped" and word == "FAILED"):
            status, reason = _ENDS[word]
            return State(status, reason.format(stage=stage, log=log), job_id)
        if own and own["state"] == "stopped":
            return State("ready", own["reason"], job_id)
        if was_at_work:
            return State("failed", "its job is gone without a word of how it ended (killed, or its node went down)", job_id)
        return State("ready", "its files are gone or changed" if own else "its job left the queue without having begun", job_id)

    @cached_property
    def _accounted(self) -> dict[str, Job]:
        """What accounting says of claimed jobs that the queue has forgotten and that left no word; one call for all."""
        claimed: dict[str, tuple[Claim, dict[str, Any] | None]] = {}
        for path in sorted(paths.CLAIMS_DIR.glob("*.json")):
            run, _, stage = path.stem.rpartition(".")
            claim, record = claims.read_claim(run, stage), read_job(run, stage)
            job_id = self.job_id(claim) if claim else None
            ended = record is not None and record.get("job_id") == job_id and record["state"] in ("done", "failed")
            if claim and job_id and not self._own(job_id, claim, record) and not ended:
                claimed[job_id] = claim, record
        found = slurm.query_ended(claimed)
        return {name: job for name, job in found.items() if name in claimed and is_of_claim(job, *claimed[name], self._root)}


def _not_started(job: Job) -> State:
    """A job that its node could not begin."""
    node = job.nodes or slurm.node_of(job.id)
    what = f"its job could not start{f' on {node}' if node else ''} (Slurm: {job.reason})"
    why = "is this folder there, and can it be written in?" + (" The next submission keeps off that node" if node else "")
    return State("failed", f"{what}: {why}", job.id, bad_node=node, is_held=job.is_active)


def _last_line(log: Path) -> str:
    """The last line of a log that is not blank."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "without a word")


def queue_of(site: Site) -> SlurmQueue | None:
    """Slurm's queue, where the site names it, or something was given to a Slurm that answers here; None elsewhere."""
    if site.backend == "slurm":
        return SlurmQueue()
    if not any(paths.CLAIMS_DIR.glob("*.json")) or shutil.which("squeue") is None:
        return None
    queue = SlurmQueue()
    return queue if queue.answers else None


def _says_it_ended(record: dict[str, Any] | None, job: Job) -> bool:
    """Whether the job itself has written its end, which Slurm can be some seconds late to know."""
    is_own = record is not None and record.get("job_id") == job.id
    return bool(is_own and record and record["state"] in ("done", "failed") and job.state not in slurm.WAITING)


def _describe(job: Job, record: dict[str, Any] | None) -> State:
    if job.state in slurm.AT_WORK:
        return State("running", "" if job.state in ("RUNNING", "COMPLETING") else job.state, job.id, job.elapsed)
    stopped = record and record.get("job_id") == job.id and record["state"] == "stopped"
    return State("submitted", "; ".join(filter(None, [str(record["reason"]) if record and stopped else "", job.reason])), job.id)


def _last_known(record: dict[str, Any] | None, job_id: str, silence: str) -> State | None:
    """What the records say while Slurm does not answer."""
    own = record if record and record.get("job_id") == job_id else None
    if own and own["state"] in ("done", "failed"):
        return None
    return State("running" if own and own["state"] == "running" else "submitted", f"as last known; {silence}", job_id)
