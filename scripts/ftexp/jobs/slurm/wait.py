"""Waiting for Slurm: a live table, and submitting what had to wait for room."""

import sys
import time
from collections import Counter

from ftexp.design.planning import planned_runs
from ftexp.design.run import STAGES
from ftexp.ground.options import Options, read_options
from ftexp.ground.text_table import text_table
from ftexp.jobs.progress import describe_training
from ftexp.jobs.site import Site
from ftexp.jobs.slurm import bad_nodes, deferred
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.slurm.backend import submit_stage
from ftexp.jobs.slurm.queue import SlurmQueue
from ftexp.state.dvc_files import record_finished
from ftexp.state.job_record import read_job
from ftexp.state.status_words import UNDER_WAY, State
from ftexp.state.work import Work

States = dict[tuple[str, str], State]
# Rows of the live table: what fits on a small screen.
_ROWS = 15
_CLEAR = "\x1b[H\x1b[2J"


def wait(site: Site) -> int:
    """Show how the jobs get on, and submit what had to wait, until nothing is under way; then record what is finished."""
    feeder, board = Feeder(), Board()
    while True:
        feeder.feed(site)
        runs, work = planned_runs(), Work(SlurmQueue())
        states = {(run.id, stage): work.state(run, stage) for run in runs for stage in run.stages}
        work.hashes.save()
        bad_nodes.remember(states.values())
        silence = work.queue.silence if work.queue else ""
        board.show(states, silence)
        is_under_way = any(state.status in UNDER_WAY for state in states.values())
        if not (is_under_way or silence or any(deferred.read().values())):
            break
        time.sleep(site.poll_s)
    record_finished(work, runs)
    return 0


class Feeder:
    """Submits what an earlier call left for later, whenever there are fewer jobs than after the last attempt."""

    def __init__(self) -> None:
        self._full_at = {stage: sys.maxsize for stage in STAGES}

    def feed(self, site: Site) -> None:
        """Submit as far as there is room; what Slurm does not answer to is tried again at the next poll."""
        for stage, names in deferred.read().items():
            if not names or not self._has_room(stage):
                continue
            try:
                submit_stage(stage, site, Options(names=frozenset(names), is_sure=True, is_forced=read_options().is_forced))
            except slurm.NotReached as error:
                print(error, file=sys.stderr)
            after = SlurmQueue()
            self._full_at[stage] = after.active_count if after.answers else sys.maxsize

    def _has_room(self, stage: str) -> bool:
        """Whether a job has ended since the last attempt, or there is none."""
        queue = SlurmQueue()
        return queue.answers and (queue.active_count < self._full_at[stage] or queue.active_count == 0)


class Board:
    """What is under way: redrawn on a terminal, elsewhere a line whenever something changed."""

    def __init__(self) -> None:
        self._said = ""

    def show(self, states: States, silence: str) -> None:
        """Show the counts per stage and, on a terminal, what runs."""
        said = " | ".join(_counts(states, stage) for stage in STAGES)
        said += f" | Slurm does not answer: {silence}" if silence else ""
        if sys.stderr.isatty():
            print(_CLEAR + said + "\n\n" + _running(states), file=sys.stderr, flush=True)
        elif said != self._said:
            print(said, file=sys.stderr, flush=True)
        self._said = said


def _counts(states: States, stage: str) -> str:
    """How many runs are in which status; of those that wait in the queue, Slurm's reasons."""
    here = [state for (_, of_stage), state in states.items() if of_stage == stage]
    counts = Counter(state.status for state in here)
    reasons = Counter(state.reason for state in here if state.status == "submitted" and state.reason)
    said = {"submitted": f" ({', '.join(sorted(reasons))})" if reasons else ""}
    return f"{stage}: " + ", ".join(f"{number} {status}{said.get(status, '')}" for status, number in sorted(counts.items()))


def _running(states: States) -> str:
    """A table of what runs and what failed: run, stage, status, job, time, and how far it is."""
    rows = [
        (run, stage, state.status, state.job, state.elapsed, _progress(run, stage, state))
        for (run, stage), state in states.items() if state.status in ("running", "failed")
    ]
    more = f"\nand {len(rows) - _ROWS} more" if len(rows) > _ROWS else ""
    return text_table(("run", "stage", "status", "job", "time", ""), rows[:_ROWS]) + more if rows else ""


def _progress(run: str, stage: str, state: State) -> str:
    record = read_job(run, stage)
    return describe_training(run, record) if stage == "train" and state.status == "running" and record else state.reason
