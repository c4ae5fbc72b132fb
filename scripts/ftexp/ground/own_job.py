"""What this process was told by the job that it runs in: the one place where the variables of that edge are read.

A job's script (job.slurm.template, and the script of an array) sets FTEXP_*, Slurm sets SLURM_*. A person's own call has none.
What Slurm sets is this job's only where the script of a Slurm job of ours says so, in the same job: it may as well be of an
allocation around a local backend, or come from the shell that something was started in.
"""

import os
from dataclasses import dataclass

CODE_VARIABLE = "FTEXP_CODE"
# Set by the script of a run, to SLURM_JOB_ID; and by that of an array, to SLURM_JOB_ID and the id of the task.
SLURM_JOB_VARIABLE, TASK_VARIABLE = "FTEXP_SLURM_JOB", "FTEXP_TASK"
_OURS = (
    SLURM_JOB_VARIABLE, TASK_VARIABLE, CODE_VARIABLE, "FTEXP_SUBMISSION", "FTEXP_INPUT_HASH", "FTEXP_WANDB_PROJECT",
    "FTEXP_WANDB_MODE", "FTEXP_WANDB_RUN",
)
# Of a launcher of several processes (torchrun, a batch system's, accelerate) around this one: libraries take them for their own.
_LAUNCHERS = (
    "RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "ROLE_NAME", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE",
    "ROLE_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
)
_LAUNCHERS_BEGIN = ("TORCHELASTIC_", "PET_", "ACCELERATE_")
# Of Slurm's those that say which Slurm it is, or where there is room, and nothing that another job would take for its own.
_OF_NO_JOB = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_TIME_FORMAT", "SLURM_DEBUG", "SLURM_TMPDIR")


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
    slurm_job = said.get("SLURM_JOB_ID")
    is_own = slurm_job is not None and said.get(SLURM_JOB_VARIABLE) == slurm_job
    of_task, _, task = said.get(TASK_VARIABLE, "").partition(" ")
    is_task = is_own and of_task == slurm_job
    return OwnJob(
        id=task if is_task else slurm_job if is_own else None,
        restarts=int(said.get("SLURM_RESTART_COUNT", "0")) if is_own else 0,
        submission=said.get("FTEXP_SUBMISSION") if is_task else None,
        input_hash=said.get("FTEXP_INPUT_HASH") if is_task else None,
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


def forget_launchers() -> None:
    """Take out of this process's environment what a launcher around it says of ranks and ports."""
    for name in [name for name in os.environ if name.startswith(_LAUNCHERS_BEGIN) or name in _LAUNCHERS]:
        del os.environ[name]


def environment_of_another_job() -> dict[str, str]:
    """This environment without what is said to a job in it: for jobs that are started or asked for from here."""
    return {name: value for name, value in os.environ.items() if not _is_of_a_job(name)}


def _is_of_a_job(name: str) -> bool:
    return name in _OURS or (name.startswith("SLURM_") and not name.startswith(_OF_NO_JOB))
