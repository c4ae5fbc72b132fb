"""What this process was told by the job that it runs in: the one place where the variables of that edge are read.

A job's script (job.slurm.template, and the script of an array) sets FTEXP_*, Slurm sets SLURM_*. A person's own call has none.
"""

import os
from dataclasses import dataclass

CODE_VARIABLE = "FTEXP_CODE"


@dataclass(frozen=True)
class OwnJob:
    """The job around this process, as it was told of it.

    Attributes:
        id: As squeue shows it, `7` or `7_3`; None outside of Slurm.
        restarts: How often Slurm has requeued it.
        submission: The submission that it belongs to; None where a person started the script.
        input_hash: What it was submitted for; None likewise.
        device: What site.yaml asks for: auto, cpu or cuda.
        processes: How many a distributed recipe starts.
        tries: How often it may be started.
        time_min, mem_gb: What it may use, as text for messages; None where nothing was said.
        wandb_project, wandb_mode: Where trainings are logged to Weights & Biases; None where they are not.
        cache: A folder for this job's caches, which goes with it; None where it has none.
        code: The files of the code that the job computes with and their digests, as JSON; None where nobody said.
    """

    id: str | None
    restarts: int
    submission: str | None
    input_hash: str | None
    device: str
    processes: int
    tries: int
    time_min: str | None
    mem_gb: str | None
    wandb_project: str | None
    wandb_mode: str | None
    cache: str | None
    code: str | None

    @property
    def is_last_try(self) -> bool:
        """Whether it may not be started once more."""
        return self.restarts + 1 >= self.tries


def own_job() -> OwnJob:
    """The job around this process, from the environment."""
    said = os.environ
    is_task = "SLURM_ARRAY_JOB_ID" in said
    return OwnJob(
        id=f"{said['SLURM_ARRAY_JOB_ID']}_{said['SLURM_ARRAY_TASK_ID']}" if is_task else said.get("SLURM_JOB_ID"),
        restarts=int(said.get("SLURM_RESTART_COUNT", "0")),
        submission=said.get("FTEXP_SUBMISSION"),
        input_hash=said.get("FTEXP_INPUT_HASH"),
        device=said.get("FTEXP_DEVICE", "auto"),
        processes=int(said.get("FTEXP_PROCESSES", "1")),
        tries=int(said.get("FTEXP_TRIES", "1")),
        time_min=said.get("FTEXP_TIME_MIN"),
        mem_gb=said.get("FTEXP_MEM_GB"),
        wandb_project=said.get("FTEXP_WANDB_PROJECT"),
        wandb_mode=said.get("FTEXP_WANDB_MODE"),
        cache=said.get("FTEXP_CACHE"),
        code=said.get(CODE_VARIABLE),
    )
