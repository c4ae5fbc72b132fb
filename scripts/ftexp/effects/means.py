"""Values of single runs, each with an interval of its own."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ftexp.effects.analysis import Analysis
from ftexp.effects.arrays import FloatArray
from ftexp.effects.checks import check_scores
from ftexp.effects.intervals import t_interval, wilson_interval
from ftexp.effects.item_variance import item_part
from ftexp.effects.measurements import Panel, measured, panels
from ftexp.effects.metrics import Metric
from ftexp.effects.variances import Measured

COLUMNS = ("run", "task", "metric", "value", "low", "high", "n_items", "n_clusters", "method")


def means(scores: pd.DataFrame, metrics: Mapping[str, Metric], *, alpha: float = 0.05) -> pd.DataFrame:
    """The value of each run, on new items.

    A proportion (every score 0 or 1, every item asked once and its own cluster) has Wilson's interval, anything else t over
    clusters.

    Args:
        scores: As `effects` reads them.
        metrics: As in `Analysis`.
        alpha: Two-sided error.

    Returns:
        One row per run, task and metric, runs in order of appearance: run, task, metric, value, low, high (on the metric's
        scale; empty where there is one cluster only), n_items (asked), n_clusters, method.
    """
    check_scores(scores, ())
    names = list(dict.fromkeys(scores["run"]))
    positions, analysis = {name: index for index, name in enumerate(names)}, Analysis({}, "", metrics=metrics)
    tables = []
    for (task, metric), rows in scores.groupby(["task", "metric"], sort=False):
        panel = panels([(rows, analysis.metric(str(metric)))], positions, dict(enumerate(range(len(names)))), ())[0]
        found = measured(panel)
        low, high, methods = intervals(panel, found, alpha)
        tables.append(pd.DataFrame({
            "run": [names[run] for run in found.runs], "task": task, "metric": metric,
            "value": found.means, "low": low, "high": high,
            "n_items": found.n_items[found.test_sets], "n_clusters": found.n_clusters[found.test_sets], "method": methods,
        }))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def intervals(panel: Panel, found: Measured, alpha: float) -> tuple[FloatArray, FloatArray, list[str]]:
    """Both ends (R,) of each run's interval, and the methods."""
    units = "items" if found.n_clusters.sum() == found.n_items.sum() else "clusters"
    n_items = found.n_items[found.test_sets]
    successes = found.means * n_items
    if panel.is_proportion and units == "items" and np.allclose(successes, np.rint(successes), atol=1e-9):
        return *wilson_interval(np.rint(successes), n_items, alpha), ["Wilson"] * len(found.runs)
    items = item_part(np.eye(len(found.runs)), found)
    low, high, _ = t_interval(found.means, np.sqrt(items.variance), items.df, alpha)
    return low, high, [f"t over {units}"] * len(found.runs)
