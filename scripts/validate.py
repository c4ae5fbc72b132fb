"""Proves, before anything is spent, that every config says what the design says, and that tokens agree.

Reads runs.csv, runs/*/{run.yaml, finetune.yaml, eval.py}, the splits, the base models' files; or the one config that is named.
Writes preflight.json: per run its errors, its warnings, its cost and the hash of what was checked.
Command: make validate (python scripts/validate.py [CONFIG.yaml [RECIPE]]: any config of torchtune's, without an experiment;
         make validate calls python scripts/validate.py --surroundings first: can the place keep an experiment?)
"""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ftexp.checks.cautions import cautions
from ftexp.checks.cost import cost_in_words
from ftexp.checks.measured_memory import measured_peaks
from ftexp.checks.site_check import check_site, check_tracking
from ftexp.checks.verdicts import Verdicts, grouped
from ftexp.data.answers import Answers
from ftexp.data.items import read_task_items, reference_answers
from ftexp.design.evaluation_section import Evaluation
from ftexp.design.fit_of_scores import AnswersOfTasks, answers_of_runs
from ftexp.design.planning import planned_runs
from ftexp.design.run import Run, Task
from ftexp.design.spec import read_experiment
from ftexp.ground import paths
from ftexp.ground.errors import run_command, sentence
from ftexp.ground.events import record_event
from ftexp.ground.filesystem import write_json
from ftexp.jobs.dot_env import check_secrets, read_secrets
from ftexp.jobs.site import read_site
from ftexp.life.surroundings import require_surroundings
from ftexp.state.row_sets import Missing
from ftexp.state.run_lock import only_one_make
from ftexp.state.work import Work, read_preflight


def main(arguments: list[str]) -> int:
    """Check all runs, those whose preflight is current and green from memory, or one config; 1 where one has an error."""
    if arguments and arguments != ["--surroundings"]:
        return _check_one_config(*arguments[:2])
    paths.require_experiment()
    if arguments:
        return _check_surroundings()
    with only_one_make("validate"):
        return _validate()


def _check_surroundings() -> int:
    for warning in require_surroundings(planned_runs()):
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def _validate() -> int:
    runs, work = planned_runs(), Work()
    _warn_of_secrets()
    if not any(run.problems for run in runs) and all(work.preflight(run).status == "done" for run in runs):
        work.hashes.save()
        known = read_preflight()
        entries = known["runs"]
        print(_cost(runs, work, entries), file=sys.stderr)
        _show_bases(known.get("bases", {}))
        _show_warnings(runs, {name: entry["warnings"] for name, entry in entries.items()})
        print(f"validate: {len(runs)} runs, nothing changed", file=sys.stderr)
        return 0
    verdicts, hashes = Verdicts.of(run.id for run in runs), _hashes(runs, work)
    for run in runs:
        missing = hashes[run.id][1]
        verdicts.add(run.id, errors=[*run.problems, *([missing] if missing else [])])
    document = _check(runs, verdicts)
    work.hashes.save()
    for name, entry in document["runs"].items():
        entry["hash"] = hashes[name][0]
    write_json(paths.PREFLIGHT_JSON, document)
    return _report(runs, verdicts, document, _cost(runs, work, document["runs"]))


def _warn_of_secrets() -> None:
    """Anew each time and kept nowhere: this is of the machine, and of a file that nothing else hashes."""
    environment = {**read_secrets(), **os.environ}
    for warning in [*check_secrets(), *check_tracking(read_site(paths.SITE_YAML), environment)]:
        print(f"warning: {warning}", file=sys.stderr)


def _answers(runs: list[Run], evaluation: Evaluation) -> AnswersOfTasks:
    """Per run and task the reference answers; where its rows are not made yet, validate says so of the run."""
    def answers_of(task: Task, test: str, train: str) -> Answers | None:
        is_made = paths.split_part(test, "test").is_file()
        return reference_answers(train, task.data, read_task_items(test, task.data, None, ())) if is_made else None

    return answers_of_runs(runs, evaluation, answers_of)


