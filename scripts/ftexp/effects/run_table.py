"""The table of runs: each run's value with its standard error, and by how much it differs from its control, on the items of both.

R runs, N items, U units (clusters of items), S sides: a run on some of its items, measured once whoever asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ftexp.effects.analysis import Analysis, Measure
from ftexp.effects.arrays import Anything, BoolArray, FloatArray, IntArray
from ftexp.effects.cells import check_runs, controls_of
from ftexp.effects.checks import check_scores
from ftexp.effects.measurements import Panel, panels
from ftexp.effects.metrics import Metric, Rows
from ftexp.effects.table import counted, measures_of

COLUMNS = (
    "run", "task", "metric", "value", "se", "n_items", "n_scored", "n_clusters", "diff_control", "diff_control_se",
    "control_reason",
)
NO_SCORES, OTHER_ITEMS = "has no scores", "was asked other items"
NOTHING_IN_COMMON = "has no scored item in common with it"
NOT_DEFINED = "or the run has no value on their common items: the metric is not defined there"


def run_table(scores: pd.DataFrame, runs: pd.DataFrame, metrics: Mapping[str, Metric]) -> pd.DataFrame:
    """Values of runs and their differences from their controls, with standard errors over items (Miller 2024, arXiv 2411.00640).

    With d_g the sum of the influences of the items of cluster g, of G clusters, the standard error is sqrt(G / (G - 1) * sum of
    d_g^2): of a mean over single items s / sqrt(n). Of a difference, d_g is the run's less the control's (paired).

    Args:
        scores: As `effects` reads them; group columns are not needed.
        runs: run, kind, control (empty for none) and perhaps eval_status: what a run scored that is not `done` does not count.
        metrics: As in `Analysis`.

    Returns:
        One row per run, task and metric that there are scores of, runs in their order: run, task, metric, value (empty where the
        metric is not defined), se (as value, and empty for one cluster), n_items (asked), n_scored and n_clusters (of those
        with a score), diff_control (value less its control's, on the items that both have a score of), diff_control_se, and
        control_reason: why there is no difference from the control that it has, as what is to be said of that control.

    Raises:
        UnusableTable: If a table contradicts itself or the other: see `check_scores`, `check_runs`, `controls_of` and `panels`.
    """
    check_scores(scores, ())
    check_runs(runs, ())
    positions = {str(run): position for position, run in enumerate(runs["run"])}
    controls = np.array([positions.get(control, -1) for control in controls_of(runs)], dtype=np.int64)
    arms, analysis = dict(enumerate(range(len(runs)))), Analysis({}, "", metrics=metrics)
    tables = []
    for measure, rows in measures_of(counted(scores, runs)).items():
        panel = panels([(rows, analysis.metric(measure.metric))], positions, arms, ())[0]
        tables.append(_of_panel(panel, measure, controls))
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS))
    table = pd.concat(tables, ignore_index=True).sort_values("run", kind="stable", ignore_index=True)
    return table.assign(run=np.asarray(runs["run"].astype(str), dtype=object)[table["run"]])[list(COLUMNS)]


@dataclass(frozen=True)
class _Sides:
    """Value, standard error, number of clusters (S,), and the clusters' errors (S, U)."""

    values: FloatArray
    deviations: FloatArray
    n_clusters: IntArray


def _of_panel(panel: Panel, measure: Measure, controls: IntArray) -> pd.DataFrame:
    """The rows of one task and metric, with positions in place of names of runs; `controls`: position of each run's, or -1."""
    rank = np.full(len(controls) + 1, -1)
    rank[panel.runs] = np.arange(len(panel.runs))
    control = rank[controls[panel.runs]]  # the last of `rank` is that of none
    common = panel.has_score & panel.has_score[control]
    is_paired = (control >= 0) & (panel.test_sets == panel.test_sets[control]) & common.any(axis=1)
    pairs = np.flatnonzero(is_paired)
    runs = np.concatenate([np.arange(len(panel.runs)), pairs, control[pairs]])
    sides, of_row = _sides(panel, runs, np.concatenate([panel.has_score, common[pairs], common[pairs]]))
    own, run, of_control = np.split(of_row, [len(panel.runs), len(panel.runs) + len(pairs)])
    difference, error = np.full((2, len(panel.runs)), np.nan)
    difference[pairs] = sides.values[run] - sides.values[of_control]
    error[pairs] = _standard_error(sides.deviations[run] - sides.deviations[of_control], sides.n_clusters[run])
    has_control = controls[panel.runs] >= 0
    reasons = np.select(
        [~has_control, control < 0, panel.test_sets != panel.test_sets[control], ~is_paired, np.isnan(difference)],
        ["", NO_SCORES, OTHER_ITEMS, NOTHING_IN_COMMON, NOT_DEFINED], "",
    )
    return pd.DataFrame({
        "run": panel.runs, "task": measure.task, "metric": measure.metric, "value": sides.values[own],
        "se": _standard_error(sides.deviations[own], sides.n_clusters[own]), "n_items": panel.asked.sum(axis=1)[panel.test_sets],
        "n_scored": panel.has_score.sum(axis=1), "n_clusters": sides.n_clusters[own], "diff_control": difference,
        "diff_control_se": error, "control_reason": reasons,
    })


def _standard_error(deviations: FloatArray, n_clusters: IntArray) -> FloatArray:
    """(S,) sqrt(G / (G - 1) * sum of squares) of the clusters' errors (S, U); nan for one cluster."""
    count = np.where(n_clusters > 1, n_clusters, np.nan)
    return np.asarray(np.sqrt(count / (count - 1) * (deviations**2).sum(axis=1)))


def _sides(panel: Panel, runs: IntArray, is_used: BoolArray) -> tuple[_Sides, IntArray]:
    """What runs come to on some of their items (N,) each, and which of the distinct sides each is."""
    keys = np.hstack([runs.astype(np.int64)[:, None].view(np.uint8), np.packbits(is_used, axis=1)])
    _, first, of_row = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    rows, items = _rows_of(panel, runs[first], is_used[first])
    found = panel.metric.influences(rows)
    clusters, units = np.unique(panel.clusters, return_inverse=True)
    places, shape = rows.runs * len(clusters) + units[items], (len(first), len(clusters))
    deviations, counts = (
        np.bincount(places, weights=each, minlength=shape[0] * shape[1]).astype(np.float64).reshape(shape)
        for each in (found.influences, None)
    )
    return _Sides(found.values, deviations, (counts > 0).sum(axis=1)), np.asarray(of_row).reshape(-1)


def _rows_of(panel: Panel, runs: IntArray, is_used: BoolArray) -> tuple[Rows, Anything]:
    """The rows of sides, numbered by side, and their items."""
    order = np.argsort(panel.rows.runs, kind="stable")
    counts = np.bincount(panel.rows.runs, minlength=len(panel.runs))
    sides = np.repeat(np.arange(len(runs)), counts[runs])
    within = np.arange(len(sides)) - np.repeat(np.cumsum(counts[runs]) - counts[runs], counts[runs])
    rows = order[(np.cumsum(counts) - counts)[runs][sides] + within]
    is_kept = is_used[sides, panel.items[rows]]
    rows, sides = rows[is_kept], sides[is_kept]
    return Rows(sides, len(runs), {name: column[rows] for name, column in panel.rows.columns.items()}), panel.items[rows]
