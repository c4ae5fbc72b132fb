"""Simulates pairs of runs whose true difference is known, by every metric, and counts how often the intervals cover it.

A large pool of items (or of clusters of items), answered by two runs, is the population: its value by a metric is exact. Each
experiment draws items (clusters) from it, and the functions that `effects` itself calls (measured, item_part, t_interval) make
the interval of the difference of the two runs; beside it that of the bootstrap over clusters, by percentiles.
Reads nothing. Writes nothing; prints a markdown table.
Command: OMP_NUM_THREADS=1 python benchmarks/metric_coverage.py [experiments a row, 2000] [metric, all]
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from ftexp.effects.arrays import FloatArray, IntArray
from ftexp.effects.intervals import t_interval
from ftexp.effects.item_variance import item_part
from ftexp.effects.measurements import Panel, measured
from ftexp.effects.metrics import Rows
from ftexp.effects.sums import draws
from helpers.metric_rows import CASES, Case, Columns, Made, options, probabilities
from scipy import special

EXPERIMENTS, RESAMPLES = 2000, 500
POOL, POOL_OF_TEXTS, MOST_WITH_BOOTSTRAP = 100_000, 20_000, 300
EASIER = 0.3  # standard deviations of the items' difficulty, for the second run
LARGE_SHIFT = 1 / 3  # standard errors between the estimate and the mean of the resamples
DIFFERENCE = np.array([[-1.0, 1.0]])


@dataclass(frozen=True)
class Design:
    """What an experiment draws: `units` items, or clusters with so many items on average, equally many or by a lognormal.

    `made`: the answers of the two runs, where not those of the metric's case.
    """

    name: str
    units: int
    cluster_size: int = 1
    size_sd: float = 0.0
    made: tuple[Made, Made] | None = None


@dataclass(frozen=True)
class Pool:
    """The answers of two runs to all items; `starts` and `sizes` of its clusters, whose items follow each other."""

    rows: Rows
    starts: IntArray
    sizes: IntArray


@dataclass(frozen=True)
class Interval:
    """Intervals of the difference in all experiments: low and high (E,); nan where it is not defined."""

    low: FloatArray
    high: FloatArray

    def text(self, truth: float) -> str:
        """Share of those defined that cover the truth, and mean width."""
        low, high = (end[np.isfinite(self.low)] for end in (self.low, self.high))
        return f"{((low <= truth) & (truth <= high)).mean():.3f} | {(high - low).mean():.3g}"


DESIGNS = [
    Design("300 items", 300), Design("1,000 items", 1000), Design("30 clusters of 10", 30, 10),
    Design("30 clusters, unequal", 30, 10, 0.7),
]


def few_right(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """One answer in twenty is right."""
    known = special.expit(-3.5 - difficulty + rng.normal(size=len(difficulty)))
    return {"probability": known, "correct": (rng.random(len(known)) < known).astype(float)}


def calibrated(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """Probabilities that are just right."""
    known = special.expit(0.5 - 1.5 * difficulty + rng.normal(size=len(difficulty)))
    return {"probability": known, "correct": (rng.random(len(known)) < known).astype(float)}


def rare_option(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """Options, the last of which is right in one item of fifty."""
    return options(rng, difficulty, (0.6, 0.3, 0.08, 0.02))


def many_labels(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """20 labels, the last of which has 1.4 % of the items, and 10 % in the first."""
    shares = 1 / (3 + np.arange(20.0))
    target, guess = rng.choice(20, (2, len(difficulty)), p=shares / shares.sum())
    return {"target": target, "prediction": np.where(rng.random(len(target)) < special.expit(1 - difficulty), target, guess)}


def long_tails(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """Numbers and errors from Student's t with 5 degrees of freedom."""
    target = rng.standard_t(5, len(difficulty))
    return {"target": target, "prediction": target + np.exp(0.2 * difficulty) * rng.standard_t(5, len(target))}


# Per metric: what is hard, and the answers of the first and of the second run.
HARD: dict[str, list[tuple[str, Made, Made]]] = {
    "macro F1": [("20 labels", many_labels, many_labels)], "balanced accuracy": [("20 labels", many_labels, many_labels)],
    "MCC": [("20 labels", many_labels, many_labels)], "AUC": [("5 % right", few_right, few_right)],
    "macro AUC": [("rare option", rare_option, rare_option)],
    "RMSE": [("long tails", long_tails, long_tails)], "R2": [("long tails", long_tails, long_tails)],
    "calibration error": [("both calibrated", calibrated, calibrated), ("the first calibrated", calibrated, probabilities)],
}


