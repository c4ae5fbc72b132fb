"""The local backend: runs job scripts with bash, some at a time, each on a GPU of its own where there are several."""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ftexp import paths

POLL_S = 0.5


@dataclass
class Job:
    """One stage of one run, waiting, running or ended."""

    run: str
    stage: str
    started: float = 0.0
    code: int | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)


def gpu_ids() -> list[str]:
    """The GPUs that may be used here, as CUDA_VISIBLE_DEVICES names them; asked of the driver, without torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    return [str(number) for number, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def slot_count(asked: int | None, gpus: list[str]) -> int:
    """Runs at a time: as asked, else one per GPU, else one per core up to 4 (small models on a CPU)."""
    return asked or len(gpus) or min(4, available_cores())


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def run_jobs(jobs: list[Job], slots: int, gpus: list[str], show: Callable[[list[Job]], None]) -> None:
    """Run all jobs, `slots` at a time; one that fails does not stop the others.

    Args:
        show: Called twice a second with all jobs, for progress.
    """
    free = list(range(slots))
    used: dict[int, int] = {}
    waiting = list(jobs)
    while waiting or used:
        while waiting and free:
            job, slot = waiting.pop(0), free.pop(0)
            _start(job, _environment(slot, slots, gpus))
            used[id(job)] = slot
        time.sleep(POLL_S)
        for job in jobs:
            if job.process is not None and job.code is None:
                job.code = job.process.poll()
                if job.code is not None:
                    free.append(used.pop(id(job)))
        show(jobs)


def _start(job: Job, environment: dict[str, str]) -> None:
    places = paths.RunPaths(job.run)
    job.started = time.monotonic()
    with Path(places.log(job.stage)).open("wb") as log:
        job.process = subprocess.Popen(
            ["bash", str(places.script(job.stage))], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
        )


def _environment(slot: int, slots: int, gpus: list[str]) -> dict[str, str]:
    """Share out GPUs or cores; the number of threads changes no byte of a training (a test)."""
    environment = dict(os.environ)
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    else:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // slots)))
    return environment
