"""The work list of a stage: what is ready, stale or failed, and may run; what is under way, waits, is refused or done."""

import sys
from dataclasses import dataclass, field

from ftexp.design.run import Run
from ftexp.ground.options import Options
from ftexp.state.status_words import UNDER_WAY, WORK
from ftexp.state.work import Work


@dataclass
class WorkList:
    """Runs by what is to be done with them, the last three with a reason; `can_force`: some are refused for their preflight."""

    to_do: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    under_way: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    can_force: bool = False


def meant(runs: list[Run], stage: str, options: Options) -> list[Run]:
    """The runs that have this stage and are picked; to pick a run is to pick its training, whichever run has it."""
    picked = {run.training if stage == "train" else run.id for run in runs if options.picks(run.id)}
    return [run for run in runs if stage in run.stages and run.id in picked]


def work_list(work: Work, runs: list[Run], stage: str, options: Options) -> WorkList:
    """Sort the runs that have this stage and are picked."""
    options.require_picked([run.id for run in runs])
    result = WorkList()
    for run in meant(runs, stage, options):
        state = work.state(run, stage)
        if state.status == "done":
            result.done.append(run.id)
        elif run.problems:
            result.refused.append((run.id, state.reason))
        elif state.status in UNDER_WAY:
            job = f"job {state.job}" if state.job else ""
            result.under_way.append((run.id, ", ".join(filter(None, [state.status, job, state.reason]))))
        elif refusal := work.refusal(run):
            result.refused.append((run.id, refusal))
            result.can_force = True
        elif state.status in WORK:
            result.to_do.append(run.id)
        else:
            result.waiting.append((run.id, state.reason))
    return result


def announce(listed: WorkList, stage: str) -> None:
    """Say how many runs are to do, done and neither, and why those that are neither are not."""
    parts = [f"{len(listed.to_do)} to do", f"{len(listed.done)} done"]
    parts += [f"{len(group)} {word}" for word, group in _others(listed) if group]
    print(f"{stage}: {', '.join(parts)}", file=sys.stderr, flush=True)
    for word, group in _others(listed):
        for run, reason in group[:SHOWN]:
            print(f"  runs/{run}: {'skipped: ' if word == 'under way' else ''}{reason}", file=sys.stderr)
        if len(group) > SHOWN:
            print(f"  and {len(group) - SHOWN} more {word}", file=sys.stderr)
    if listed.can_force:
        print("  FORCE=1 goes on with what its preflight refuses, in submit and in eval; the results say so", file=sys.stderr)


SHOWN = 20


def _others(listed: WorkList) -> list[tuple[str, list[tuple[str, str]]]]:
    return [("under way", listed.under_way), ("waiting", listed.waiting), ("refused", listed.refused)]