def pool_of(case: Case, design: Design, rng: np.random.Generator) -> Pool:
    """The population, without the texts themselves."""
    items = POOL_OF_TEXTS if case.name in ("corpus BLEU", "chrF") else POOL
    count = items // design.cluster_size
    sizes = np.ones(count, dtype=np.int64)
    if design.cluster_size > 1:
        spread = np.exp(design.size_sd * rng.normal(size=count) - design.size_sd**2 / 2)
        sizes = np.maximum(np.round(design.cluster_size * spread), 1).astype(np.int64)
    share = 0.3 if design.cluster_size > 1 else 0.0
    of_items = np.repeat(np.arange(count), sizes)
    difficulty = np.sqrt(share) * rng.normal(size=count)[of_items] + np.sqrt(1 - share) * rng.normal(size=len(of_items))
    first, second = design.made or (case.made, case.made)
    parts = first(rng, difficulty), second(rng, difficulty - EASIER)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if parts[0][name].dtype != object}
    return Pool(Rows(np.repeat([0, 1], len(difficulty)), 2, columns), np.cumsum(sizes) - sizes, sizes)


def experiments(case: Case, pool: Pool, design: Design, rng: np.random.Generator) -> Iterator[Panel]:
    """Panels of two runs on items drawn from the pool, without end."""
    n_items = int(pool.sizes.sum())
    while True:
        drawn = rng.integers(len(pool.sizes), size=design.units)
        sizes = pool.sizes[drawn]
        clusters = np.repeat(np.arange(design.units), sizes)
        items = pool.starts[drawn][clusters] + np.arange(len(clusters)) - (np.cumsum(sizes) - sizes)[clusters]
        places = np.concatenate([items, n_items + items])
        both = np.tile(np.arange(len(items)), 2)
        rows = Rows(np.repeat([0, 1], len(items)), 2, {name: column[places] for name, column in pool.rows.columns.items()})
        yield Panel(
            runs=np.arange(2), test_sets=np.zeros(2, np.int64), asked=np.ones((1, len(items)), bool), clusters=clusters,
            groups={}, rows=rows, items=both, metric=case.metric, is_proportion=case.name == "proportion",
        )


def line(case: Case, design: Design, count: int, seed: int) -> str:
    """One row of the table."""
    rng = np.random.default_rng([seed, design.units, design.cluster_size, int(10 * design.size_sd)])
    pool = pool_of(case, design, rng)
    values = case.metric.influences(pool.rows).values
    truth = float(values[1] - values[0])
    ends, ends_of_bootstrap = np.full((2, count, 2), np.nan)
    estimate, se, shift = np.full((3, count), np.nan)
    counts = draws(design.units, RESAMPLES)
    for index, panel in zip(range(count), experiments(case, pool, design, rng), strict=False):
        found = measured(panel)
        if len(found.runs) < 2:
            continue
        items = item_part(DIFFERENCE, found)
        low, high, _ = t_interval(items.centre, np.sqrt(items.variance), items.df, 0.05)
        ends[index] = low[0], high[0]
        estimate[index], se[index] = (DIFFERENCE @ found.means)[0], np.sqrt(items.variance[0])
        if len(panel.clusters) <= MOST_WITH_BOOTSTRAP or design.cluster_size > 1:
            drawn = np.diff(case.metric.resampled(panel.rows, panel.clusters[panel.items], counts))[:, 0]
            ends_of_bootstrap[index] = np.nanquantile(drawn, [0.025, 0.975])
            shift[index] = (np.nanmean(drawn) - estimate[index]) / se[index]
    bootstrap = " |  | "
    if np.isfinite(shift).any():
        bootstrap = f"{Interval(*ends_of_bootstrap.T).text(truth)} | {(np.abs(shift) > LARGE_SHIFT).mean():.3f}"
    of_estimates = estimate[np.isfinite(estimate)]
    spread = of_estimates.std(ddof=1)
    return (
        f"| {case.name} | {design.name} | {values[0]:.3g} | {truth:.3g} | {(of_estimates.mean() - truth) / spread:.2f} | "
        f"{np.nanmean(se) / spread:.2f} | {Interval(*ends.T).text(truth)} | {bootstrap} |"
    )


def main() -> int:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else EXPERIMENTS
    print("| metric | design | value | difference | bias / sd | se / sd | covers | width | bootstrap covers | width | shifted |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    for seed, case in enumerate(CASES):
        if len(sys.argv) > 2 and case.name not in sys.argv[2:]:
            continue
        for design in DESIGNS:
            print(line(case, design, count, seed), flush=True)
        for name, first, second in HARD.get(case.name, []):
            for design in DESIGNS[:2]:
                print(line(case, replace(design, name=f"{design.name}, {name}", made=(first, second)), count, seed), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
