"""What an analysis needs to know beside the two tables: factors, baselines, metrics, design and alpha."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from ftexp.effects.metrics import UNNAMED, Metric


class Measure(NamedTuple):
    """One task by one metric."""

    task: str
    metric: str


class Difference(NamedTuple):
    """A run's score by one measure minus its score by another: between two tasks, or between two metrics of one kind."""

    of: Measure
    minus: Measure

    @property
    def name(self) -> Measure:
        """Task and metric in words: `b minus a` where the two differ."""
        return Measure(*(one if one == other else f"{one} minus {other}" for one, other in zip(self.of, self.minus, strict=True)))


@dataclass(frozen=True)
class Analysis:
    """How to read the two tables.

    Attributes:
        factors: Per factor, in declared order, its levels in declared order, as they stand in `runs`. `seed` is none.
        primary: The metric whose rows are confirmatory; those of all others are exploratory.
        primary_task: The task whose rows of that metric are; all tasks where it is empty.
        baseline: The baseline level of a factor; where a factor is left out, its first level.
        design: `factorial`, `one_at_a_time` or `list`. The last two have contrasts with the baseline cell, and of each
            cell with its control, only.
        groups: Names of groups, columns `group:<name>` of `scores`, constant per item; within their values all is repeated.
        metrics: How a metric comes from its items, by name; one that is not named is the mean of `score`, from 0 to 1
            or, where a score lies outside, without bounds.
        differences: Pairs of measures whose difference, run by run, is compared like one more measure.
        test_set_factors: Factors whose levels have test sets of their own by design; across them nothing is paired.
        chosen: Factors whose level was chosen by its score. The best of several is best partly by luck, so that differences
            between their levels get no interval.
        kinds: The kinds of contrasts that are wanted; all where it is empty.
        others: Names of what each cell and the average of cells are compared with beside their controls: existing checkpoints,
            runs of kind `control` that the columns `control:<name>` of `runs` name as `control` names the control.
        alpha: Two-sided error of an interval.
        resamples: Bootstrap resamples by which the delta method is checked where a metric is no mean.
    """

    factors: Mapping[str, Sequence[Any]]
    primary: str
    primary_task: str = ""
    baseline: Mapping[str, Any] = field(default_factory=dict)
    design: Literal["factorial", "one_at_a_time", "list"] = "factorial"
    groups: Sequence[str] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    differences: Sequence[Difference] = ()
    test_set_factors: Sequence[str] = ()
    chosen: Sequence[str] = ()
    kinds: Sequence[str] = ()
    others: Sequence[str] = ()
    alpha: float = 0.05
    resamples: int = 200

    def metric(self, name: str) -> Metric:
        """The metric of a name."""
        return self.metrics.get(name, UNNAMED)

    def is_primary(self, measure: Measure) -> bool:
        """Whether the rows of a measure are confirmatory."""
        return measure.metric == self.primary and self.primary_task in ("", measure.task)


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
