"""What is claimed, and the words of it: sizes, intervals, lists, and what a reason in the table of effects says."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from ftexp.effects import Analysis
from ftexp.effects.remarks import OVER
from ftexp.reporting.number_words import shown, shown_range

ALPHA = 0.05


def averaged_over(reason: str) -> str:
    """Of a reason in the table of effects, over which cells is averaged where the design excludes others."""
    found = re.search(rf"(?:^|; ){re.escape(OVER).replace(re.escape('{}'), '(.+?)')}", reason)
    return found[1] if found else ""


def missing_runs(reason: str) -> str:
    """Of a reason in the table of effects, how many runs are missing, without their names; empty where none is."""
    found = re.search(r"\d+ of \d+ runs are missing", reason)
    return found[0] if found else ""


def interaction_in_words(row: "pd.Series[Any]", analysis: Analysis) -> str:
    """A difference of differences: what the first factor's level does, at one level of the second against another."""
    (first, second) = next(p for p in itertools.permutations(analysis.factors, 2) if f"{p[0]} x {p[1]}" == row["factor"])
    pairs = {f"{a} x {b}": (a, b) for a in analysis.factors[first] for b in analysis.factors[second]}
    (a, b), (a0, b0) = pairs[row["level"]], pairs[row["reference"]]
    size = signed(row["estimate"])
    return f"what {first} {a} instead of {a0} adds at {second} {b} differs by {size} from what it adds at {second} {b0}"


def interval_in_words(row: "pd.Series[Any]") -> str:
    """A row's interval, with its level."""
    return f"95 % interval {range_in_words(row)}"


def range_in_words(row: "pd.Series[Any]") -> str:
    """A row's interval, from low to high."""
    return shown_range(row["low"], row["high"])


def measure_in_words(analysis: Analysis) -> str:
    """The primary metric, and in which task where that is named."""
    return f"{analysis.primary} in {analysis.primary_task}" if analysis.primary_task else analysis.primary


def for_words(analysis: Analysis, tasks: "pd.Series[str]") -> Analysis:
    """The same with its task only where there are several."""
    own = set(tasks.unique()) - {difference.name.task for difference in analysis.differences}
    return analysis if len(own) > 1 else replace(analysis, primary_task="")


def signed(value: float) -> str:
    """A difference with its sign."""
    return shown(value, is_signed=True)


def better_or_worse(estimate: float, metric: str, analysis: Analysis) -> str:
    """Of a metric of which less is better, what a difference means; of others nothing, as it goes without saying."""
    if analysis.metric(metric).higher_is_better:
        return ""
    return f", which is {'worse' if estimate > 0 else 'better'}"


def not_after_holm(row: "pd.Series[Any]") -> str:
    """What is to be said of an interval that leaves 0 out where Holm's correction does not bear it out."""
    return "" if row["p_holm"] < ALPHA else ", though not after Holm's correction"


def sentences(texts: Sequence[str]) -> str:
    """The end of a sentence, and those that follow it."""
    return "." + "".join(f" {text}." for text in texts if text)


def best_scope(rows: pd.DataFrame) -> pd.DataFrame:
    """Each contrast once: over new seeds too where that is known, else for these very runs."""
    recipe, models = (rows[rows["scope"] == scope].reset_index(drop=True) for scope in ("recipe", "models"))
    is_known = recipe["low"].notna() | models["low"].isna() & recipe["estimate"].notna()
    return recipe.where(is_known, models)


def claims(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose interval excludes 0."""
    return rows[(rows["low"] > 0) | (rows["high"] < 0)]
