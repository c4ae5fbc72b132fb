"""cells.csv: mean and spread over seeds of every cell, task and metric.

A cell is a combination of the factors' levels, the seed aside; every control is a cell of its own. Nothing is read or written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

NUMBERS = ("mean", "sd", "min", "max")
MEASURE = ["task", "metric"]
MOST_REASONS = 3


@dataclass(frozen=True)
class Cell:
    """One cell of the design.

    Attributes:
        name: In words: `lora_rank 16, lr 3e-3`, of the factors of two or more levels; `control <run>` of a control.
        kind: `trained` or `control`.
        levels: Per factor its level as text; empty where the factor does not concern it.
        runs: Ids of its planned runs, in the order of the design.
        control: Id of the control of its runs; empty where they have none.
    """

    name: str
    kind: str
    levels: dict[str, str]
    runs: tuple[str, ...]
    control: str = ""


def cells_of(runs: pd.DataFrame, factors: Sequence[str]) -> list[Cell]:
    """The cells in the order in which the design comes to them.

    Args:
        runs: One row per planned run: run, kind, control, one column per factor.
        factors: Names of the factors, without the seed.
    """
    columns = [_texts(runs, name) for name in ("run", "kind", "control", *factors)]
    found: dict[tuple[str, ...], list[str]] = {}
    for run, kind, control, *levels in zip(*columns, strict=True):
        key = (kind, run if kind == "control" else control, *levels)
        found.setdefault(key, []).append(run)
    varied = [
        axis for axis, _ in enumerate(factors) if len({levels[axis] for kind, _, *levels in found if kind != "control"}) > 1
    ]
    cells = []
    for (kind, control, *levels), members in found.items():
        words = ", ".join(f"{factors[axis]} {levels[axis] or 'none'}" for axis in varied)
        name = f"control {control}" if kind == "control" else words or "the tuned runs"
        own = dict(zip(factors, levels, strict=True))
        cells.append(Cell(name, kind, own, tuple(members), "" if kind == "control" else control))
    return cells


def _texts(table: pd.DataFrame, column: str) -> list[str]:
    """A column as texts, empty where it is; of a column that is not there nothing but empty texts."""
    if column not in table:
        return [""] * len(table)
    return ["" if pd.isna(value) else str(value) for value in table[column]]


def cells_table(
    values: pd.DataFrame, runs: pd.DataFrame, factors: Sequence[str], asked: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row per cell, task and metric that a run of the cell is asked, in the order of the design.

    Args:
        values: One row per run, task and metric: run, task, metric, value (nan where there is none).
        runs: One row per planned run: run, kind, control, one column per factor; status and reason where it is not done.
        factors: Names of the factors, without the seed.
        asked: One row per run, task and metric of the design: run, task, metric, and `reason` where that is known. Left out:
            every run is asked all that stands in `values`.

    Returns:
        cell, kind, the factors, task, metric, n_seeds (runs with a value), mean, sd (over the seeds, n - 1 in the denominator;
        nan of one), min, max (on the metric's scale), runs (planned and asked), reason (where one has no value).

    Raises:
        ValueError: If a run of `values` or `asked` is not in `runs`, or has a task and metric twice.
    """
    cells = cells_of(runs, factors)
    rows = _rows(values, runs, asked)
    of_run = {run: number for number, cell in enumerate(cells) for run in cell.runs}
    rows["cell"] = rows["run"].map(of_run)
    groups = rows.groupby(["cell", "measure"])
    table = groups["value"].agg(n_seeds="count", mean="mean", sd="std", min="min", max="max", runs="size").reset_index()
    first = rows.drop_duplicates("measure").set_index("measure")
    reasons = _reasons(rows[rows["value"].isna()], runs)
    own = [cells[number] for number in table["cell"]]
    keys = zip(table["cell"], table["measure"], strict=True)
    return pd.DataFrame({
        "cell": [cell.name for cell in own], "kind": [cell.kind for cell in own],
        **{name: [cell.levels[name] for cell in own] for name in factors},
        **{name: table["measure"].map(first[name]).to_numpy(dtype=object) for name in MEASURE},
        **{name: table[name] for name in ("n_seeds", *NUMBERS, "runs")},
        "reason": [reasons.get(key, "") for key in keys],
    })


def _rows(values: pd.DataFrame, runs: pd.DataFrame, asked: pd.DataFrame | None) -> pd.DataFrame:
    """What is asked, with its value: run, task, metric, value, reason, measure (number of task and metric, as they come)."""
    if asked is None:
        asked = runs[["run"]].merge(values[MEASURE].drop_duplicates(), how="cross")
    for name, table in (("values", values), ("asked", asked)):
        unknown = table.loc[~table["run"].isin(runs["run"]), "run"]
        if len(unknown):
            raise ValueError(f"{name}: run: not in the table of runs, got {unknown.iloc[0]}")
    columns = ["run", *MEASURE]
    keys = dict.fromkeys(columns, object)
    rows = asked[[*columns, *(["reason"] if "reason" in asked else [])]].astype(keys).merge(
        values[[*columns, "value"]].astype(keys), on=columns, how="left", validate="one_to_one"
    )
    rows["value"] = rows["value"].astype(float)
    rows["measure"] = rows.groupby(MEASURE, sort=False).ngroup()
    return rows


def _reasons(missing: pd.DataFrame, runs: pd.DataFrame) -> dict[tuple[int, int], str]:
    """Per cell and measure which runs have no value, and why: the first of them, and how many more."""
    names = _texts(runs, "run")
    statuses = dict(zip(names, zip(_texts(runs, "status"), _texts(runs, "reason"), strict=True), strict=True))
    found: dict[tuple[int, int], list[str]] = {}
    columns = ([*missing["cell"]], [*missing["measure"]], [*missing["run"]], _texts(missing, "reason"))
    for cell, measure, run, own in zip(*columns, strict=True):
        status, reason = statuses[run]
        of_run = ": ".join(filter(None, [status, reason])) if status not in ("", "done") else ""
        found.setdefault((cell, measure), []).append(f"{run}: {own or of_run or 'no value'}")
    return {key: _joined(texts) for key, texts in found.items()}


def _joined(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - MOST_REASONS} more" if len(texts) > MOST_REASONS else ""
    return "; ".join(texts[:MOST_REASONS]) + more


def cells_csv(table: pd.DataFrame) -> str:
    """cells.csv: numbers to six significant digits, what is not known empty."""
    return str(table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
