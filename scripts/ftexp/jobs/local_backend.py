"""The local backend: runs job scripts with bash, some at a time, each on GPUs of its own where there are several."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable

from ftexp.design.planning import planned_runs
from ftexp.design.run import STAGES, Run
from ftexp.ground import paths
from ftexp.ground.cores import runs_on_cpu
from ftexp.ground.events import record_event
from ftexp.ground.gpus import gpu_ids
from ftexp.ground.options import Options
from ftexp.ground.own_job import environment_of_another_job
from ftexp.jobs.progress import Progress
from ftexp.jobs.site import Site
from ftexp.jobs.slurm.queue import queue_of
from ftexp.jobs.work_list import announce, work_list
from ftexp.state.code_version import PARTS_OF
from ftexp.state.dvc_files import record_finished
from ftexp.state.job_record import end_killed, read_job
from ftexp.state.run_lock import is_running, only_one_make
from ftexp.state.work import Work

POLL_S = 0.5
WAIT_POLL_S = 1.0
# What ends a process that nobody asked to end.
_KILLS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
# Of a job that left no record.
_NOT_BEGUN = "its job ended before its work began; see above, and `setup` and `modules` in site.yaml"
_EDITED = "it was not begun, because the code was edited meanwhile: `make validate` first"


def run_stage(stage: str, site: Site, options: Options) -> int:
    """Do what a stage has to do, on this machine; return 1 if a run failed or was refused."""
    if options.is_dry:
        return _run_stage(stage, site, options)
    with only_one_make(stage):
        return _run_stage(stage, site, options)


def _run_stage(stage: str, site: Site, options: Options) -> int:
    runs = planned_runs()
    _wait_for_running(runs, stage)
    work = Work(queue_of(site), is_forced=options.is_forced)
    listed = work_list(work, runs, stage, options)
    work.hashes.save()
    announce(listed, stage)
    if options.is_dry:
        print("\n".join(f"bash {paths.RunPaths(run).script(stage)}" for run in listed.to_do))
        return 0
    if listed.to_do:
        show = Progress(stage, listed.to_do, len(listed.done)).show
        run_jobs(stage, listed.to_do, options.jobs or site.jobs, show, gpus_per_run=max(1, site.resources(stage, 0).gpus))
        _wait_for_running(runs, stage)  # a training whose process was killed ends by itself
    after = Work()
    is_edited = any(after.code[part] != work.code[part] for part in PARTS_OF[stage])
    failed = _failures(after, runs, stage, listed.to_do, not_begun=_EDITED if is_edited else _NOT_BEGUN)
    for run in listed.to_do:
        record_event(f"{stage} {run}", f"failed: {failed[run]}" if run in failed else "done")
    for run, reason in failed.items():
        log = paths.RunPaths(run).log(stage)
        where = f" ({log})" if log.is_file() else ""
        print(f"runs/{run}: {stage} failed: {reason}{where}. The next call tries again.", file=sys.stderr)
    record_finished(after, runs)
    return 1 if listed.refused or failed else 0


def wait() -> int:
    """Wait for jobs that an interrupted command left behind."""
    runs = planned_runs()
    for stage in STAGES:
        _wait_for_running(runs, stage)
    return 0


def _failures(work: Work, runs: list[Run], stage: str, attempted: list[str], *, not_begun: str) -> dict[str, str]:
    """Which of the runs that were attempted are not done, and why."""
    states = {run.id: work.state(run, stage) for run in runs if run.id in set(attempted)}
    stale = {run: f"it is done, and stale: {state.reason}" for run, state in states.items() if state.status == "stale"}
    return stale | {run: state.reason or not_begun for run, state in states.items() if state.status not in ("done", "stale")}


def _wait_for_running(runs: list[Run], stage: str) -> None:
    """Wait for jobs that an interrupted command left behind, rather than start them twice."""
    told = False
    while running := [run.id for run in runs if is_running(run.id, stage)]:
        if not told:
            print(f"waiting for {len(running)} running: {', '.join(running)}", file=sys.stderr, flush=True)
        told = True
        time.sleep(WAIT_POLL_S)


def run_jobs(
    stage: str, runs: list[str], slots: int | None, show: Callable[[], None], *, gpus_per_run: int = 1
) -> None:
    """Run a stage of all runs, and come back when they have ended, well or not.

    The runs are dealt out to `slots` processes, each of which does its share one after another: the imports, longer
    than a short run, are paid once per process. Where one is killed, another does what was left of its share.

    Args:
        slots: Runs at a time; None: as many as there are GPUs for, or one per core (at most 4) without a GPU.
        show: Called twice a second, for progress.
    """
    gpus = gpu_ids()
    groups = [gpus[start : start + gpus_per_run] for start in range(0, len(gpus) - gpus_per_run + 1, gpus_per_run)] or [gpus]
    count = min(len(runs), slots or (len(groups) if gpus else runs_on_cpu()))
    shares = {slot: runs[slot::count] for slot in range(count)}
    workers = {slot: _start(stage, shares[slot], _environment(groups[slot % len(groups)])) for slot in shares}
    while workers:
        time.sleep(POLL_S)
        show()
        for slot, code in [(slot, code) for slot, worker in workers.items() if (code := worker.poll()) is not None]:
            shares[slot] = _left_by_a_kill(stage, shares[slot], code, workers.pop(slot).pid)
            if shares[slot]:
                workers[slot] = _start(stage, shares[slot], _environment(groups[slot % len(groups)]))


def _left_by_a_kill(stage: str, runs: list[str], code: int, pid: int) -> list[str]:
    """What is left of a share whose process `pid` ended with `code`: where it was killed, the runs after the one that it was at.

    That one is recorded as failed, unless a training that its process had forked still goes on.
    """
    number = -code if code < 0 else code - 128  # as Python says it, and as bash does
    records = {run: read_job(run, stage) or {} for run in runs}
    at_work = [run for run, record in records.items() if record.get("state") == "running" and record.get("pid") == pid]
    if number not in _KILLS or not at_work:
        return []
    if not is_running(at_work[0], stage):
        end_killed(at_work[0], stage, signal.Signals(number).name)
    left = runs[runs.index(at_work[0]) + 1 :]
    if left:
        print(f"{at_work[0]}: its process was killed; another does the {len(left)} after it", file=sys.stderr, flush=True)
    return left


def _start(stage: str, runs: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    first, *rest = runs
    command = ["bash", str(paths.RunPaths(first).script(stage)), "--log", *rest]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)


def _environment(gpus: list[str]) -> dict[str, str]:
    """Share out GPUs; cores are shared out by the stage itself, so that `dvc repro` computes with as many threads."""
    return {**environment_of_another_job(), **({"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {})}