def _hashes(runs: list[Run], work: Work) -> dict[str, tuple[str, str]]:
    """Per run the hash of what is checked, and what is missing for it."""
    found = {}
    for run in runs:
        try:
            found[run.id] = (work.preflight_hash(run), "")
        except Missing as missing:
            found[run.id] = ("", str(missing))
    return found


def _check(runs: list[Run], verdicts: Verdicts) -> dict[str, Any]:
    """Check the runs whose files are there, and return what preflight.json holds, but for the hashes."""
    from ftexp.checks.preflight import check_runs

    ready, site = [run for run in runs if not verdicts.errors[run.id]], read_site(paths.SITE_YAML)
    found = check_runs(ready, verdicts)
    for run in ready:
        verdicts.add(run.id, warnings=check_site(run, site))
    entries = {
        name: {
            "hash": "", "errors": verdicts.errors[name], "warnings": verdicts.warnings[name],
            **({"cost": asdict(found.costs[name])} if name in found.costs else {}),
        }
        for name in verdicts.errors
    }
    return {"runs": entries, "examples": found.examples, "bases": found.bases}


def _check_one_config(file: str, recipe: str | None = None) -> int:
    """Check a bare config of torchtune's, for the recipe that is named, or that fits it best."""
    if file.startswith("-"):
        print("usage: python scripts/validate.py [CONFIG.yaml [RECIPE]]", file=sys.stderr)
        return 2
    from ftexp.trainers.torchtune.checks.bare_config import check_file

    verdict = check_file(Path(file), recipe)
    for message in verdict.warnings:
        print(f"warning: {file}: {message}", file=sys.stderr)
    for message in verdict.errors:
        print(f"{file}: {message}", file=sys.stderr)
    count = len(verdict.errors)
    print(f"validate: {file}: {count or 'no'} mistake{'' if count == 1 else 's'}, as read by {verdict.recipe}")
    return 1 if count else 0


def _report(runs: list[Run], verdicts: Verdicts, document: dict[str, Any], cost: str) -> int:
    """Show one training example per distinct prompt, the cost, the warnings, then the errors, equal ones grouped."""
    for example in document["examples"]:
        print(f"\nprompt of {example['run']} (trained part between the marks):\n{example['text']}")
    print(cost, file=sys.stderr)
    _show_bases(document["bases"])
    _show_warnings(runs, verdicts.warnings)
    for line in grouped(verdicts.errors):
        print(line, file=sys.stderr)
    bad, warned = (sum(map(bool, found.values())) for found in (verdicts.errors, verdicts.warnings))
    outcome = f"{len(runs) - bad} of {len(runs)} runs are ready"
    outcome += (f", {bad} have errors" if bad else "") + (f", {warned} have warnings" if warned else "")
    print(f"validate: {outcome}", file=sys.stderr)
    record_event("validate", outcome)
    return 1 if bad else 0


def _show_bases(bases: dict[str, str]) -> None:
    """What each base model can do before it is trained."""
    for line in bases.values():
        print(line)


def _show_warnings(runs: list[Run], warnings: dict[str, list[str]]) -> None:
    """What was found of runs, equal ones grouped; then what is to be said of all together, and of how scores are read.

    That is looked at anew each time, since no run's own preflight hashes it.
    """
    experiment = read_experiment(paths.EXPERIMENT_YAML)
    for line in [*grouped(warnings), *map(sentence, cautions(experiment, runs, _answers(runs, experiment.evaluation)))]:
        print(f"warning: {line}", file=sys.stderr)


def _cost(runs: list[Run], work: Work, entries: dict[str, Any]) -> str:
    """The cost of all runs that could be counted; `entries` are those of preflight.json."""
    costs = {name: entry["cost"] for name, entry in entries.items() if "cost" in entry}
    counted = [run for run in runs if run.training in costs or (run.is_control and not run.problems)]
    if not costs:
        return ""
    tried = [run for run in counted if paths.RunPaths(run.id).train_csv.is_file()]
    finished = {run.id for run in tried if work.state(run, "train").status == "done"}
    return "\n" + cost_in_words(costs, counted, read_site(paths.SITE_YAML), measured_peaks(runs, finished))


if __name__ == "__main__":
    run_command(main)
