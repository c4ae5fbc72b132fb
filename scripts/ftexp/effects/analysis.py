"""What an analysis needs to know beside the two tables: factors, baselines, metrics, ranges, design and alpha."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ftexp.effects.arrays import Anything

Metric = Callable[[Anything, Anything], float]


@dataclass(frozen=True)
class Analysis:
    """How to read the two tables.

    Attributes:
        factors: Per factor, in declared order, its levels in declared order, as they stand in `runs`. `seed` is none.
        primary: The metric whose rows are confirmatory; those of all others are exploratory.
        baseline: The baseline level of a factor; where a factor is left out, its first level.
        design: `factorial`, `one_at_a_time` or `list`. The last two have contrasts with the baseline cell, and of each
            cell with its control, only.
        groups: Names of groups, columns `group:<name>` of `scores`, constant per item; within their values all is repeated.
        ranges: Least and largest possible score of a metric, (0, 1) where it is left out; None for one without bounds.
        custom: Metrics that are no mean over items: per name a function of the arrays `target` and `prediction` (both
            of one row per item and repetition). Their items are resampled.
        test_set_factors: Factors whose levels have test sets of their own by design; across them nothing is paired.
        kinds: The kinds of contrasts that are wanted; all where it is empty.
        alpha: Two-sided error of an interval.
        resamples: Bootstrap resamples for the metrics in `custom`.
    """

    factors: Mapping[str, Sequence[Any]]
    primary: str
    baseline: Mapping[str, Any] = field(default_factory=dict)
    design: Literal["factorial", "one_at_a_time", "list"] = "factorial"
    groups: Sequence[str] = ()
    ranges: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)
    custom: Mapping[str, Metric] = field(default_factory=dict)
    test_set_factors: Sequence[str] = ()
    kinds: Sequence[str] = ()
    alpha: float = 0.05
    resamples: int = 1000

    def bounds(self, metric: str) -> tuple[float, float] | None:
        """Least and largest possible score of a metric; None where it has no bounds."""
        return self.ranges.get(metric, (0.0, 1.0))


def canonical(level: Any) -> str:
    """The one text of a level, so that 16, 16.0 and `16`, or 1e-4 and `0.0001`, are the same level."""
    value = number_of(level)
    return str(level) if value is None else repr(value)


def number_of(level: Any) -> float | None:
    """A level as a finite number; None where it is no number (a boolean is none)."""
    if isinstance(level, bool | np.bool_):
        return None
    try:
        value = float(level)
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None
