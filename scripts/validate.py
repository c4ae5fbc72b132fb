"""Proves, before anything is spent, that every config says what the design says, and that tokens agree.

Reads runs.csv, runs/*/{run.yaml, finetune.yaml, eval.py}, the splits, the base models' files; or the one config that is named.
Writes preflight.json: per run its errors and the hash of what was checked. Errors of all runs at once.
Command: make validate (python scripts/validate.py [CONFIG.yaml [RECIPE]]: any config of torchtune's, without an experiment)
"""

import logging
import sys
from pathlib import Path
from typing import Any

from ftexp import paths
from ftexp.errors import run_command
from ftexp.events import record_event
from ftexp.filesystem import write_json
from ftexp.planning import planned_runs
from ftexp.state import Missing, Work


def main(arguments: list[str]) -> int:
    """Check all runs, those whose preflight is current and green from memory, or one config; 1 where one has an error."""
    if arguments:
        return _check_one_config(*arguments[:2])
    paths.require_experiment()
    runs, work = planned_runs(), Work()
    if all(work.preflight(run).status == "done" for run in runs):
        work.hashes.save()
        print(f"validate: {len(runs)} runs, nothing changed", file=sys.stderr)
        return 0
    logging.getLogger("torchao").setLevel(logging.ERROR)  # it warns of C++ extensions that nothing here uses
    from ftexp.checks.preflight import check_runs

    hashes: dict[str, str] = {}
    errors: dict[str, list[str]] = {run["run"]: list(run["problems"]) for run in runs}
    for run in runs:
        try:
            hashes[run["run"]] = work.preflight_hash(run)
        except Missing as missing:
            errors[run["run"]].append(str(missing))
    ready = [run for run in runs if not errors[run["run"]]]
    examples = check_runs(ready, errors)
    work.hashes.save()
    write_json(paths.PREFLIGHT_JSON, {
        "runs": {run["run"]: {"hash": hashes.get(run["run"], ""), "errors": errors[run["run"]]} for run in runs},
        "examples": examples,
    })
    return _report(runs, errors, examples)


def _check_one_config(file: str, recipe: str | None = None) -> int:
    """Check a bare config of torchtune's, for the recipe that is named, or that fits it best."""
    logging.getLogger("torchao").setLevel(logging.ERROR)
    from ftexp.checks.bare_config import check_file

    recipe, messages = check_file(Path(file), recipe)
    for message in messages:
        print(f"{file}: {message}", file=sys.stderr)
    print(f"validate: {file}: {len(messages) or 'no'} mistake{'' if len(messages) == 1 else 's'}, as read by {recipe}")
    return 1 if messages else 0


def _report(runs: list[dict[str, Any]], errors: dict[str, list[str]], examples: list[dict[str, Any]]) -> int:
    """Show one training example per distinct prompt, then the errors, equal ones grouped."""
    for example in examples:
        print(f"\nprompt of {example['run']} (trained part between the marks):\n{example['text']}")
    grouped: dict[str, list[str]] = {}
    for run, messages in errors.items():
        for message in messages:
            grouped.setdefault(message, []).append(run)
    for message, concerned in grouped.items():
        more = f" and {len(concerned) - 3} more" if len(concerned) > 3 else ""
        print(f"{', '.join(f'runs/{run}' for run in concerned[:3])}{more}: {message}", file=sys.stderr)
    bad = sum(bool(messages) for messages in errors.values())
    outcome = f"{len(runs) - bad} of {len(runs)} runs are ready" + (f", {bad} have errors" if bad else "")
    print(f"validate: {outcome}", file=sys.stderr)
    record_event("validate", outcome)
    return 1 if bad else 0


if __name__ == "__main__":
    run_command(main)
