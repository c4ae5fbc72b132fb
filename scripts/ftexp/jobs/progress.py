"""Progress of jobs that run: which of how many, epoch, loss, time left."""

import sys
import time
from typing import Any

from ftexp.design.planning import read_run
from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.state.job_record import read_job
from ftexp.trainers.looks_in_words import looks_so_far
from ftexp.trainers.validation_csv import VALIDATION_CSV, read_looks

LINE_EVERY_S = 5.0


class Progress:
    """Prints a line whenever a run's stage ends, and every few seconds one about those at work."""

    def __init__(self, stage: str, runs: list[str], done_before: int) -> None:
        """`done_before` is how many other runs were done when this command began."""
        self._stage = stage
        self._open = list(runs)
        self._total = done_before + len(runs)
        self._ended = done_before
        self._began = time.time()
        self._last = time.monotonic()

    def show(self) -> None:
        """Tell what ended since the last call, and at times what is at work."""
        records = {run: self._record(run) for run in self._open}
        for run, record in records.items():
            if record and record["state"] != "running":
                self._open.remove(run)
                self._ended += 1
                outcome = "done" if record["state"] == "done" else f"FAILED: {record['reason']}"
                _say(f"{self._stage} {self._ended}/{self._total}  {run}  {outcome}  {record['seconds']:.0f} s")
        at_work = {run: record for run, record in records.items() if record and record["state"] == "running"}
        if at_work and time.monotonic() - self._last > LINE_EVERY_S:
            self._last = time.monotonic()
            waiting = len(self._open) - len(at_work)
            parts = [self._describe(run, record) for run, record in at_work.items()]
            _say(" | ".join(parts + ([f"{waiting} waiting"] if waiting else [])))

    def _record(self, run: str) -> dict[str, Any] | None:
        """The job record that this command's process wrote; an older one says nothing of now."""
        record = read_job(run, self._stage)
        return record if record and record["started"] >= self._began - 1 else None

    def _describe(self, run: str, record: dict[str, Any]) -> str:
        """A run at work: how far a training is; of an evaluation, which is short, the elapsed time."""
        said = describe_training(run, record) if self._stage == "train" else f"{time.time() - record['started']:.0f} s"
        return f"{run}: {said}"


def describe_looks(run: Run) -> str:
    """The last look at a training that goes on, and the best so far; empty where there is none."""
    if not run.validation:
        return ""
    return looks_so_far(run.validation, read_looks(paths.RunPaths(run.id).scratch_dir("train") / VALIDATION_CSV))


def describe_training(run: str, record: dict[str, Any]) -> str:
    """How far a training is that began as `record` says: epoch, loss, time left; the last look at it and the best."""
    elapsed = time.time() - record["started"]
    path = paths.RunPaths(run).scratch_dir("train") / "train.csv"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    fields = lines[-1].split(",") if lines else []
    if len(fields) < 3 or not fields[0].isdigit() or not fields[2]:
        return f"starting, {elapsed:.0f} s"
    plan = read_run(run)
    left = elapsed * (plan.steps["steps"] - int(fields[0])) / int(fields[0])
    parts = [f"epoch {fields[1]}/{plan.settings['epochs']}", f"loss {float(fields[2]):.3f}", f"{left:.0f} s left"]
    return ", ".join(filter(None, [*parts, describe_looks(plan)]))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
