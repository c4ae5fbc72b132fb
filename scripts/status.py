"""Every run and stage with its status, job, time and why; with --wait, comes back when nothing is under way any more.

Reads runs.csv, runs/*/, preflight.json. Writes nothing.
Command: make status [ONLY='<patterns>'], make wait [FORCE=1] (python scripts/status.py [--wait], these in the environment)
"""

import sys
import time
from typing import Any

from ftexp.design.planning import folders_not_in_design, planned_runs, some_of
from ftexp.design.run import STAGES, Run
from ftexp.ground import paths
from ftexp.ground.errors import run_command
from ftexp.ground.options import Options, read_options
from ftexp.ground.text_table import text_table
from ftexp.jobs.backends import wait, work_here
from ftexp.jobs.progress import describe_looks
from ftexp.state.job_record import read_job
from ftexp.state.status_words import State
from ftexp.state.work import Work


def main(arguments: list[str]) -> int:
    """Print the table, or wait."""
    paths.require_experiment()
    if arguments == ["--wait"]:
        return wait()
    runs, options, work = planned_runs(), read_options(), work_here()
    options.require_picked([run.id for run in runs])
    rows = _rows(work, runs, options)
    work.hashes.save()
    print(text_table(("run", "stage", "status", "job", "time", "reason"), rows))
    if work.queue and work.queue.silence:
        print(f"\nSlurm does not answer ({work.queue.silence}); its jobs are shown as last known", file=sys.stderr)
    extra = folders_not_in_design([run.id for run in runs])
    if extra:
        print(f"\nnot in the design (kept, not reported): {some_of([name + _jobs_of(work, name) for name in extra])}")
    return 0


def _jobs_of(work: Work, run: str) -> str:
    """Jobs that are under way for a run that left the design."""
    states = {stage: work.queue.active(run, stage) for stage in STAGES} if work.queue else {}
    said = [f"{stage} {state.status}, job {state.job}" for stage, state in states.items() if state]
    return f" ({'; '.join(said)}: make cancel ONLY='{run}')" if said else ""


def _rows(work: Work, runs: list[Run], options: Options) -> list[tuple[str, ...]]:
    return [_row(work, run, stage) for run in runs if options.picks(run.id) for stage in run.stages]


def _row(work: Work, run: Run, stage: str) -> tuple[str, ...]:
    state = work.state(run, stage)
    reason = state.reason
    if stage == "train" and state.status in ("ready", "stale") and work.preflight(run).status != "done":
        reason = "; ".join(filter(None, [reason, work.preflight(run).reason]))
    if stage == "train" and state.status == "running":
        reason = "; ".join(filter(None, [reason, describe_looks(run)]))
    record = read_job(run.id, stage)
    job = state.job or str((record or {}).get("job_id", ""))
    return run.id, stage, state.status, job, state.elapsed or _time(record, state), reason


def _time(record: dict[str, Any] | None, state: State) -> str:
    """Hours, minutes and seconds of the job that runs or that ended."""
    if record is None or state.status not in ("running", "done", "failed", "stale"):
        return ""
    seconds = time.time() - record["started"] if state.status == "running" else record.get("seconds")
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


if __name__ == "__main__":
    run_command(main)
