"""The words for where a stage of a run stands."""

from dataclasses import dataclass


@dataclass(frozen=True)
class State:
    """Status of one stage of one run, and why.

    Attributes:
        status: waiting, ready, submitted, running, done, stale or failed.
        job: Slurm's id of the job that is under way, or was last; empty where there is none.
        elapsed: How long that job has run, as Slurm shows it; empty unless it runs.
        bad_node: The node on which that job could not start; empty where it could, or no node is known.
        is_held: Whether that job, failed as it is, still stands in the queue.
    """

    status: str
    reason: str = ""
    job: str = ""
    elapsed: str = ""
    bad_node: str = ""
    is_held: bool = False


WORK = ("ready", "stale", "failed")
UNDER_WAY = ("submitted", "running")
