"""Sensitivity: the smallest difference that items and seeds can show, and the power of a design before it is run."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from ftexp.effects.families import leading_rows


@dataclass(frozen=True)
class Spread:
    """How much one contrast (a level against the baseline, over the other factors) varies.

    Attributes:
        item_sd: Standard deviation over items of the per-item difference, of these very runs.
        seed_sd: Standard deviation of the contrast from one seed to the next, were every cell run once.
        n_cells: Tuned cells in the design; each further seed adds one degree of freedom per cell.
    """

    item_sd: float
    seed_sd: float
    n_cells: int


def spread_from_means(means: tuple[float, float], seed_sd: float, *, n_strata: int = 1, correlation: float = 0.0) -> Spread:
    """The spread of a two-level contrast of right-or-wrong scores, from assumptions.

    A level's score on an item has variance m (1 - m) at most, in every cell; scores of two levels on an item correlate by
    `correlation` (0 is the cautious assumption). Run means vary by `seed_sd` within a cell, so that the difference over
    `n_strata` cells of the other factors varies by seed_sd * sqrt(2 / n_strata).
    """
    variances = [mean * (1 - mean) for mean in means]
    item_variance = sum(variances) - 2 * correlation * float(np.sqrt(variances[0] * variances[1]))
    return Spread(float(np.sqrt(item_variance)), seed_sd * float(np.sqrt(2 / n_strata)), 2 * n_strata)


def spread_from_effects(row: pd.Series, *, n_cells: int) -> Spread:
    """The spread that a finished experiment showed, from a row of its effects.

    Of the seeds what they add to the items, se^2 - se_items^2: the seeds' own variance holds noise of the items too, which
    more items would reduce. Not known (nan) from a row of scope `models`.
    """
    item_sd = float(row["se_items"]) * float(np.sqrt(float(row["n_clusters"])))
    if row["scope"] == "models":
        return Spread(item_sd, float("nan"), n_cells)
    added = max(float(row["se"]) ** 2 - float(row["se_items"]) ** 2, 0.0)
    return Spread(item_sd, float(np.sqrt(added * float(row["n_seeds"]))), n_cells)


def power(
    spread: Spread, difference: float, *, n_items: Sequence[int], n_seeds: Sequence[int], alpha: float = 0.05
) -> pd.DataFrame:
    """Chance of an interval that excludes 0, if the true difference is `difference`.

    Returns:
        One row per scope, number of items and number of seeds: scope, n_items, n_seeds, se, df, power in [0, 1],
        detectable (the difference with 80 % power, on the metric's scale). With one seed the numbers of `recipe` are
        empty.
    """
    rows = []
    for scope, items, seeds in itertools.product(("models", "recipe"), n_items, n_seeds):
        se, df = _se_and_df(spread, items, seeds, is_recipe=scope == "recipe")
        rows.append({
            "scope": scope, "n_items": items, "n_seeds": seeds, "se": se, "df": df,
            "power": _power(difference / se, df, alpha), "detectable": se * _noncentrality(df, 0.8, alpha),
        })
    return pd.DataFrame(rows)


def _se_and_df(spread: Spread, items: int, seeds: int, *, is_recipe: bool) -> tuple[float, float]:
    """Standard error and Satterthwaite's degrees of freedom."""
    of_items, of_seeds = spread.item_sd**2 / items, spread.seed_sd**2 / seeds
    if not is_recipe:
        return float(np.sqrt(of_items)), items - 1.0
    nu = spread.n_cells * (seeds - 1)
    if not nu:
        return float("nan"), float("nan")
    return float(np.sqrt(of_items + of_seeds)), (of_items + of_seeds) ** 2 / (of_items**2 / (items - 1) + of_seeds**2 / nu)


def _power(noncentrality: float, df: float, alpha: float) -> float:
    """Power of a two-sided t test (scipy's noncentral t; Cohen 1988, chapter 2)."""
    if not np.isfinite([noncentrality, df]).all():
        return float("nan")
    critical = float(stats.t.ppf(1 - alpha / 2, df))
    # The wrong side by symmetry: scipy 1.17's nct.cdf is nan far out in that tail.
    return float(stats.nct.sf(critical, df, noncentrality) + stats.nct.sf(critical, df, -noncentrality))


def _noncentrality(df: float, wanted: float, alpha: float) -> float:
    """The true difference, in standard errors, that has the wanted power."""
    if not np.isfinite(df):
        return float("nan")
    most = 2.0 * float(stats.t.ppf(1 - alpha / 2, df)) + 10.0
    return float(optimize.brentq(lambda effect: _power(effect, df, alpha) - wanted, 1e-6, most))


def detectable(table: pd.DataFrame, *, wanted: float = 0.8, alpha: float = 0.05) -> pd.DataFrame:
    """Smallest true difference that this experiment's items and seeds show with 80 % power, per factor.

    It is about the design, not the result: a factor without a claim had this chance to earn one.

    Args:
        table: What `effects` returned.
        wanted: Power.
        alpha: Two-sided error, without Holm's correction.

    Returns:
        One row per task, metric, factor and scope: task, metric, factor, scope, kind, level (the one that is hardest to
        tell from the baseline), se, df, detectable (on the metric's scale; empty where the row is).
    """
    rows = []
    for (task, metric, factor, scope), part in table[table["kind"].isin(["level", "main"])].groupby(
        ["task", "metric", "factor", "scope"], sort=False
    ):
        own = leading_rows(part)
        sizes = [float(se) * _noncentrality(float(df), wanted, alpha) for se, df in zip(own["se"], own["df"], strict=True)]
        known = [size for size in sizes if np.isfinite(size)]
        worst = own.iloc[sizes.index(max(known)) if known else 0]
        rows.append({
            "task": task, "metric": metric, "factor": factor, "scope": scope, "kind": worst["kind"], "level": worst["level"],
            "se": worst["se"], "df": worst["df"], "detectable": max(known, default=float("nan")),
        })
    return pd.DataFrame(rows, columns=["task", "metric", "factor", "scope", "kind", "level", "se", "df", "detectable"])
