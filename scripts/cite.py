"""Prints what the numbers of one run stand on, as YAML: data, model, config, code, packages, seed, jobs, log; how to load it.

Reads runs/<id>/ and that of its control, data/splits/<name>/*.json, template.json. Writes nothing.
Command: make cite RUN=<id> (python scripts/cite.py <id>)
"""

import subprocess
from pathlib import Path
from typing import Any

from ftexp.design.planning import planned_runs
from ftexp.design.spec import read_experiment
from ftexp.ground import paths
from ftexp.ground.errors import UserError, run_command
from ftexp.ground.options import read_run
from ftexp.ground.yamlfile import dump_yaml
from ftexp.jobs.backends import work_here
from ftexp.results.loading_lines import loading_lines
from ftexp.results.provenance import provenance_of_log, provenance_of_run
from ftexp.results.table import RunFacts, collect_contents, collect_states, controls_by_run, results_header, results_rows

RESULT = ("task", "metric", "n", "score", "score_se", "majority", "chance", "diff_control", "diff_control_se", "train_loss")


def main(arguments: list[str]) -> int:
    """Print the run's result and its provenance."""
    paths.require_experiment()
    experiment = read_experiment(paths.EXPERIMENT_YAML)
    runs = planned_runs()
    name = read_run(arguments, [run.id for run in runs], "cite")
    work = work_here()
    control = controls_by_run(runs).get(name)
    states = [facts for facts in collect_states(work, runs) if facts.id in (name, control)]
    work.hashes.save()
    own = {facts.id: facts for facts in collect_contents(states, experiment.analysis)}
    if not own[name].answers:
        raise UserError(f"runs/{name}: has no number to cite: {_why(own[name])}")
    header, rows = results_header(list(experiment.factors)), results_rows(list(own.values()))
    row = next(dict(zip(header, row, strict=True)) for row in rows if row[0] == name)
    result: dict[str, Any] = {key: row[key] for key in RESULT if row[key]}
    if control and own[control].answers:
        result |= {"control": {"run": control, "log": provenance_of_log(own[control].run)}}
    said = {"experiment": experiment.name, "run": name, "levels": own[name].run.levels, "result": result, "git": _commit()}
    print(dump_yaml(said | provenance_of_run(own[name].run)), end="")
    print("loading: |", *(f"  {line}" for line in _loading(own[name])), sep="\n")
    return 0


def _loading(facts: RunFacts) -> list[str]:
    """How to load it; or, where its base is no longer there to be read, what is wrong with that: its numbers stand."""
    try:
        return loading_lines(facts.run)
    except UserError as error:
        return [f"# {line}" for line in str(error).splitlines()]


def _why(facts: RunFacts) -> str:
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
