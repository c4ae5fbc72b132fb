"""Measures `report` on 1,000 trained runs and a control, each asked 1,000 test items: seconds, memory, size of what it leaves.

Reads the template. Writes nothing outside a temporary folder, which KEEP=<new folder> replaces and keeps; prints one line per
figure. Logs are made by finished_runs.py. DVC_ROOT is set, as DVC does, so that DVC records nothing.
Command: .venv/bin/python benchmarks/report.py [metrics: two metrics over labels beside the scorer]
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments import call, environment, experiments_folder, finish_runs, make_experiment

REPEATS = 2
ITEMS = 1_000
METRICS = ("macro_f1", "balanced_accuracy")
OUTPUTS = ("report.html", "results.csv", "cells.csv", "effects.csv", "items.parquet", "timings.csv", "figures/*", "metrics/*")
SCORES = "scores/*/*"
MEMORIES = ".scratch/*.json"


def main(metrics: Sequence[str]) -> None:
    """Print every figure. What a child's peak memory counts begins with its parent's, so logs are made in another process."""
    with experiments_folder() as root:
        folder = make_experiment(root, 1000, items=ITEMS, metrics=metrics)
        began = time.perf_counter()
        finish_runs(folder)
        seconds, logs = time.perf_counter() - began, list(folder.glob("runs/*/eval/*.eval"))
        print(f"{len(logs):,} logs of {ITEMS:,} items: {bytes_of(logs) / 1e9:.2f} GB, made in {seconds:.0f} s", flush=True)
        for what, patterns in (
            ("report, nothing judged, nothing remembered", (*OUTPUTS, SCORES, MEMORIES)),
            ("report of judged answers (limit 60 s, 4 GB)", OUTPUTS), ("a second report, nothing changed", ()),
        ):
            for _ in range(REPEATS):
                forget(folder, patterns)
                measure(folder, "report", what)
        forget(folder, (SCORES, MEMORIES))
        measure(folder, "score", "make score, nothing judged, nothing remembered")
        measure(folder, "score", "a second make score")
        print(call(folder, [sys.executable, __file__, "effects"]), end="")
        for name in (*OUTPUTS, SCORES):
            files = list(folder.glob(name))
            print(f"{name}: {bytes_of(files) / 1e6:.2f} MB" + (f" in {len(files)} files" if len(files) > 1 else ""))


def forget(folder: Path, patterns: Sequence[str]) -> None:
    """Remove what a report left, or what stages remember."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink()


def measure(folder: Path, verb: str, what: str) -> None:
    """One line: wall seconds and peak memory of one process of a verb's. Its output goes to a file beside the experiment."""
    terminal = folder.parent / "terminal.txt"
    began = time.perf_counter()
    with terminal.open("wb") as file:
        command, own = [sys.executable, f"scripts/{verb}.py"], {**environment(folder), "DVC_ROOT": str(folder)}
        process = subprocess.Popen(command, cwd=folder, env=own, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(terminal.read_text(encoding="utf-8")[-2000:])
    processor = usage.ru_utime + usage.ru_stime
    print(f"{what}: {seconds:.1f} s ({processor:.1f} of processor time), {usage.ru_maxrss * 1024 / 1e9:.2f} GB", flush=True)


def bytes_of(files: Sequence[Path]) -> int:
    """Size of files together."""
    return sum(path.stat().st_size for path in files)


def time_effects() -> None:
    """One line: seconds of the function `effects` alone, on the tables that the report makes."""
    from ftexp.design.planning import planned_runs
    from ftexp.design.spec import read_experiment
    from ftexp.effects import effects
    from ftexp.ground import paths
    from ftexp.reporting.scores import analysis_of, runs_frame
    from ftexp.results.judge_runs import Judge
    from ftexp.results.measures import measures_of
    from ftexp.results.recorded import recorded_answers
    from ftexp.results.table import collect_states, tasks_done
    from ftexp.state.work import Work

    experiment, work = read_experiment(paths.EXPERIMENT_YAML), Work()
    facts = collect_states(work, planned_runs())
    judge = Judge(experiment.evaluation, work.code["scoring"], work.hashes)
    measures = measures_of(recorded_answers(tasks_done(facts), judge, experiment.evaluation), experiment.evaluation)
    runs, analysis = runs_frame(facts, experiment), analysis_of(experiment, measures)
    for _ in range(REPEATS):
        began = time.perf_counter()
        table = effects(measures.scores, runs, analysis)
        print(f"effects alone, {len(measures.scores):,} scores, {len(table):,} rows: {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    if sys.argv[1:] == ["effects"]:
        sys.path.insert(0, "scripts")  # the experiment's own
        time_effects()
    else:
        main(METRICS if sys.argv[1:] == ["metrics"] else ())
