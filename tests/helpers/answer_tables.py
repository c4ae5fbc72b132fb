"""Tables of runs and answers as the report's views take them, made here: a factorial, what each run said, its values."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

Table = pd.DataFrame
FACTORS = ["rank", "lr"]


def two_factors(seeds: int = 2, ranks: int = 2) -> Table:
    """The control `base`, and ranks 1, 2, 4, ... at two learning rates with seeds from 1."""
    rows = [{"run": "base", "kind": "control", "control": "", "seed": "", "rank": None, "lr": None, "status": "done"}]
    rows += [
        {
            "run": f"r{2**rank}_lr{lr}_s{seed}", "kind": "trained", "control": "base", "seed": str(seed), "rank": str(2**rank),
            "lr": lr, "status": "done",
        }
        for rank in range(ranks) for lr in ("1e-4", "3e-3") for seed in range(1, seeds + 1)
    ]
    return pd.DataFrame(rows)


def answered(runs: Sequence[str], targets: Sequence[str], *, task: str = "stance", right: float = 0.6, seed: int = 0) -> Table:
    """What runs said: a share of it right, the rest another target or no label; with a probability, and `exact`."""
    rng = np.random.default_rng(seed)
    wrong, n = [*dict.fromkeys(targets), "I do not know"], len(targets)
    parts = []
    for run in runs:
        said = np.where(rng.random(n) < right, targets, rng.choice(wrong, n))
        parts.append(pd.DataFrame({
            "run": run, "task": task, "item": [f"i{k:04d}" for k in range(n)], "epoch": 1, "input": [f"q{k}" for k in range(n)],
            "target": targets, "completion": said, "exact": (said == np.asarray(targets)).astype(float),
            "probability": rng.beta(4, 2, n),
        }))
    return pd.concat(parts, ignore_index=True)


def valued(answers: Table, metric: str = "exact") -> Table:
    """The mean of a scorer by run and task."""
    means = answers.groupby(["run", "task"], sort=False)[metric].mean().rename("value").reset_index()
    return means.assign(metric=metric)
