"""Experiments whose truth is known: right and wrong answers from a logit model that ftexp.effects does not assume.

Logit of an answer = cell + seed + item + cluster + (item by run) + (item, cluster by level of each factor). The truth is an
integral over items (models) and over seeds too (recipe), by Gauss-Hermite. Reads nothing. Writes nothing.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from ftexp.effects.analysis import Analysis
from ftexp.effects.arrays import FloatArray, IntArray
from ftexp.effects.cells import Cells, cells_of
from ftexp.effects.contrasts import Contrast, contrasts_of
from ftexp.effects.rows import run_weights
from ftexp.effects.variances import Replication
from scipy import optimize, special

KINDS = ("level", "main", "interaction", "control", "average")
ITEM_SD, ITEM_BY_RUN_SD, ITEM_BY_FACTOR_SD = 1.5, 1.0, 0.5
COLLAPSE_RATE, COLLAPSE_LOGIT = 0.1, -4.0
EFFECTS = (0.4, -0.3, 0.2)  # logits: of each step of a, of b, of each step of a with b
NOTHING = (0.0, 0.0, 0.0)
CERTAIN = 60.0  # logits: always right
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


@dataclass(frozen=True)
class Row:
    """One row of the tables. Standard deviations are in logits; cells are in the order of a, then b, the baseline first.

    Attributes:
        name: The design in words.
        items: Items, the same for every run.
        seeds: Runs per cell, unless `cell_seeds` is given.
        mean: Expected score of the baseline cell; of the control too where `cell_means` is given or nothing does anything.
        levels: How many levels a and b have.
        run_sd: Spread of seeds within every cell, unless `cell_sds` is given.
        shared_sd: Spread of what a seed does to all cells alike.
        cluster_size: Items per cluster where all clusters have one size.
        cluster_sd: Spread of clusters over all runs alike, and again by level of each factor where sizes are unequal.
        n_clusters, size_sd: Clusters of unequal size, if any: how many, and the sd of the logarithm of their size.
        has_collapses: Whether a run ends near zero by a chance of 10 %.
        cell_means: Expected score of each cell, exactly; 0 and 1 are all wrong and all right.
        cell_sds, cell_seeds: Spread and number of seeds of each cell; 0 seeds: the design lacks it.
        item_spread: Factor of the items' three standard deviations; 0: answers do not depend on the item.
    """

    name: str = "2 x 2"
    items: int = 300
    seeds: int = 3
    mean: float = 0.5
    levels: tuple[int, int] = (2, 2)
    run_sd: float = 0.2
    shared_sd: float = 0.0
    cluster_size: int = 1
    cluster_sd: float = 0.0
    n_clusters: int = 0
    size_sd: float = 0.0
    has_collapses: bool = False
    cell_means: tuple[float, ...] = ()
    cell_sds: tuple[float, ...] = ()
    cell_seeds: tuple[int, ...] = ()
    item_spread: float = 1.0

    def counts(self) -> tuple[int, ...]:
        """Runs of each cell."""
        return self.cell_seeds or (self.seeds,) * (self.levels[0] * self.levels[1])

    def seeds_in_words(self) -> str:
        """`3`, or `5/5/5/2`."""
        return "/".join(map(str, self.cell_seeds)) if len(set(self.cell_seeds)) > 1 else str(max(self.counts()))

    def cluster_variances(self) -> tuple[float, float]:
        """Of clusters over all runs alike, and by level of a factor."""
        return self.cluster_sd**2, self.cluster_sd**2 if self.n_clusters else 0.0


@dataclass(frozen=True)
class Setting:
    """What all experiments of a row share: R runs, M contrasts; `levels` (2, R) are the runs' levels of a and b, -1 without."""

    row: Row
    kinds: np.ndarray
    weights: FloatArray
    replication: Replication
    logits: FloatArray
    seed_sds: FloatArray
    levels: IntArray

    def item_variance(self) -> FloatArray:
        """(R,) variance in logits of an item in a run, given the run."""
        return _item_variance(self.row, self.levels)


@dataclass(frozen=True)
class Experiment:
    """(R, N) right or wrong, (N,) each item's cluster, and (M,) the contrasts of these very runs over all items."""

    values: FloatArray
    clusters: IntArray
    models: FloatArray


def table_of_runs(row: Row) -> pd.DataFrame:
    """The runs of every experiment of a row."""
    runs = [{"run": "base", "kind": "control", "control": "", "seed": "", "a": "", "b": ""}]
    cells = itertools.product(range(row.levels[0]), range(row.levels[1]))
    for (a, b), count in zip(cells, row.counts(), strict=True):
        names = [{"run": f"{a}_{b}_{s}", "kind": "trained", "control": "base", "seed": s, "a": a, "b": b} for s in range(count)]
        runs += names
    return pd.DataFrame(runs)


