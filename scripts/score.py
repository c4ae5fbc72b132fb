"""Judges recorded answers by the scorers and metrics of experiment.yaml. What is judged is kept, and nothing is generated.

Reads experiment.yaml, site.yaml (graders), runs/*/eval/*.eval that eval.json vouches for, the rows of tasks.
Writes scores/<task>/<run>.parquet.
Command: make score [ONLY='<patterns>'] (python scripts/score.py)
"""

import sys
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from ftexp.design.planning import planned_runs
from ftexp.design.spec import read_experiment
from ftexp.evaluation.inspect_logs import UnusableLog
from ftexp.ground import paths
from ftexp.ground.errors import run_command, sentence
from ftexp.ground.options import read_options
from ftexp.jobs.backends import work_here
from ftexp.jobs.dot_env import load_secrets
from ftexp.jobs.site import read_site
from ftexp.results.judge_runs import Judge
from ftexp.results.table import collect_states, tasks_done
from ftexp.state.run_lock import only_one_make

if TYPE_CHECKING:
    from inspect_ai.model import Model

MOST_LINES = 20


def main(arguments: list[str]) -> int:
    """Judge; 1 where a grader did not answer, or a log cannot be read."""
    paths.require_experiment()
    with only_one_make("score"):
        return _score()


def _score() -> int:
    runs, work, options = planned_runs(), work_here(), read_options()
    options.require_picked([run.id for run in runs])
    evaluation = read_experiment(paths.EXPERIMENT_YAML).evaluation
    judge = Judge(evaluation, work.code["scoring"], work.hashes, _grader())
    judged: Counter[tuple[str, str]] = Counter()
    again: Counter[str] = Counter()
    unusable = []
    done = [(run, task) for run, task in tasks_done(collect_states(work, runs)) if options.picks(run.id)]
    for run, task in done:
        try:
            outcome = judge.score(run, task, is_quick=False)
        except UnusableLog as error:
            unusable.append(str(error))
            continue
        if outcome:
            judged.update((task.name, name) for name in outcome.judged or ("its own scores",))
            again.update({f"{task.name}: {reason}": count for reason, count in outcome.to_judge_again.items()})
    work.hashes.save()
    _show(len(done), judged, again, unusable)
    return 1 if again or unusable else 0


def _grader() -> "Callable[[str], Model]":
    """How a grader is reached: as site.yaml says, with the keys of .env; nothing is loaded before one is asked for."""
    urls = read_site(paths.SITE_YAML).graders
    load_secrets()

    def reach(name: str) -> "Model":
        from ftexp.scoring.graders import reached

        return reached(name, urls)

    return reach


def _show(count: int, judged: Counter[tuple[str, str]], again: Counter[str], unusable: list[str]) -> None:
    for (task, name), number in judged.items():
        print(f"score: {task}: {name}: {number} {'run' if number == 1 else 'runs'}", file=sys.stderr)
    if not judged:
        print(f"score: nothing to do: {count} evaluations of tasks are judged", file=sys.stderr)
    for reason, number in again.items():
        print(f"  {number} answers not judged: {sentence(reason)} To judge them again: make score", file=sys.stderr)
    for line in unusable[:MOST_LINES]:
        print(f"  {sentence(line)}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
