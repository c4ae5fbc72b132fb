"""Tables of runs and of scores as effects takes them, made here, and what is read from its table."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
from ftexp.effects.arrays import FloatArray
from ftexp.effects.metrics import Mean

UNBOUNDED = {"match": Mean(bounds=None)}
Table = pd.DataFrame


def planned(levels: dict[str, list[Any]], seeds: int = 1, *, has_control: bool = True) -> Table:
    """A full factorial, the control first; ids are `<levels>_s<seed>`."""
    base = [{"run": "base", "kind": "control", "control": ""}] if has_control else []
    cells = [dict(zip(levels, cell, strict=True)) for cell in itertools.product(*levels.values())]
    return pd.DataFrame(base + [
        {
            "run": "_".join(map(str, cell.values())) + f"_s{seed}", "kind": "trained", "control": "base" if has_control else "",
            "seed": seed, **cell,
        }
        for cell, seed in itertools.product(cells, range(1, seeds + 1))
    ])


def scored(values: dict[str, Any], *, cluster_size: int = 1, metric: str = "match") -> Table:
    """Scores of items i0, i1, ... per run; items in runs of `cluster_size` share a cluster."""
    return pd.DataFrame([
        {
            "run": run, "task": "words", "metric": metric, "item": f"i{i:04d}", "cluster": f"c{i // cluster_size:04d}",
            "epoch": 1, "score": float(score),
        }
        for run, scores in values.items() for i, score in enumerate(scores)
    ])


def simulated(runs: Table, items: int, *, cluster_size: int = 1, seed: int = 0) -> Table:
    """Right or wrong by item and run."""
    rng = np.random.default_rng(seed)
    item, run = rng.normal(size=items), rng.normal(scale=0.5, size=(len(runs), 1))
    answers = rng.normal(size=(len(runs), items)) < item + run
    return scored(dict(zip(runs["run"], answers, strict=True)), cluster_size=cluster_size)


def pick(table: Table, kind: str, scope: str = "models", **columns: str) -> "pd.Series[Any]":
    """The one row of a kind and scope."""
    rows = table[(table["kind"] == kind) & (table["scope"] == scope)]
    for name, value in columns.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1, rows
    return rows.iloc[0]


def is_empty(row: "pd.Series[Any]") -> bool:
    return bool(row[["estimate", "se_items", "se_seeds", "se", "df", "low", "high", "p", "p_holm"]].isna().all())


TWO = {"a": ["x", "y"], "b": [1, 2]}


def without(runs: Table, scores: Table, *ids: str) -> tuple[Table, Table]:
    """The runs with these failed, and the scores without theirs."""
    failed = runs["run"].isin(ids)
    return runs.assign(eval_status=np.where(failed, "failed", "done"), reason=np.where(failed, "out of memory", "")), scores


def numbers(table: Table) -> FloatArray:
    return table[["estimate", "se", "low", "high", "p", "p_holm"]].to_numpy(dtype=float)
