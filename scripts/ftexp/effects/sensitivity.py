"""Sensitivity: the smallest difference that items and seeds can show, and the power of a design before it is run."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import optimize, stats

from ftexp.effects.arrays import FloatArray
from ftexp.effects.families import leading_rows
from ftexp.effects.variances import ItemPart, SeedPart, combined

SIMULATED = 5_000  # experiments over whose chances power is averaged: good to .01, in hundredths of a second
QUANTILES = 1_000


@dataclass(frozen=True)
class Spread:
    """How much one contrast (a level against the baseline, over the other factors) varies. C cells of tuned runs.

    Attributes:
        item_sd: Standard deviation over clusters of the per-cluster difference, of these very runs.
        seed_sds: (C,) standard deviation from one seed to the next of the cell's part in the contrast, beyond what items bring,
            were the cell run once; nan where nothing is known of seeds.
        noise_sds: (C,) standard deviation of what is neither an item's (cluster's) nor a seed's own in that part, were the
            cell run once; nothing is counted on where there is none.
        noise_sd: What of it `item_sd` holds; less, the more seeds these runs had.
        evenness: Degrees of freedom of V_item by clusters - 1: 1 where all clusters are of equal size.
    """

    item_sd: float
    seed_sds: tuple[float, ...]
    noise_sds: tuple[float, ...] = ()
    noise_sd: float = 0.0
    evenness: float = 1.0


def spread_from_means(
    means: tuple[float, float], seed_sds: tuple[float, float], *, n_strata: int = 1, correlation: float = 0.0
) -> Spread:
    """The spread of a two-level contrast of right-or-wrong scores, from assumptions.

    A level's score on an item has variance m (1 - m) at most, in every cell; scores of two levels on an item correlate by
    `correlation` (0 is the cautious assumption). Run values of a cell of a level vary by its `seed_sds`; in the difference over
    `n_strata` cells of the other factors each cell has the weight 1 / n_strata.
    """
    variances = [mean * (1 - mean) for mean in means]
    item_variance = sum(variances) - 2 * correlation * float(np.sqrt(variances[0] * variances[1]))
    return Spread(float(np.sqrt(item_variance)), tuple(sd / n_strata for sd in seed_sds for _ in range(n_strata)))


def power(
    spread: Spread, difference: float, *, n_items: Sequence[int], n_seeds: Sequence[int], alpha: float = 0.05
) -> pd.DataFrame:
    """Chance of an interval that excludes 0, if the true difference is `difference`.

    Of `recipe` the degrees of freedom are of the variances as they are seen (`variances.combined`), so that they differ from
    experiment to experiment: the chance is averaged over simulated ones, whose items and cells show chi-squared variances.

    Args:
        spread: How much the contrast varies.
        difference: The true difference, on the metric's scale.
        n_items: Numbers of items; of clusters, where items are clustered.
        n_seeds: Numbers of seeds per cell.
        alpha: Two-sided error, without Holm's correction.

    Returns:
        One row per scope, number of items and number of seeds: scope, n_items, n_seeds, se, df (of `recipe` that which half
        of the experiments have), power in [0, 1], detectable (the difference with 80 % power, on the metric's scale). With
        one seed the numbers of `recipe` are empty; all are where nothing varies.
    """
    rows = []
    for scope, items, seeds in itertools.product(("models", "recipe"), n_items, n_seeds):
        if scope == "recipe":
            se, df, halves = _over_seeds(spread, items, seeds, alpha)
        else:
            se, df = spread.item_sd / float(np.sqrt(items)), spread.evenness * (items - 1)
            halves = _halves(df, alpha)
        is_known = bool(np.isfinite(se)) and se > 0
        rows.append({
            "scope": scope, "n_items": items, "n_seeds": seeds, "se": se, "df": df,
            "power": _power(difference / se, halves) if is_known else np.nan,
            "detectable": se * _noncentrality(halves, 0.8) if is_known else np.nan,
        })
    return pd.DataFrame(rows)


def _expected(spread: Spread, items: int, seeds: int) -> tuple[ItemPart, SeedPart]:
    """Both parts of the variance of one contrast as they are in truth, for so many clusters and seeds of each cell."""
    of_seeds = np.square(spread.seed_sds)[None] / seeds
    noise = np.square(spread.noise_sds or (0.0,) * of_seeds.size)[None] / seeds / items
    of_items = max(spread.item_sd**2 - spread.noise_sd**2, 0.0) / items + noise.sum(axis=1)
    counts = np.full(of_seeds.size, seeds)
    return (
        ItemPart(np.zeros(1), of_items, np.full(1, spread.evenness * (items - 1)), np.zeros(1, dtype=bool)),
        SeedPart(of_seeds + noise, noise, counts - 1.0, counts),
    )


def _over_seeds(spread: Spread, items: int, seeds: int, alpha: float) -> tuple[float, float, FloatArray]:
    """Standard error over new seeds, the middle of the degrees of freedom, and halves of simulated intervals by that error."""
    if seeds < 2 or np.isnan(spread.seed_sds).any():
        return np.nan, np.nan, np.full(1, np.nan)
    of_items, of_seeds = _expected(spread, items, seeds)
    se = float(np.sqrt(of_items.variance + of_seeds.variance - of_seeds.residuals.sum(axis=1))[0])
    if not se:
        return se, np.nan, np.full(1, np.nan)
    rng = np.random.default_rng(0)
    scales = rng.chisquare(of_items.df, SIMULATED) / of_items.df
    cell_scales = rng.chisquare(of_seeds.df, (SIMULATED, len(of_seeds.df))) / of_seeds.df
    variance, df = combined(
        replace(of_items, variance=of_items.variance * scales), replace(of_seeds, by_cell=of_seeds.by_cell * cell_scales),
    )
    return se, float(np.median(df)), stats.t.ppf(1 - alpha / 2, df) * np.sqrt(variance) / se


def _halves(df: float, alpha: float) -> FloatArray:
    """(B,) half an interval's width by the true standard error, at equally likely values of a variance with so many df."""
    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return np.asarray(stats.t.ppf(1 - alpha / 2, df) * np.sqrt(stats.chi2.ppf(middles, df) / df))


def _power(noncentrality: float, halves: FloatArray) -> float:
    """Chance that an estimate, that many standard errors from 0 in truth, is further from 0 than half its interval's width.

    The estimate is normal and independent of the width, any of (B,) equally likely ones; with `_halves` it is the power of the
    two-sided t test (Cohen 1988, chapter 2).
    """
    return float((stats.norm.sf(halves - noncentrality) + stats.norm.sf(halves + noncentrality)).mean())


def _noncentrality(halves: FloatArray, wanted: float) -> float:
    """The true difference, in standard errors, that has the wanted power."""
    if not np.isfinite(halves).all():
        return float("nan")
    return float(optimize.brentq(lambda effect: _power(effect, halves) - wanted, 0.0, float(halves.max()) + 10.0))


def detectable(table: pd.DataFrame, *, wanted: float = 0.8, alpha: float = 0.05) -> pd.DataFrame:
    """Smallest true difference that this experiment's items and seeds show with 80 % power, per factor.

    It is about the design, not the result: a factor without a claim had this chance to earn one. Of `recipe` rows the
    simulation of `power`, for as many cells of equal seed variance (all, half of them, ...) as have most nearly the row's
    degrees of freedom: 80 % where the cells are equal, in simulations 70 to 84 % where they are not.

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
        sizes = [float(row["se"]) * _noncentrality(_halves_of_row(row, alpha), wanted) for _, row in own.iterrows()]
        known = [size for size in sizes if np.isfinite(size)]
        worst = own.iloc[sizes.index(max(known)) if known else 0]
        rows.append({
            "task": task, "metric": metric, "factor": factor, "scope": scope, "kind": worst["kind"], "level": worst["level"],
            "se": worst["se"], "df": worst["df"], "detectable": max(known, default=float("nan")),
        })
    return pd.DataFrame(rows, columns=["task", "metric", "factor", "scope", "kind", "level", "se", "df", "detectable"])


def _halves_of_row(row: pd.Series, alpha: float) -> FloatArray:
    """(B,) half an interval's width by the standard error, as it may be in such experiments as one row of effects comes from."""
    df = float(row["df"])
    if row["scope"] != "recipe" or not np.isfinite(df) or row["n_seeds"] < 2:
        return _halves(df, alpha)
    items, seeds = int(row["n_clusters"]), int(row["n_seeds"])
    beyond = max(float(row["se"]) ** 2 - float(row["se_items"]) ** 2, 0.0)
    noise = max(float(row["se_items"]) ** 2 + float(row["se_seeds"]) ** 2 - float(row["se"]) ** 2, 0.0)
    spread = Spread(float(row["se_items"]) * float(np.sqrt(items)), (), (), float(np.sqrt(noise * items)))
    cells, found = 2 * int(row["n_strata"]), []
    while cells:
        of_cell, noise_of_cell = (float(np.sqrt(part * seeds / cells)) for part in (beyond, noise * items))
        equal = replace(spread, seed_sds=(of_cell,) * cells, noise_sds=(noise_of_cell,) * cells)
        _, middle, halves = _over_seeds(equal, items, seeds, alpha)
        found.append((abs(float(np.log(middle / df))), halves))
        cells //= 2
    return min(found, key=lambda candidate: candidate[0])[1]
