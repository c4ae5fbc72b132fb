"""Simulates experiments whose truth is known, and counts how often the intervals of ftexp.effects cover it.

Fast path: tables are made once per row; per experiment the functions that `effects` itself calls (cells_of, contrasts_of,
run_weights, measured, estimates) run on matrices; tests/effects/test_coverage.py holds both paths to the same numbers.
Reads nothing. Writes nothing; prints three markdown tables, and on stderr what is outside the limits.
Command: OMP_NUM_THREADS=1 python benchmarks/simulate_effects.py [experiments a row, 2000] [processes, 1] [words of the design]
"""

import multiprocessing
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import special

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from ftexp.effects.estimates import Estimates, estimates
from ftexp.effects.item_variance import item_part
from ftexp.effects.measurements import Panel, measured
from ftexp.effects.metrics import Mean, Rows
from pooled_method import pooled_intervals
from simulated_experiments import (
    EFFECTS,
    KINDS,
    NOTHING,
    Experiment,
    FloatArray,
    Row,
    Setting,
    experiment,
    recipe_truth,
    setting_of,
    table_of_runs,
)
from simulated_rows import rows

__all__ = ["EFFECTS", "Row", "experiment", "main", "setting_of", "simulate", "table_of_runs"]

EXPERIMENTS = 2000
Z = 1.959964
NULL = 1e-9
LEAST, MOST, MOST_ERRORS = 0.93, 0.97, 0.06
RARE = 0.03
Found = dict[str, FloatArray]
# Rows just outside a limit, simulated again with other seeds: what came of it, and in how many experiments.
AGAIN = {
    ("2 x 2, last cell unstable, .5 and .05, fewer seeds there", "5/5/5/2"): "type I .052 in 8,000",
}
Lines = tuple[list[str], list[str], list[str], str]


def estimated(setting: Setting, drawn: Experiment) -> tuple[Estimates, FloatArray]:
    """What `effects` makes of an experiment, and the standard errors from items alone, without pseudo-items."""
    runs, items = drawn.values.shape
    of_runs, of_items = np.repeat(np.arange(runs), items), np.tile(np.arange(items), runs)
    rows_of_runs = Rows(of_runs, runs, {"score": drawn.values.reshape(-1)})
    sets, asked = np.zeros(runs, dtype=np.int64), np.ones((1, items), dtype=bool)
    panel = Panel(
        np.arange(runs), sets, asked, drawn.clusters, {}, rows_of_runs, of_items, Mean(), is_proportion=True
    )
    numbers = measured(panel)
    result = estimates(
        setting.weights, setting.kinds == "average", measured=numbers, replication=setting.replication, alpha=0.05
    )
    return result, np.sqrt(item_part(setting.weights, replace(numbers, is_proportion=False)).variance)


def simulate(row: Row, *, experiments: int, sizes: tuple[float, float, float], seed: int) -> Found:
    """Per quantity (experiments, M): coverage and widths of both scopes, of the pooled method and of items-only z; p values.

    And `kinds` (M,), `is_null` (M,): contrasts whose truth over items and seeds is 0.
    """
    rng = np.random.default_rng(seed)
    setting = setting_of(row, sizes)
    recipe = recipe_truth(setting)
    is_average = setting.kinds == "average"
    found: dict[str, list[FloatArray]] = {}
    for _ in range(experiments):
        drawn = experiment(setting, rng)
        result, se = estimated(setting, drawn)
        low, high = pooled_intervals(
            setting.weights, is_average, values=drawn.values, clusters=drawn.clusters, replication=setting.replication
        )
        seen = {
            "models": covers(result.models.low, result.models.high, drawn.models), "models p": result.models.p,
            "recipe": covers(result.recipe.low, result.recipe.high, recipe), "recipe p": result.recipe.p,
            "models width": result.models.high - result.models.low, "recipe width": result.recipe.high - result.recipe.low,
            "pooled": covers(low, high, recipe), "pooled width": high - low, "pooled error": (low > 0) | (high < 0),
            "z": np.abs(result.estimate - recipe) <= Z * se, "z width": 2 * Z * se,
            "z p": 2 * special.ndtr(-np.abs(result.estimate) / np.maximum(se, 1e-12)),
        }
        for name, numbers_seen in seen.items():
            found.setdefault(name, []).append(numbers_seen)
    of_row = {"kinds": setting.kinds, "is_null": np.abs(recipe) < NULL}
    return {**of_row, **{name: np.array(values) for name, values in found.items()}}


