"""Simulates experiments whose truth is known, and counts how often the intervals of ftexp.effects cover it.

Answers come from a logit model (items, clusters, runs, items by run, items by factor), which the estimator does not assume.
Fast path: tables are made once per row; per experiment the functions that `effects` itself calls (cells_of, contrasts_of,
run_weights, measured, estimates) run on matrices; tests/effects/test_intervals.py holds both paths to the same numbers.
Reads nothing. Writes nothing; prints a markdown table.
Command: OMP_NUM_THREADS=1 python benchmarks/simulate_effects.py [experiments a row, 2000]
"""

import itertools
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize, special

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from ftexp.effects.analysis import Analysis
from ftexp.effects.arrays import FloatArray, IntArray
from ftexp.effects.cells import Cells, cells_of
from ftexp.effects.contrasts import Contrast, contrasts_of
from ftexp.effects.estimates import estimates
from ftexp.effects.measurements import ItemScores, measured
from ftexp.effects.rows import run_weights
from ftexp.effects.variances import Replication, item_part

KINDS = ("level", "main", "interaction", "control", "average")
EXPERIMENTS = 2000
ITEM_SD, ITEM_BY_RUN_SD, ITEM_BY_FACTOR_SD = 1.5, 1.0, 0.5
COLLAPSE_RATE, COLLAPSE_LOGIT = 0.1, -4.0
EFFECTS = (0.4, -0.3, 0.2)  # logits: of each step of a, of b, of each step of a with b
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


@dataclass(frozen=True)
class Row:
    """One row of the table. Standard deviations are in logits; `mean` is the baseline cell's."""

    name: str = "2 x 2"
    items: int = 300
    seeds: int = 3
    mean: float = 0.5
    levels: tuple[int, int] = (2, 2)
    run_sd: float = 0.2
    shared_sd: float = 0.0
    cluster_size: int = 1
    cluster_sd: float = 0.0
    has_collapses: bool = False
    is_unbalanced: bool = False


@dataclass(frozen=True)
class Setting:
    """What all experiments of a row share: R runs, M contrasts; `levels` (2, R) are the runs' levels of a and b, -1 without."""

    row: Row
    kinds: np.ndarray
    weights: FloatArray
    replication: Replication
    logits: FloatArray
    levels: IntArray

    def item_variance(self) -> FloatArray:
        """(R,) variance in logits of an item in a run, given the run."""
        of_factors = (self.levels >= 0).sum(axis=0) * ITEM_BY_FACTOR_SD**2
        return ITEM_SD**2 + self.row.cluster_sd**2 + ITEM_BY_RUN_SD**2 + of_factors


def rows() -> list[Row]:
    """The table's rows."""
    grid = [Row(items=n, seeds=s) for n, s in itertools.product((50, 300, 1000), (2, 3, 5))]
    means = [Row(items=n, mean=m) for m, n in itertools.product((0.05, 0.2, 0.8, 0.95), (50, 300, 1000))]
    clusters = [
        Row(f"2 x 2, {n // size} clusters of {size}", n, 3, cluster_size=size, cluster_sd=1.0)
        for n, size in ((300, 5), (300, 15), (1000, 5), (1000, 50))
    ]
    return [
        *grid, *means, Row("2 x 2, two seeds", 1000, 2, 0.2), Row("2 x 2, two seeds", 1000, 2, 0.8), *clusters,
        *(Row("2 x 2, seeds shared", 300, s, shared_sd=0.2, run_sd=0.1) for s in (2, 3, 5)),
        *(Row("3 x 2 less a cell, 1 to 5 seeds", n, 5, levels=(3, 2), is_unbalanced=True) for n in (300, 1000)),
        *(Row("2 x 2, 10 % of runs collapse", 300, s, has_collapses=True) for s in (2, 3, 5)),
        *(Row("2 levels only", 300, s, levels=(2, 1)) for s in (2, 3, 5)),
        *(Row("2 x 2, no seed spread", 300, s, run_sd=0.0) for s in (2, 5)),
        *(Row("2 x 2, large seed spread", 300, s, run_sd=0.8) for s in (2, 5)),
        Row("4 x 3", 300, 2, levels=(4, 3)),
        *(Row("2 x 2, seeds shared, large spread", 300, s, shared_sd=0.8, run_sd=0.1) for s in (2, 3, 5)),
    ]


