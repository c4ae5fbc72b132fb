"""Measures what is claimed to be fast, for 10, 100 and 1,000 runs, and a training against a bare `tune run` of its config.

Reads the template. Writes nothing outside a temporary folder, which KEEP=<new folder> replaces and keeps; prints a table, ratios.
Runs are finished by finished_runs.py, not trained, but for those of the ratios (benchmarks/training.py).
Command: make bench (.venv/bin/python benchmarks/measure.py [10 100 1000])
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import training
from experiments import BIN, bake_experiment, call, experiments_folder, finish_runs
from validate import AFTER_IMPORTS

SIZES = (10, 100, 1000)
# Seconds for 1,000 runs.
LIMITS = {"stamp, from nothing": 10, "validate, after imports": 10, "status": 1, "a second `make all`": 30}
RECORD = """
import sys
sys.path.insert(0, "scripts")
from ftexp.state.dvc_files import record_finished
from ftexp.design.planning import planned_runs
from ftexp.state.work import Work
record_finished(Work(), planned_runs())
"""


def main(arguments: list[str]) -> None:
    """Print every figure."""
    sizes = [int(word) for word in arguments] or list(SIZES)
    with experiments_folder() as root:
        columns = {size: measure(root / str(size), size) for size in sizes}
        names = list(columns[sizes[0]])
        print(f"| seconds | {' | '.join(f'{size:,} runs' for size in sizes)} | limit for 1,000 |")
        print(f"|---|{'--:|' * len(sizes)}--:|")
        for name in names:
            cells = " | ".join(f"{columns[size][name]:.1f}" for size in sizes)
            print(f"| {name} | {cells} | {LIMITS.get(name, '')} |", flush=True)
        training.main(root)


def measure(root: Path, runs: int) -> dict[str, float]:
    """Wall seconds of every stage but training and evaluation, in the order of the pipeline."""
    figures = {"cookiecutter": seconds(lambda: bake_experiment(root, runs))}
    folder = root / "bench"
    (folder / ".venv").symlink_to(BIN.parent)
    stage = lambda verb: seconds(lambda: call(folder, [sys.executable, f"scripts/{verb}.py"]))  # noqa: E731
    figures["plan"] = stage("plan")
    figures["stamp, from nothing"] = stage("stamp")
    figures["stamp, nothing changed"] = stage("stamp")
    figures["split"] = stage("split")
    began = time.perf_counter()
    after_imports = float(call(folder, [sys.executable, "-c", AFTER_IMPORTS]).split()[-1])
    figures["validate, imports among it"] = time.perf_counter() - began
    figures["validate, after imports"] = after_imports
    finish_runs(folder)
    figures["status, first time"] = stage("status")
    figures["status"] = stage("status")
    figures["recording by DVC, all runs"] = seconds(lambda: call(folder, [sys.executable, "-c", RECORD]))
    figures["report, from nothing, recorded"] = stage("report")
    figures["report, nothing changed"] = stage("report")
    call(folder, ["make", "all"])
    figures["a second `make all`"] = seconds(lambda: call(folder, ["make", "all"]))
    return figures


def seconds(action: Callable[[], object]) -> float:
    """Wall time of an action."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1:])
