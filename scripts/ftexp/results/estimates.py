"""A mean over items with its standard error, over clusters where items belong to some."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ftexp.evaluation.inspect_logs import Answer


@dataclass(frozen=True)
class Estimate:
    """A mean over items with its standard error (None for a single item)."""

    n: int
    mean: float
    se: float | None


def item_scores(answers: Iterable[Answer]) -> dict[str, float]:
    """Per item the mean of its scores over the epochs, items in the answers' order."""
    scores: dict[str, list[float]] = {}
    for answer in answers:
        scores.setdefault(answer.item, []).append(answer.score)
    return {item: math.fsum(values) / len(values) for item, values in scores.items()}


def estimate(values: Sequence[float], clusters: Sequence[str]) -> Estimate:
    """Mean over n items, and its standard error over G clusters: sqrt(G / (G - 1) * sum of squared sums of deviations) / n.

    Where every item is its own cluster this is s / sqrt(n), s with n - 1 in the denominator: the central-limit and the
    clustered standard error of Miller 2024 (arXiv 2411.00640). It is about items only: what another seed would give is
    not in it.

    Args:
        values: (n,) score of each item.
        clusters: (n,) its cluster.
    """
    n = len(values)
    mean = math.fsum(values) / n
    deviations: dict[str, float] = defaultdict(float)
    for value, cluster in zip(values, clusters, strict=True):
        deviations[cluster] += value - mean
    if len(deviations) < 2:
        return Estimate(n, mean, None)
    correction = len(deviations) / (len(deviations) - 1)
    return Estimate(n, mean, math.sqrt(correction * math.fsum(d * d for d in deviations.values())) / n)
