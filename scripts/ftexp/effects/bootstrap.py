"""The bootstrap over clusters, jointly for all runs, for metrics that are no mean over items (F1, AUC, R2, calibration)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ftexp.effects.analysis import Metric
from ftexp.effects.arrays import Anything, BoolArray, IntArray
from ftexp.effects.errors import UnusableTable
from ftexp.effects.measurements import ItemScores, item_scores
from ftexp.effects.variances import Measured

SEED = 20240101


@dataclass(frozen=True)
class Answers:
    """One task and metric. R runs, N items, L_k rows (items x repetitions) of test set k.

    Attributes:
        items: Test sets, clusters and groups; its values are not used.
        rows: Per test set (L_k,) the item of each row.
        targets: Per run (L_k,) what was right.
        predictions: Per run (L_k,) what the run said.
    """

    items: ItemScores
    rows: tuple[IntArray, ...]
    targets: tuple[Anything, ...]
    predictions: tuple[Anything, ...]


def answers(part: pd.DataFrame, positions: dict[str, int], arms: dict[int, Any], groups: Sequence[str]) -> Answers:
    """Targets and predictions of one task and metric, all runs of a test set in the same order of rows.

    Raises:
        UnusableTable: As `item_scores`; and if a column is missing, or two runs of a test set were not asked an item equally
            often.
    """
    missing = [name for name in ("target", "prediction") if name not in part]
    if missing:
        raise UnusableTable(f"scores: {', '.join(missing)}: missing column, which a metric that is no mean over items needs.")
    items = item_scores(part.assign(score=0.0), positions, arms, groups)
    ordered = part.assign(_position=part["run"].map(positions), _item=pd.factorize(part["item"], sort=True)[0])
    by_run = dict(iter(ordered.sort_values(["_position", "_item", "epoch"]).groupby("_position")))
    frames = [by_run[int(run)] for run in items.runs]
    first: dict[int, int] = {}
    for run, of_set in enumerate(items.test_sets):
        other = frames[first.setdefault(int(of_set), run)]
        if not np.array_equal(other["_item"].to_numpy(), frames[run]["_item"].to_numpy()):
            names = f"{other['run'].iloc[0]} and {frames[run]['run'].iloc[0]}"
            what = f"runs {names} were asked an item not equally often"
            raise UnusableTable(f"scores: epoch: {what}. Give both the same repetitions.")
    return Answers(
        items, tuple(frames[first[of_set]]["_item"].to_numpy(dtype=np.int64) for of_set in sorted(first)),
        tuple(frame["target"].to_numpy() for frame in frames), tuple(frame["prediction"].to_numpy() for frame in frames),
    )


def resampled(
    answers: Answers, metric: Metric, *, is_used: BoolArray, resamples: int, bounds: tuple[float, float] | None
) -> tuple[Measured, IntArray]:
    """The metric of every run, and its deviations in resamples of the clusters of the items that are used.

    A resample draws clusters with replacement, once for all runs of a test set, and takes all rows of a drawn cluster.
    One in which some run's metric is not defined (nan: an AUC without a negative) is left out.

    Returns:
        The measured runs, and their positions in the table of runs; a run whose metric is not defined is not there.
    """
    rng = np.random.default_rng(SEED)
    items = answers.items
    used = [np.flatnonzero(is_used[rows]) for rows in answers.rows]
    point = np.array([_value(answers, metric, run, used[of_set]) for run, of_set in enumerate(items.test_sets.tolist())])
    runs = np.flatnonzero(np.isfinite(point))
    drawn = np.empty((len(runs), resamples))
    members = [_members(items.clusters[answers.rows[of_set][rows]], rows) for of_set, rows in enumerate(used)]
    for resample in range(resamples):
        chosen = [_draw(rng, clusters) for clusters in members]
        drawn[:, resample] = [_value(answers, metric, int(run), chosen[items.test_sets[run]]) for run in runs]
    drawn = drawn[:, np.isfinite(drawn).all(axis=0)]
    sets, test_sets = np.unique(items.test_sets[runs], return_inverse=True)
    return Measured(
        means=point[runs], deviations=(drawn - drawn.mean(axis=1, keepdims=True)) / np.sqrt(max(drawn.shape[1], 1)),
        test_sets=np.asarray(test_sets, dtype=np.int64), sizes=np.zeros((len(sets), 0)),
        n_items=(items.asked & is_used).sum(axis=1)[sets],
        n_clusters=np.array([len(members[of_set]) for of_set in sets], dtype=np.int64), bounds=bounds, resamples=drawn.shape[1],
    ), items.runs[runs]


def _value(answers: Answers, metric: Metric, run: int, rows: IntArray) -> float:
    return float(metric(answers.targets[run][rows], answers.predictions[run][rows])) if len(rows) else float("nan")


def _members(clusters: IntArray, rows: IntArray) -> list[IntArray]:
    """The rows of each cluster."""
    order = np.argsort(clusters, kind="stable")
    return [part for part in np.split(rows[order], np.flatnonzero(np.diff(clusters[order])) + 1) if len(part)]


def _draw(rng: np.random.Generator, clusters: list[IntArray]) -> IntArray:
    if not clusters:
        return np.zeros(0, dtype=np.int64)
    return np.concatenate([clusters[index] for index in rng.integers(len(clusters), size=len(clusters))])


