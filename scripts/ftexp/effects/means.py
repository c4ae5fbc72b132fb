"""Means of the runs, each with an interval of its own: the points that plots of effects show."""

import numpy as np
import pandas as pd

from ftexp.effects.intervals import mean_interval

COLUMNS = ("run", "task", "metric", "mean", "low", "high", "n_items", "n_clusters", "method")


def means(scores: pd.DataFrame, *, alpha: float = 0.05) -> pd.DataFrame:
    """Score of each run, on new items: for metrics that are means over items.

    Repetitions of an item are averaged first. A proportion (every score 0 or 1, every item its own cluster) has Wilson's
    interval, anything else t over clusters.

    Returns:
        One row per run, task and metric: run, task, metric, mean, low, high (on the metric's scale; low and high empty
        where there is one cluster only), n_items, n_clusters, method.
    """
    rows = []
    for (task, metric, run), part in scores.groupby(["task", "metric", "run"], sort=False):
        items = part.groupby("item", sort=False).agg(score=("score", "mean"), cluster=("cluster", "first"))
        clusters = pd.factorize(items["cluster"])[0]
        low, high, method = mean_interval(items["score"].to_numpy(dtype=np.float64), clusters, alpha)
        rows.append((run, task, metric, float(items["score"].mean()), low, high, len(items), len(np.unique(clusters)), method))
    return pd.DataFrame(rows, columns=list(COLUMNS))
