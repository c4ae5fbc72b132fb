"""The local backend: runs job scripts with bash, some at a time, each on a GPU of its own where there are several."""

import os
import subprocess
import time
from collections.abc import Callable

from ftexp import paths

POLL_S = 0.5
MOST_ON_CPU = 4


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


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def run_jobs(stage: str, runs: list[str], slots: int | None, show: Callable[[], None]) -> None:
    """Run a stage of all runs, and come back when they have ended, well or not.

    The runs are dealt out to `slots` processes, each of which does its share one after another: the imports, longer
    than a short run, are paid once per process.

    Args:
        slots: Runs at a time; None: one per GPU, or per core (at most 4) without one.
        show: Called twice a second, for progress.
    """
    gpus = gpu_ids()
    count = min(len(runs), slots or len(gpus) or min(MOST_ON_CPU, available_cores()))
    workers = [_start(stage, runs[slot::count], _environment(slot, count, gpus)) for slot in range(count)]
    while any(worker.poll() is None for worker in workers):
        time.sleep(POLL_S)
        show()


def _start(stage: str, runs: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    first, *rest = runs
    command = ["bash", str(paths.RunPaths(first).script(stage)), "--log", *rest]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)


def _environment(slot: int, slots: int, gpus: list[str]) -> dict[str, str]:
    """Share out GPUs or cores; the number of threads changes no byte of a training (a test)."""
    environment = dict(os.environ)
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    else:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // slots)))
    return environment
