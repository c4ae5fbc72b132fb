"""Measures `run_table` on 1,000 trained runs and a control x 1,000 items x 3 metrics: seconds, and the process's peak memory.

Two scores of right or wrong and macro F1 over five labels; then the same where one answer in a hundred could not be scored, so
that each run has items of its own; then the area under the curve of four options. Reads nothing. Writes nothing; prints a table.
Command: OMP_NUM_THREADS=1 .venv/bin/python benchmarks/run_table.py [runs 1000] [items 1000]
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from ftexp.effects import run_table
from ftexp.effects.label_metrics import MacroF1
from ftexp.effects.option_metrics import MacroAuc, option_columns

REPEATS, LABELS, OPTIONS = 3, 5, 4
MOST_SECONDS, MOST_GIGABYTES = 5, 1.5
METRICS = {"macro_f1": MacroF1(), "auc": MacroAuc(OPTIONS)}


def main(arguments: list[str]) -> None:
    """Print every figure."""
    n_runs, n_items = (int(arguments[place]) if len(arguments) > place else 1000 for place in (0, 1))
    runs = table_of_runs(n_runs)
    answers = answers_of(runs, n_items)
    rng = np.random.default_rng(1)
    gaps = rng.random(len(answers)) < 0.01
    gapped = answers.assign(**{name: answers[name].mask(gaps) for name in ("score", "prediction")})
    print("| what | rows of scores | seconds | GB at most |\n|---|--:|--:|--:|")
    three = ("exact", "includes", "macro_f1")
    for what, table, metrics in (
        ("three metrics", answers, three), ("the same with gaps", gapped, three), ("auc of four options", answers, ("auc",)),
    ):
        scores = pd.concat(
            [table.assign(metric=pd.Categorical([name] * len(table), categories=metrics)) for name in metrics], ignore_index=True)
        seconds = [seconds_of(scores, runs) for _ in range(REPEATS)]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        print(f"| {what} | {len(scores):,} | {min(seconds):.1f} to {max(seconds):.1f} | {memory:.2f} |", flush=True)
    print(f"\nlimits of the first two: {MOST_SECONDS} s and {MOST_GIGABYTES} GB, the table of scores among it")


def seconds_of(scores: pd.DataFrame, runs: pd.DataFrame) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    run_table(scores, runs, METRICS)
    return time.perf_counter() - began


def table_of_runs(count: int) -> pd.DataFrame:
    """A control and so many trained runs."""
    names = [f"run{number:04d}" for number in range(count)]
    return pd.DataFrame({"run": ["base", *names], "kind": ["control"] + ["trained"] * count, "control": ["", *["base"] * count]})


def answers_of(runs: pd.DataFrame, n_items: int) -> pd.DataFrame:
    """Labels right in three of five, and probabilities of options, item by item and run by run."""
    rng = np.random.default_rng(0)
    count, shape = len(runs) * n_items, (len(runs), n_items)
    items = np.array([f"item{number:05d}" for number in range(n_items)])
    target = np.tile(rng.integers(0, OPTIONS, n_items), len(runs))
    prediction = np.where(rng.random(count) < 0.6, target, rng.integers(-1, LABELS, count))
    sure = rng.dirichlet(np.ones(OPTIONS), count)
    item = pd.Categorical.from_codes(np.broadcast_to(np.arange(n_items), shape).ravel(), categories=items)
    return pd.DataFrame({
        "run": pd.Categorical.from_codes(np.repeat(np.arange(len(runs)), n_items), categories=runs["run"]),
        "task": pd.Categorical(["test"] * count), "item": item, "cluster": item, "epoch": 1,
        "score": (prediction == target).astype(float), "target": target, "prediction": prediction.astype(float),
        **{name: sure[:, place] for place, name in enumerate(option_columns(OPTIONS)[:-1])},
    })


if __name__ == "__main__":
    main(sys.argv[1:])
