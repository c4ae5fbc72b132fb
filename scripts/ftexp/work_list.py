"""The work list of a stage: what is ready, stale or failed, and may run; and running it."""

import sys
import time
from dataclasses import dataclass, field
from typing import Any

from ftexp import paths
from ftexp.dvc_files import record_finished
from ftexp.errors import UserError
from ftexp.events import record_event
from ftexp.local_backend import Job, gpu_ids, run_jobs, slot_count
from ftexp.planning import planned_runs
from ftexp.progress import Progress
from ftexp.run_lock import is_running
from ftexp.site import read_site
from ftexp.state import WORK, Work, read_job, stages_of

POLL_S = 1.0


@dataclass
class WorkList:
    """Runs by what is to be done with them; `refused` and `waiting` hold (run, reason)."""

    to_do: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


def work_list(work: Work, runs: list[dict[str, Any]], stage: str) -> WorkList:
    """Sort the runs that have this stage."""
    result = WorkList()
    for run in runs:
        if stage not in stages_of(run):
            continue
        state = work.state(run, stage)
        preflight = work.preflight(run)
        if state.status == "done":
            result.done.append(run["run"])
        elif run["problems"]:
            result.refused.append((run["run"], state.reason))
        elif preflight.status != "done":
            result.refused.append((run["run"], preflight.reason))
        elif state.status in WORK:
            result.to_do.append(run["run"])
        else:
            result.waiting.append((run["run"], state.reason))
    return result


def run_stage(stage: str, verb: str, jobs_at_a_time: int | None) -> int:
    """Do what a stage has to do, on this machine; return 1 if a run failed or was refused."""
    runs = planned_runs()
    wait_for_running(runs, stage)
    work = Work()
    listed = work_list(work, runs, stage)
    work.hashes.save()
    _announce(listed, verb)
    jobs = [Job(run, stage) for run in listed.to_do]
    if jobs:
        gpus = gpu_ids()
        slots = slot_count(jobs_at_a_time or read_site(paths.SITE_YAML).jobs, gpus)
        run_jobs(jobs, min(slots, len(jobs)), gpus, Progress(len(listed.done), verb).show)
    for job in jobs:
        record_event(f"{stage} {job.run}", "done" if job.code == 0 else f"failed: {_reason(job)}")
    record_finished(Work(), runs)
    _conclude(jobs, listed)
    return 1 if listed.refused or any(job.code != 0 for job in jobs) else 0


def wait_for_running(runs: list[dict[str, Any]], stage: str) -> None:
    """Wait for jobs that an interrupted command left behind, rather than start them twice."""
    told = False
    while running := [run["run"] for run in runs if is_running(run["run"], stage)]:
        if not told:
            print(f"waiting for {len(running)} running: {', '.join(running)}", file=sys.stderr, flush=True)
        told = True
        time.sleep(POLL_S)


def parse_jobs(arguments: list[str]) -> int | None:
    """`JOBS=n` as Make passes it on: nothing, or one whole number.

    Raises:
        UserError: If it is no whole number above 0.
    """
    text = arguments[0] if arguments else ""
    if not text:
        return None
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"JOBS: must be a whole number above 0, got '{text}'. For example: make submit JOBS=2")
    return int(text)


def _announce(listed: WorkList, verb: str) -> None:
    parts = [f"{len(listed.to_do)} to do", f"{len(listed.done)} done"]
    parts += [f"{len(listed.waiting)} waiting"] if listed.waiting else []
    parts += [f"{len(listed.refused)} refused"] if listed.refused else []
    print(f"{verb}: {', '.join(parts)}", file=sys.stderr, flush=True)
    for run, reason in [*listed.waiting, *listed.refused]:
        print(f"  runs/{run}: {reason}", file=sys.stderr)


def _conclude(jobs: list[Job], listed: WorkList) -> None:
    for job in jobs:
        if job.code != 0:
            print(f"runs/{job.run}: {job.stage} failed: {_reason(job)}. The next call tries again.", file=sys.stderr)


def _reason(job: Job) -> str:
    record = read_job(job.run, job.stage)
    if record and record["state"] == "failed":
        return f"{record['reason']} ({paths.RunPaths(job.run).log(job.stage)})"
    return f"ended with exit status {job.code}, see {paths.RunPaths(job.run).log(job.stage)}"
