"""Every run and stage with its status, why, and how long it took; with --wait, until nothing runs any more.

Reads runs.csv, runs/*/, preflight.json. Writes nothing.
Command: make status, make wait (python scripts/status.py [--wait])
"""

import time
from typing import Any

from ftexp import paths
from ftexp.errors import run_command
from ftexp.planning import folders_not_in_design, planned_runs
from ftexp.state import STAGES, Work, read_job, stages_of
from ftexp.text_table import text_table
from ftexp.work_list import wait_for_running


def main(arguments: list[str]) -> int:
    """Print the table, or wait."""
    paths.require_experiment()
    runs = planned_runs()
    if arguments == ["--wait"]:
        for stage in STAGES:
            wait_for_running(runs, stage)
        return 0
    work = Work()
    rows = [_row(work, run, stage) for run in runs for stage in stages_of(run)]
    work.hashes.save()
    print(text_table(("run", "stage", "status", "seconds", "reason"), rows))
    extra = folders_not_in_design([run["run"] for run in runs])
    if extra:
        print(f"\nnot in the design (kept, not reported): {', '.join(extra)}")
    return 0


def _row(work: Work, run: dict[str, Any], stage: str) -> tuple[str, ...]:
    state = work.state(run, stage)
    reason = state.reason
    if stage == "train" and state.status in ("ready", "stale") and work.preflight(run).status != "done":
        reason = "; ".join(filter(None, [reason, work.preflight(run).reason]))
    return run["run"], stage, state.status, _seconds(run["run"], stage, state.status), reason


def _seconds(run: str, stage: str, status: str) -> str:
    job = read_job(run, stage)
    if job is None:
        return ""
    if status == "running":
        return f"{time.time() - job['started']:.0f}"
    return f"{job['seconds']:.0f}" if "seconds" in job and status in ("done", "failed", "stale") else ""


if __name__ == "__main__":
    run_command(main)
