"""Whether a job that has an id of ours is ours: Slurm begins its ids anew, and another cluster has others under the same."""

from typing import Any

from ftexp.jobs.slurm.claims import UNANSWERED_S, Claim
from ftexp.jobs.slurm.commands import Job


def is_of_claim(job: Job, claim: Claim, record: dict[str, Any] | None, root: str) -> bool:
    """Whether a job whose id was given for a claim was submitted for it.

    Its comment says so, where it is there. A site may take comments away or write its own: then the time says it, which a
    requeue moves on; that of a job that has begun, and noted it down.

    Args:
        record: What the stage's last job noted down.
        root: The experiment's folder.
    """
    if job.work_dir not in (root, ""):
        return False
    named = _named(job)
    if named is not None:
        return named[1:] in {(claim.run, claim.stage, claim.input_hash)} or named[1:3] == (f"@{claim.submission}", claim.stage)
    if record and record.get("submission") == claim.submission and record.get("job_id") == job.id:
        return record["state"] in ("running", "stopped") or _is_about(job, record["started"], before_s=None)
    return _is_about(job, claim.claimed) if job.submitted is not None else _has_no_comment(job)


def is_of_record(job: Job, record: dict[str, Any]) -> bool:
    """Whether a job is the one that a person called sbatch for, and that noted down its beginning."""
    return _named(job) is None and (record["state"] == "stopped" or _is_about(job, record["started"], before_s=None))


def _named(job: Job) -> tuple[str, ...] | None:
    """What our comment says: experiment, run (or @submission), stage and hash; None where there is none of ours."""
    words = job.comment.split(":")
    return tuple(words[1:]) if words[0] == "ftexp" and len(words) == 5 else None


def _has_no_comment(job: Job) -> bool:
    return job.comment in ("", "(null)", "N/A")


def _is_about(job: Job, moment: float, *, before_s: float | None = UNANSWERED_S) -> bool:
    """Whether a job was submitted at about a time; `before_s`: at most so long before, None: any time before."""
    if job.submitted is None:
        return True
    return job.submitted <= moment + UNANSWERED_S and (before_s is None or job.submitted >= moment - before_s)
