"""The work list of a stage: what is ready, stale or failed, and may run; and running it."""

import sys
import time
from dataclasses import dataclass, field
from typing import Any

from ftexp import paths
from ftexp.dvc_files import record_finished
from ftexp.errors import UserError
from ftexp.events import record_event
from ftexp.local_backend import run_jobs
from ftexp.planning import planned_runs
from ftexp.progress import Progress
from ftexp.run_lock import is_running
from ftexp.site import read_site
from ftexp.state import WORK, Work, stages_of

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


def run_stage(stage: str, jobs_at_a_time: int | None) -> int:
    """Do what a stage has to do, on this machine; return 1 if a run failed or was refused."""
    runs = planned_runs()
    wait_for_running(runs, stage)
    work = Work()
    listed = work_list(work, runs, stage)
    work.hashes.save()
    _announce(listed, stage)
    if listed.to_do:
        slots = jobs_at_a_time or read_site(paths.SITE_YAML).jobs
        run_jobs(stage, listed.to_do, slots, Progress(stage, listed.to_do, len(listed.done)).show)
    after = Work()
    failed = _failures(after, runs, stage, listed.to_do)
    for run in listed.to_do:
        record_event(f"{stage} {run}", f"failed: {failed[run]}" if run in failed else "done")
    record_finished(after, runs)
    for run, reason in failed.items():
        log = paths.RunPaths(run).log(stage)
        print(f"runs/{run}: {stage} failed: {reason} ({log}). The next call tries again.", file=sys.stderr)
    return 1 if listed.refused or failed else 0


def _failures(work: Work, runs: list[dict[str, Any]], stage: str, attempted: list[str]) -> dict[str, str]:
    """Which of the runs that were attempted are not done, and why."""
    states = {run["run"]: work.state(run, stage) for run in runs if run["run"] in set(attempted)}
    return {run: state.reason or f"it is {state.status}" for run, state in states.items() if state.status != "done"}


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


def _announce(listed: WorkList, stage: str) -> None:
    parts = [f"{len(listed.to_do)} to do", f"{len(listed.done)} done"]
    parts += [f"{len(listed.waiting)} waiting"] if listed.waiting else []
    parts += [f"{len(listed.refused)} refused"] if listed.refused else []
    print(f"{stage}: {', '.join(parts)}", file=sys.stderr, flush=True)
    for run, reason in [*listed.waiting, *listed.refused]:
        print(f"  runs/{run}: {reason}", file=sys.stderr)