def table_of_runs(row: Row) -> pd.DataFrame:
    """The runs of every experiment of a row."""
    runs = [{"run": "base", "kind": "control", "control": "", "seed": "", "a": "", "b": ""}]
    for cell, (a, b) in enumerate(itertools.product(range(row.levels[0]), range(row.levels[1]))):
        if row.is_unbalanced and cell == 5:
            continue
        count = (5, 1, 2, 4, 3)[cell] if row.is_unbalanced else row.seeds
        names = [{"run": f"{a}_{b}_{s}", "kind": "trained", "control": "base", "seed": s, "a": a, "b": b} for s in range(count)]
        runs += names
    return pd.DataFrame(runs)


def setting_of(row: Row, sizes: tuple[float, float, float]) -> Setting:
    """Contrasts, weights and expected logits of a row, with the factors' effects in logits."""
    runs = table_of_runs(row)
    analysis = Analysis({"a": range(row.levels[0]), "b": range(row.levels[1])}, "match")
    cells: Cells = cells_of(runs, analysis)
    counts = cells.counts(np.ones(len(runs), dtype=bool))
    contrasts: list[Contrast] = contrasts_of(cells, counts, np.ones(len(counts), dtype=bool), "factorial")
    contrasts = [contrast for contrast in contrasts if contrast.kind in KINDS and not contrast.reason]
    of_runs = np.arange(len(runs))
    levels = np.array([[-1 if level == "" else level for level in runs[name]] for name in ("a", "b")], dtype=np.int64)
    a, b = np.maximum(levels, 0)
    logits = sizes[0] * a + sizes[1] * b + sizes[2] * a * b
    variance = ITEM_SD**2 + row.cluster_sd**2 + ITEM_BY_RUN_SD**2 + 2 * ITEM_BY_FACTOR_SD**2 + row.run_sd**2 + row.shared_sd**2
    intercept = optimize.brentq(lambda x: chance(np.array([x]), np.array([variance]))[0] - row.mean, -30, 30)
    codes = pd.factorize(runs["seed"])[0].astype(np.int64)
    return Setting(
        row, np.array([contrast.kind for contrast in contrasts]),
        run_weights(cells, contrasts, of_runs=of_runs, names=list(runs["run"])),
        Replication(np.array([cells.of_run.get(run, -1) for run in of_runs]), codes), intercept + logits, levels,
    )


def chance(logits: FloatArray, variance: FloatArray) -> FloatArray:
    """(R,) expected score where the logit is normal: Gauss-Hermite over 41 nodes."""
    return special.expit(logits[:, None] + np.sqrt(variance)[:, None] * NODES) @ NODE_WEIGHTS


def recipe_truth(setting: Setting) -> FloatArray:
    """(M,) contrasts over all items and seeds."""
    row = setting.row
    is_tuned = setting.replication.cells >= 0
    spread = setting.item_variance() + is_tuned * (row.run_sd**2 + row.shared_sd**2)
    score = chance(setting.logits, spread)
    if row.has_collapses:
        collapsed = chance(np.full(len(score), COLLAPSE_LOGIT), spread)
        score = np.where(is_tuned, (1 - COLLAPSE_RATE) * score + COLLAPSE_RATE * collapsed, score)
    return setting.weights @ score