def covers(low: FloatArray, high: FloatArray, truth: FloatArray) -> FloatArray:
    """Whether each interval holds the truth."""
    return (low <= truth) & (truth <= high)


def family_error(p: FloatArray) -> float:
    """Share of experiments (rows) in which Holm rejects any of M true nulls: where the smallest p is below alpha / M.

    `holm` itself would take an hour: statsmodels 0.15 collects garbage, 70 ms, in every call.
    """
    return float((p.min(axis=1) * p.shape[1] < 0.05).mean())


def by_kind(shares: FloatArray, kinds: FloatArray) -> dict[str, float]:
    """Mean of contrasts' shares (M,) in each kind that is there."""
    return {kind: float(shares[kinds == kind].mean()) for kind in KINDS if (kinds == kind).any()}


def shown(shares: dict[str, float]) -> list[str]:
    """A cell for each kind, empty where the design has none."""
    return [f"{shares[kind]:.3f}" if kind in shares else "" for kind in KINDS]


HEADERS = (
    ("design", "items", "seeds", "mean", *(f"recipe: {KINDS[0]}", *KINDS[1:]), "all", "least", "models: all", "least",
     "pooled: all", "least", "z: all", "why not .93 to .97"),
    ("design", "items", "seeds", "mean", *(f"recipe: {KINDS[0]}", *KINDS[1:]), "most", "FWE", "pooled: most", "z: all", "FWE",
     "why above .06"),
    ("design", "items", "seeds", "mean", *(f"recipe / pooled: {KINDS[0]}", *KINDS[1:]), "models: main"),
)


def lines(job: tuple[int, int, Row]) -> Lines:
    """A row's line in each of the three tables, and what is outside the limits: experiments, seed, row."""
    experiments, seed, row = job
    found = simulate(row, experiments=experiments, sizes=EFFECTS, seed=seed)
    null = found if row.cell_means else simulate(row, experiments=experiments, sizes=NOTHING, seed=seed + 1)
    head = [row.name, str(row.items), row.seeds_in_words(), "" if row.cell_means else f"{row.mean:g}"]
    coverage, outside = coverage_line(row, found)
    errors, too_many = error_line(row, null)
    said = ", ".join(filter(None, (outside, too_many)))
    return [*head, *coverage], [*head, *errors], [*head, *width_line(found)], f"{' | '.join(head)}: {said}" if said else ""


def coverage_line(row: Row, found: Found) -> tuple[list[str], str]:
    """Shares that cover: of each kind, of all contrasts, of the worst contrast; and what is outside the limits."""
    of_contrasts = {name: found[name].mean(axis=0) for name in ("recipe", "models", "pooled", "z")}
    cells = shown(by_kind(of_contrasts["recipe"], found["kinds"]))
    for name in ("recipe", "models", "pooled"):
        cells += [f"{of_contrasts[name].mean():.3f}", f"{of_contrasts[name].min():.3f}"]
    cells.append(f"{of_contrasts['z'].mean():.3f}")
    why, said = [], []
    for scope, title in (("recipe", ""), ("models", "models ")):
        shares = {kind: round(share, 3) for kind, share in by_kind(of_contrasts[scope], found["kinds"]).items()}
        low = {kind: share for kind, share in shares.items() if share < LEAST}
        why += [title + why_high(row, scope)] if max(shares.values()) > MOST else []
        why += [title + why_low(row, scope)] if low else []
        said += [f"{title}{kind} {share:.3f}" for kind, share in low.items()]
    return [*cells, "; ".join(why)], " ".join(said)