def setting_of(row: Row, sizes: tuple[float, float, float]) -> Setting:
    """Contrasts, weights and expected logits of a row, with the factors' effects in logits.

    With effects of 0 every cell and the control have the same expected score, whatever the cells' spreads.
    """
    runs = table_of_runs(row)
    analysis = Analysis({"a": range(row.levels[0]), "b": range(row.levels[1])}, "match")
    cells: Cells = cells_of(runs, analysis)
    counts = cells.counts(np.ones(len(runs), dtype=bool))
    contrasts: list[Contrast] = contrasts_of(cells, counts, np.ones(len(counts), dtype=bool), "factorial")
    contrasts = [contrast for contrast in contrasts if contrast.kind in KINDS and not contrast.reason]
    of_runs = np.arange(len(runs))
    levels = np.array([[-1 if level == "" else level for level in runs[name]] for name in ("a", "b")], dtype=np.int64)
    of_cell = np.where(levels[0] < 0, -1, levels[0] * row.levels[1] + levels[1])
    sds = np.append(row.cell_sds or (row.run_sd,) * len(row.counts()), 0.0)[of_cell]
    variances = _item_variance(row, levels) + sds**2 + (levels[0] >= 0) * row.shared_sd**2
    if row.cell_means or sizes == NOTHING:
        means = np.append(row.cell_means or (row.mean,) * len(row.counts()), row.mean)[of_cell]
        logits = np.array([_logit(mean, variance) for mean, variance in zip(means, variances, strict=True)])
    else:
        a, b = np.maximum(levels, 0)
        logits = _logit(row.mean, variances[of_cell == 0][0]) + sizes[0] * a + sizes[1] * b + sizes[2] * a * b
    codes = pd.factorize(runs["seed"])[0].astype(np.int64)
    return Setting(
        row, np.array([contrast.kind for contrast in contrasts]),
        run_weights(cells, contrasts, of_runs=of_runs, names=list(runs["run"])),
        Replication(np.array([cells.of_run.get(run, -1) for run in of_runs]), codes), logits, sds, levels,
    )


def _item_variance(row: Row, levels: IntArray) -> FloatArray:
    alike, by_level = row.cluster_variances()
    factors = (levels >= 0).sum(axis=0)
    of_items = row.item_spread**2 * (ITEM_SD**2 + ITEM_BY_RUN_SD**2 + factors * ITEM_BY_FACTOR_SD**2)
    return np.asarray(of_items + alike + factors * by_level)


def _logit(mean: float, variance: float) -> float:
    """Where the expected score of a normal logit is `mean`."""
    if mean in (0.0, 1.0):
        return CERTAIN if mean else -CERTAIN
    return float(optimize.brentq(lambda x: chance(np.array([x]), np.array([variance]))[0] - mean, -30, 30, xtol=1e-13))


def chance(logits: FloatArray, variance: FloatArray) -> FloatArray:
    """(R,) expected score where the logit is normal: Gauss-Hermite."""
    return np.asarray(special.expit(logits[:, None] + np.sqrt(variance)[:, None] * NODES) @ NODE_WEIGHTS)


def recipe_truth(setting: Setting) -> FloatArray:
    """(M,) contrasts over all items and seeds."""
    row = setting.row
    is_tuned = setting.replication.cells >= 0
    spread = setting.item_variance() + setting.seed_sds**2 + is_tuned * row.shared_sd**2
    score = chance(setting.logits, spread)
    if row.has_collapses:
        collapsed = chance(np.full(len(score), COLLAPSE_LOGIT), spread)
        score = np.where(is_tuned, (1 - COLLAPSE_RATE) * score + COLLAPSE_RATE * collapsed, score)
    return setting.weights @ score


def experiment(setting: Setting, rng: np.random.Generator) -> Experiment:
    """Draw one experiment."""
    row, is_tuned = setting.row, setting.replication.cells >= 0
    count = len(is_tuned)
    shared = rng.normal(0, row.shared_sd, count)[setting.replication.seeds]
    logits = setting.logits + rng.normal(0, 1, count) * setting.seed_sds + is_tuned * shared
    if row.has_collapses:
        logits = np.where(is_tuned & (rng.random(count) < COLLAPSE_RATE), COLLAPSE_LOGIT, logits)
    clusters = _clusters(row, rng)
    alike, by_level = np.sqrt(row.cluster_variances())
    item = rng.normal(0, ITEM_SD * row.item_spread, row.items) + rng.normal(0, alike, row.items)[clusters]
    of_level = rng.normal(0, ITEM_BY_FACTOR_SD * row.item_spread, (2, max(row.levels), row.items))
    if by_level:
        of_level += rng.normal(0, by_level, of_level.shape)[:, :, clusters]
    by_factor = np.where(is_tuned[:, None], of_level[0, setting.levels[0]] + of_level[1, setting.levels[1]], 0)
    by_run = rng.normal(0, ITEM_BY_RUN_SD * row.item_spread, (count, row.items))
    chances = special.expit(logits[:, None] + item + by_factor + by_run)
    values = (rng.random((count, row.items)) < chances).astype(float)
    return Experiment(values, clusters, setting.weights @ chance(logits, setting.item_variance()))


def _clusters(row: Row, rng: np.random.Generator) -> IntArray:
    """(N,) the items' clusters: of one size, or lognormal, drawn anew for each experiment; each has an item at least."""
    if not row.n_clusters:
        return np.arange(row.items) // row.cluster_size
    sizes = np.exp(rng.normal(0, row.size_sd, row.n_clusters))
    edges = np.round(np.cumsum(sizes)[:-1] / sizes.sum() * (row.items - row.n_clusters)).astype(np.int64)
    extra = np.diff(np.concatenate([[0], edges, [row.items - row.n_clusters]]))
    return np.repeat(np.arange(row.n_clusters), extra + 1)
