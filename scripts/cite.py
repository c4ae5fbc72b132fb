"""Prints what the numbers of one run stand on, as YAML: data, model, config, code, packages, seed, jobs, log; how to load it.

Reads runs/<id>/ and that of its control, data/splits/<name>/*.json, template.json. Writes nothing.
Command: make cite RUN=<id> (python scripts/cite.py <id>)
"""

import subprocess
from pathlib import Path
from typing import Any

from ftexp.design.controls import controls_of
from ftexp.design.planning import planned_runs
from ftexp.design.spec import Experiment, read_experiment
from ftexp.ground import paths
from ftexp.ground.errors import UserError, run_command
from ftexp.ground.options import read_run
from ftexp.ground.yamlfile import dump_yaml
from ftexp.jobs.backends import work_here
from ftexp.results.judge_runs import Judge
from ftexp.results.kept import KEPT_COLUMNS
from ftexp.results.loading_lines import loading_lines
from ftexp.results.measures import measures_of
from ftexp.results.provenance import provenance_of_logs, provenance_of_run
from ftexp.results.recorded import Recorded, recorded_answers
from ftexp.results.table import RunFacts, Table, collect_states, results_header, results_rows, tasks_done, with_contents

RESULT = (
    "task", "metric", "n", "unscored", "valid", "score", "score_se", "majority", "chance", "diff_control", "diff_control_se",
    "train_loss", *KEPT_COLUMNS,
)


def main(arguments: list[str]) -> int:
    """Print the run's result and its provenance."""
    paths.require_experiment()
    experiment = read_experiment(paths.EXPERIMENT_YAML)
    runs = planned_runs()
    name = read_run(arguments, [run.id for run in runs], "cite")
    work = work_here()
    control = controls_of(runs).get(name)
    states = [facts for facts in collect_states(work, runs) if facts.id in (name, control)]
    judge = Judge(experiment.evaluation, work.code["scoring"], work.hashes)
    recorded = recorded_answers(tasks_done(states), judge, experiment.evaluation)
    work.hashes.save()
    own = {facts.id: facts for facts in with_contents(states, recorded.unusable)}
    if name not in set(recorded.frame["run"]):
        raise UserError(f"runs/{name}: has no number to cite: {_why(own[name], recorded)}")
    said: dict[str, Any] = {"experiment": experiment.name, "run": name, "levels": own[name].run.levels}
    said |= {"results": _results(experiment, list(own.values()), recorded, name), "git": _commit()}
    if control and control in set(recorded.frame["run"]):
        said |= {"control": {"run": control, "logs": provenance_of_logs(own[control].run)}}
    print(dump_yaml(said | provenance_of_run(own[name].run)), end="")
    print("loading: |", *(f"  {line}" for line in _loading(own[name])), sep="\n")
    return 0


def _results(experiment: Experiment, own: list[RunFacts], recorded: Recorded, name: str) -> list[dict[str, str]]:
    """The rows of results.csv of one run that have a score."""
    from ftexp.effects import run_table
    from ftexp.reporting.scores import runs_frame

    measures = measures_of(recorded, experiment.evaluation)
    values = run_table(measures.scores, runs_frame(own, experiment), measures.metrics)
    header = results_header(list(experiment.factors), [facts.run for facts in own])
    rows = [dict(zip(header, row, strict=True)) for row in results_rows(own, Table(values, measures, recorded.references))]
    return [{key: row[key] for key in RESULT if row.get(key)} for row in rows if row["run"] == name and row["score"]]


def _loading(facts: RunFacts) -> list[str]:
    """How to load it; or, where its base is no longer there to be read, what is wrong with that: its numbers stand."""
    try:
        return loading_lines(facts.run)
    except UserError as error:
        return [f"# {line}" for line in str(error).splitlines()]


def _why(facts: RunFacts, recorded: Recorded) -> str:
    said = next((reason for (run, _), reason in recorded.unusable.items() if run == facts.id), "")
    if said:
        return said
    stages = (("training", facts.train), ("evaluation", facts.eval))
    stage, state = next((stage, state) for stage, state in stages if state and state.status != "done")
    reason = f" ({state.reason})" if state.reason else ""
    return f"its {stage} is {state.status}{reason}. Run: make submit eval"


def _commit() -> dict[str, Any] | None:
    """The experiment's own commit, and whether anything changed since; None outside git, or before a first commit."""
    if not Path(".git").exists():
        return None
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode != 0:
        return None
    command = ["git", "status", "--porcelain", "--", ".", f":(exclude){paths.EVENTS_JSONL}"]
    status = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"commit": head.stdout.strip(), "has_uncommitted_changes": bool(status.stdout.strip())}


if __name__ == "__main__":
    run_command(main)
