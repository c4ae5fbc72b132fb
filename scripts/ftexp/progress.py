"""Progress of jobs that run: which of how many, epoch, loss, time left."""

import sys
import time

from ftexp import paths
from ftexp.local_backend import Job
from ftexp.planning import read_run

LINE_EVERY_S = 5.0


class Progress:
    """Prints a line whenever a job ends, and every few seconds one about those that run."""

    def __init__(self, total_before: int, verb: str) -> None:
        """`total_before` is how many runs were done when this command began."""
        self._done_before = total_before
        self._verb = verb
        self._told: set[str] = set()
        self._last = time.monotonic()

    def show(self, jobs: list[Job]) -> None:
        """Tell what ended, and at times what runs."""
        total = self._done_before + len(jobs)
        for job in jobs:
            if job.code is not None and job.run not in self._told:
                self._told.add(job.run)
                outcome = "done" if job.code == 0 else f"FAILED, see {paths.RunPaths(job.run).log(job.stage)}"
                count = self._done_before + len(self._told)
                _say(f"{self._verb} {count}/{total}  {job.run}  {outcome}  {time.monotonic() - job.started:.0f} s")
        running = [job for job in jobs if job.process is not None and job.code is None]
        if running and time.monotonic() - self._last > LINE_EVERY_S:
            self._last = time.monotonic()
            waiting = sum(job.process is None for job in jobs)
            _say(" | ".join(_describe(job) for job in running) + (f" | {waiting} waiting" if waiting else ""))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _describe(job: Job) -> str:
    """One running job: epoch, loss and time left of a training; only the elapsed time of an evaluation."""
    elapsed = time.monotonic() - job.started
    path = paths.RunPaths(job.run).scratch_dir("train") / "train.csv"
    if job.stage != "train" or not path.is_file():
        return f"{job.run}: starting, {elapsed:.0f} s" if job.stage == "train" else f"{job.run}: {elapsed:.0f} s"
    lines = path.read_text(encoding="utf-8").splitlines()
    fields = lines[-1].split(",") if len(lines) > 1 else []
    if len(fields) < 3 or not fields[2]:
        return f"{job.run}: starting, {elapsed:.0f} s"
    run = read_run(job.run)
    step, steps = int(fields[0]), run["steps"]["steps"]
    left = elapsed * (steps - step) / step
    return f"{job.run}: epoch {fields[1]}/{run['settings']['epochs']}, loss {float(fields[2]):.3f}, {left:.0f} s left"