def why_high(row: Row, scope: str) -> str:
    """Why intervals cover more than .97, in words."""
    few, most = min(count for count in row.counts() if count), max(row.counts())
    if row.items < 100:
        return "wide: two pseudo-items among few items"
    if scope == "models" and row.cell_means and (max(row.cell_means) > 1 - RARE or min(row.cell_means) < RARE):
        return "wide: two pseudo-items where few answers are of the rarer kind"
    if scope == "models":
        return "wide: unexplained"
    if row.shared_sd:
        return "wide: what a seed does to all cells cancels in differences"
    if row.has_collapses and few >= 5:
        return "wide: a collapse widens the interval more than it moves a difference"
    if few >= 5 and not row.run_sd:
        return "wide: seeds change nothing, but by chance they seem to"
    seeds = str(few) if few == most else f"{few} to {most}"
    return f"wide: {seeds} seeds of a cell say little of its spread"


def why_low(row: Row, scope: str) -> str:
    """Why intervals cover less than .93, or exclude a true 0 in more than .06, in words."""
    again = AGAIN.get((row.name, row.seeds_in_words()))
    if again:
        return f"by chance: {again} others"
    if row.n_clusters:
        return f"short: {row.n_clusters} clusters of unequal size" + (", cells near a limit" if row.cell_means else "")
    if scope == "models":
        return "short: unexplained"
    if row.has_collapses:
        return "short: a cell whose runs all learned shows no collapse"
    if row.shared_sd:
        return "short: one shared seed moves all cells"
    if min(count for count in row.counts() if count) < 2:
        return "short: the cell that borrows is unlike those that lend"
    return "short: unexplained"


def error_line(row: Row, null: Found) -> tuple[list[str], str]:
    """Type I error where the truth is 0: of each kind, of the worst contrast; family-wise after Holm in `main` or `level`."""
    kinds, is_null = null["kinds"], null["is_null"]
    if not is_null.any():
        return [""] * (len(HEADERS[1]) - 4), ""
    rejected = {name: (null[f"{name} p"] < 0.05).mean(axis=0)[is_null] for name in ("recipe", "z")}
    rejected["pooled"] = null["pooled error"].mean(axis=0)[is_null]
    shares = by_kind(rejected["recipe"], kinds[is_null])
    family = kinds == ("main" if "main" in kinds else "level")
    errors = ["" if row.cell_means else f"{family_error(null[f'{name} p'][:, family]):.3f}" for name in ("recipe", "z")]
    cells = [*shown(shares), f"{rejected['recipe'].max():.3f}", errors[0], f"{rejected['pooled'].max():.3f}"]
    many = {kind: share for kind, share in shares.items() if round(share, 3) > MOST_ERRORS}
    said = " ".join(f"type I {kind} {share:.3f}" for kind, share in many.items())
    return [*cells, f"{rejected['z'].mean():.3f}", errors[1], why_low(row, "recipe") if many else ""], said


def width_line(found: Found) -> list[str]:
    """Median widths of each kind beside those of the pooled method."""
    kinds = found["kinds"]
    medians = {
        name: {kind: float(np.median(found[f"{name} width"][:, kinds == kind])) for kind in KINDS if (kinds == kind).any()}
        for name in ("recipe", "pooled", "models")
    }
    pairs = [f"{medians['recipe'][kind]:.3f} / {medians['pooled'][kind]:.3f}" if kind in kinds else "" for kind in KINDS]
    return [*pairs, f"{medians['models'].get('main', medians['models']['level']):.3f}"]


def main() -> None:
    """Print the tables; a row's number on stderr as soon as it is known."""
    experiments = int(sys.argv[1]) if len(sys.argv) > 1 else EXPERIMENTS
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    words = " ".join(sys.argv[3:])
    jobs = [(experiments, 1000 * index, row) for index, row in enumerate(rows()) if words in row.name]
    done: list[Lines] = []
    with multiprocessing.Pool(processes) as pool:
        for made in pool.imap(lines, jobs):
            done.append(made)
            print(f"{len(done)} of {len(jobs)} {made[3]}", file=sys.stderr, flush=True)
    for index, header in enumerate(HEADERS):
        print("\n| " + " | ".join(header) + " |")
        print("|---|" + "--:|" * (len(header) - 1))
        for made in done:
            print("| " + " | ".join(made[index]) + " |")


if __name__ == "__main__":
    main()
