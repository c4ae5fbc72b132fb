"""Shows the design in words and as a table, and writes the plan, before anything is spent.

Reads experiment.yaml and the data. Writes runs.csv and runs/<id>/run.yaml.
Command: make plan (python scripts/plan.py)
"""

from collections.abc import Sequence
from typing import Any

from ftexp import paths
from ftexp.design import Run
from ftexp.errors import run_command
from ftexp.planning import cell, folders_not_in_design, make_plan, runs_table, write_plan
from ftexp.run_disk import adapter_megabytes
from ftexp.settings import SETTINGS
from ftexp.spec import Experiment
from ftexp.text_table import text_table


def main(arguments: list[str]) -> int:
    """Plan, write, show; 1 where a run has a problem of its own."""
    paths.require_experiment()
    experiment, runs = make_plan()
    write_plan(experiment, runs)
    print(describe(experiment, runs))
    return 1 if any(run.problems for run in runs) else 0


def describe(experiment: Experiment, runs: list[Run]) -> str:
    """The plan as text: question, factors, constants, derived values, the table of runs, disk."""
    trained = [run for run in runs if run.kind == "trained"]
    lines = [
        f"{experiment.name}: {experiment.question}",
        "",
        f"{len(trained)} runs ({' x '.join(f'{len(levels)} {name}' for name, levels in experiment.factors.items()) or 'one cell'}) "
        f"and {len(runs) - len(trained)} controls",
        *_describe_factors(experiment),
        "constant: " + ", ".join(f"{name}={cell(value)}" for name, value in _constants(experiment, trained[0]).items()),
        "",
        _runs_as_table(experiment, runs),
        "",
        _describe_disk(trained),
    ]
    extra = folders_not_in_design([run.id for run in runs])
    if extra:
        lines.append(f"not in the design (kept, not reported): {', '.join(extra)}")
    lines += [f"problem: {run.id}: {problem}" for run in runs for problem in run.problems]
    return "\n".join(lines)


def _describe_factors(experiment: Experiment) -> list[str]:
    return [f"varies: {name}: {', '.join(cell(level.label) for level in levels)}" for name, levels in experiment.factors.items()]


def _constants(experiment: Experiment, run: Run) -> dict[str, Any]:
    """Settings that are the same in all runs: declared ones and defaults, not derived ones."""
    varied = {name for levels in experiment.factors.values() for level in levels for name in level.sets}
    settings = {name: run.settings[name] for name in SETTINGS if name not in varied and name not in ("lora_alpha", "warmup_steps")}
    return {name: value for name, value in {**settings, **experiment.constants}.items() if value is not None}


def _runs_as_table(experiment: Experiment, runs: list[Run]) -> str:
    import csv
    import io

    rows = list(csv.reader(io.StringIO(runs_table(experiment, runs))))
    keep = [i for i, name in enumerate(rows[0]) if name != "problem"]
    shown: Sequence[list[str]] = [[row[i] for i in keep] for row in rows]
    return text_table(shown[0], shown[1:])


def _describe_disk(trained: list[Run]) -> str:
    sizes = [adapter_megabytes(run.settings) for run in trained]
    if any(size is None for size in sizes):
        return "disk: not known before `make setup` has linked models/"
    return f"disk: about {sum(size for size in sizes if size):.1f} MB of checkpoints, and up to three times that while training"


if __name__ == "__main__":
    run_command(main)