def experiment(setting: Setting, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """One experiment: (R, N) right or wrong, and (M,) the contrasts of these very runs over all items."""
    row, is_tuned = setting.row, setting.replication.cells >= 0
    count = len(is_tuned)
    shared = rng.normal(0, row.shared_sd, count)[setting.replication.seeds]
    logits = setting.logits + is_tuned * (rng.normal(0, row.run_sd, count) + shared)
    if row.has_collapses:
        logits = np.where(is_tuned & (rng.random(count) < COLLAPSE_RATE), COLLAPSE_LOGIT, logits)
    truth = setting.weights @ chance(logits, setting.item_variance())
    item = rng.normal(0, ITEM_SD, row.items)
    if row.cluster_size > 1:
        item += np.repeat(rng.normal(0, row.cluster_sd, row.items // row.cluster_size), row.cluster_size)
    by_level = rng.normal(0, ITEM_BY_FACTOR_SD, (2, max(row.levels), row.items))
    by_factor = np.where(is_tuned[:, None], by_level[0, setting.levels[0]] + by_level[1, setting.levels[1]], 0)
    by_run = rng.normal(0, ITEM_BY_RUN_SD, (count, row.items))
    chances = special.expit(logits[:, None] + item + by_factor + by_run)
    return (rng.random((count, row.items)) < chances).astype(float), truth


def simulate(row: Row, *, experiments: int, sizes: tuple[float, float, float], seed: int) -> dict[str, FloatArray]:
    """Per quantity (experiments, M): coverage, widths and p values of both scopes, and those of items-only z."""
    rng = np.random.default_rng(seed)
    setting = setting_of(row, sizes)
    recipe = recipe_truth(setting)
    is_average = setting.kinds == "average"
    sets, clusters = np.zeros(len(setting.logits), dtype=np.int64), np.arange(row.items) // row.cluster_size
    found: dict[str, list[FloatArray]] = {}
    for _ in range(experiments):
        values, models = experiment(setting, rng)
        scores = ItemScores(np.arange(len(values)), values, sets, np.ones((1, row.items), dtype=bool), clusters, {})
        numbers = measured(scores, (0.0, 1.0))
        result = estimates(setting.weights, is_average, measured=numbers, replication=setting.replication, alpha=0.05)
        se = np.sqrt(item_part(setting.weights, replace(numbers, bounds=None)).variance)
        seen = {
            "models": covers(result.models.low, result.models.high, models),
            "recipe": covers(result.recipe.low, result.recipe.high, recipe),
            "models width": result.models.high - result.models.low, "recipe width": result.recipe.high - result.recipe.low,
            "models p": result.models.p, "recipe p": result.recipe.p,
            "z": np.abs(result.estimate - recipe) <= 1.959964 * se, "z width": 2 * 1.959964 * se,
            "z p": 2 * special.ndtr(-np.abs(result.estimate) / np.maximum(se, 1e-12)),
        }
        for name, numbers_seen in seen.items():
            found.setdefault(name, []).append(numbers_seen)
    return {"kinds": setting.kinds, **{name: np.array(values) for name, values in found.items()}}


def covers(low: FloatArray, high: FloatArray, truth: FloatArray) -> FloatArray:
    """Whether each interval holds the truth."""
    return (low <= truth) & (truth <= high)


def family_error(p: FloatArray) -> float:
    """Share of experiments (rows) in which Holm rejects any of M true nulls: where the smallest p is below alpha / M.

    `holm` itself would take an hour: statsmodels 0.15 collects garbage, 70 ms, in every call.
    """
    return float((p.min(axis=1) * p.shape[1] < 0.05).mean())


HEADER = (
    "design", "items", "seeds", "mean", "models: all", "least", "width", *(f"recipe: {KINDS[0]}", *KINDS[1:]), "all", "width",
    "type I", "FWE", "z: all", "width", "type I", "FWE",
)


def line(row: Row, experiments: int, seed: int) -> list[str]:
    """A row's cells: coverage, mean width of `main` (of `level` where there is none), errors where no factor does anything."""
    found = simulate(row, experiments=experiments, sizes=EFFECTS, seed=seed)
    null = simulate(row, experiments=experiments, sizes=(0.0, 0.0, 0.0), seed=seed + 1)
    kinds = found["kinds"]
    of_width = kinds == ("main" if "main" in kinds else "level")
    cells = [row.name, str(row.items), "1 to 5" if row.is_unbalanced else str(row.seeds), f"{row.mean:g}"]
    for name in ("models", "recipe", "z"):
        shares = {kind: found[name][:, kinds == kind].mean() for kind in KINDS if kind in kinds}
        every = f"{found[name].mean():.3f}"
        shown = [f"{shares[kind]:.3f}" if kind in shares else "" for kind in KINDS]
        cells += {"models": [every, f"{min(shares.values()):.3f}"], "recipe": [*shown, every], "z": [every]}[name]
        cells.append(f"{found[f'{name} width'][:, of_width].mean():.3f}")
        if name != "models":
            p = null[f"{name} p"][:, of_width]
            cells += [f"{(p < 0.05).mean():.3f}", f"{family_error(p):.3f}"]
    return cells


def main() -> None:
    """Print the table, a row as soon as it is known."""
    experiments = int(sys.argv[1]) if len(sys.argv) > 1 else EXPERIMENTS
    print("| " + " | ".join(HEADER) + " |")
    print("|---|" + "--:|" * (len(HEADER) - 1))
    for index, row in enumerate(rows()):
        print("| " + " | ".join(line(row, experiments, 1000 * index)) + " |", flush=True)


if __name__ == "__main__":
    main()
