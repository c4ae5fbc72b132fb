"""Why each cell's seed variance is its own: what pooling and moderating it do where one cell is unlike the others.

Each rule gives a variance and degrees of freedom per cell from the same runs; all else is `effects`' own: V_item, the
residual, V = max(V_item + V_seed - residual, V_item, V_seed). Moderation is that of Smyth 2004 (limma's squeezeVar and
fitFDist), each cell being what a gene is there; with a trend, of variances divided by (p (1 - p))^2, which is the spread on the
logit scale. Reads nothing. Writes nothing; prints a markdown table.
Command: OMP_NUM_THREADS=1 python benchmarks/moderated_seeds.py [experiments a row, 2000]
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special, stats
from simulate_effects import covers, estimated
from simulated_experiments import EFFECTS, NOTHING, FloatArray, Row, Setting, experiment, recipe_truth, setting_of
from simulated_rows import rows


@dataclass(frozen=True)
class Cells:
    """E experiments: (E, C) variance of run means within each cell, its residual, the cells' scores; (C,) its df; items."""

    variance: FloatArray
    residual: FloatArray
    scores: FloatArray
    df: FloatArray
    items: int


Rule = Callable[[Cells], tuple[FloatArray, FloatArray]]  # (E, C) variances and their degrees of freedom


def own(cells: Cells) -> tuple[FloatArray, FloatArray]:
    """Each cell's own: plain Welch and Satterthwaite."""
    return cells.variance, np.broadcast_to(cells.df, cells.variance.shape)


def moderated(cells: Cells) -> tuple[FloatArray, FloatArray]:
    """Each cell's own, drawn towards what the cells have in common (Smyth 2004)."""
    return _squeezed(cells.variance, cells.df)


def moderated_trend(cells: Cells) -> tuple[FloatArray, FloatArray]:
    """The same on the logit scale."""
    share = (cells.scores * cells.items + 0.5) / (cells.items + 1)
    scale = (share * (1 - share)) ** 2
    variance, df = _squeezed(cells.variance / scale, cells.df)
    return variance * scale, df


def _squeezed(variance: FloatArray, df: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Posterior variances and degrees of freedom, at most those of the pooled variance (limma's eBayes)."""
    floor = np.maximum(1e-5 * np.median(variance, axis=1, keepdims=True), 1e-12)
    logs = np.log(np.maximum(variance, floor)) - special.digamma(df / 2) + np.log(df / 2)
    mean = logs.mean(axis=1, keepdims=True)
    extra = ((logs - mean) ** 2).sum(axis=1) / (len(df) - 1) - special.polygamma(1, df / 2).mean()
    prior_df = np.array([2 * _inverse_trigamma(x) if x > 0 else np.inf for x in extra])[:, None]
    is_certain = np.isinf(prior_df)
    known = np.where(is_certain, 1.0, prior_df)
    prior = np.exp(mean + np.where(is_certain, 0, special.digamma(known / 2) - np.log(known / 2)))
    posterior = np.where(is_certain, prior, (known * prior + df * variance) / (known + df))
    return posterior, np.minimum(prior_df + df, df.sum())


def _inverse_trigamma(value: float) -> float:
    return float(optimize.brentq(lambda x: special.polygamma(1, x) - value, 1e-8, 1e12, xtol=1e-12, maxiter=500))


def pooled(cells: Cells) -> tuple[FloatArray, FloatArray]:
    """One variance for all cells."""
    total = cells.df.sum()
    variance = (cells.variance * cells.df).sum(axis=1, keepdims=True) / total
    return np.broadcast_to(variance, cells.variance.shape), np.full(cells.variance.shape, total)


RULES: dict[str, Rule] = {"pooled": pooled, "plain": own, "moderated": moderated, "with a trend": moderated_trend}


def simulated(row: Row, *, experiments: int, sizes: tuple[float, float, float], seed: int) -> dict[str, FloatArray]:
    """Per rule, and `shipped`: (2, E, M) whether intervals cover, and their widths."""
    rng = np.random.default_rng(seed)
    setting = setting_of(row, sizes)
    truth = recipe_truth(setting)
    is_cell = _cells(setting)
    seen, summaries = [], []
    for _ in range(experiments):
        drawn = experiment(setting, rng)
        seen.append(estimated(setting, drawn)[0])
        summaries.append(_summary(is_cell, drawn.values))
    found = {"shipped": np.array([
        (covers(one.recipe.low, one.recipe.high, truth), one.recipe.high - one.recipe.low) for one in seen
    ]).transpose(1, 0, 2)}
    count = is_cell.sum(axis=1)
    cells = Cells(*np.array(summaries).transpose(1, 0, 2), count - 1, row.items)
    centre, v_item, df_item = (np.array([getattr(one.items, name) for one in seen]) for name in ("centre", "variance", "df"))
    squares = (setting.weights @ is_cell.T) ** 2 / count
    for name, rule in RULES.items():
        variances, df = rule(cells)
        of_cells = variances[:, None, :] * squares
        residual = (pooled(replace(cells, variance=cells.residual))[0] if rule is pooled else cells.residual) @ squares.T
        v_seed = of_cells.sum(axis=2)
        total = np.maximum(v_item + v_seed - residual, np.maximum(v_item, v_seed))
        same = v_seed**2 / df[:, :1] if rule is pooled else (of_cells**2 / df[:, None, :]).sum(axis=2)
        half = stats.t.ppf(0.975, total**2 / (v_item**2 / df_item + same)) * np.sqrt(total)
        found[name] = np.array([covers(centre - half, centre + half, truth), 2 * half])
    return found


def _cells(setting: Setting) -> FloatArray:
    """(C, R) one-hot rows of the cells' runs."""
    codes = setting.replication.cells
    return (np.arange(codes.max() + 1)[:, None] == codes).astype(np.float64)


def _summary(is_cell: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Per cell (C,): variance of run means, its item-by-seed part, score; from (R, N) scores, every item its own cluster."""
    count, items = is_cell.sum(axis=1), values.shape[1]
    within = values - is_cell.T @ ((is_cell @ values) / count[:, None])
    means = within.mean(axis=1)
    variance = is_cell @ means**2 / (count - 1)
    residual = is_cell @ ((within - means[:, None]) ** 2).sum(axis=1) / (count - 1) / items / (items - 1)
    return variance, residual, is_cell @ values.mean(axis=1) / count


def line(row: Row, experiments: int, seed: int) -> list[str]:
    """Per rule: the worst contrast's coverage but for `average`, the worst type I error, the median width of `main`."""
    found = simulated(row, experiments=experiments, sizes=EFFECTS, seed=seed)
    kinds = setting_of(row, EFFECTS).kinds
    null = None if row.cell_means else simulated(row, experiments=experiments, sizes=NOTHING, seed=seed + 1)
    cells = [row.name, row.seeds_in_words()]
    for name in (*RULES, "shipped"):
        covered, width = found[name]
        errors = f"{1 - null[name][0].mean(axis=0)[kinds != 'average'].min():.3f}" if null else ""
        cells += [f"{covered.mean(axis=0)[kinds != 'average'].min():.3f}", errors, f"{np.median(width[:, kinds == 'main']):.3f}"]
    return cells


def main() -> None:
    """Print the table."""
    experiments = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    names = (
        "2 x 2", "first (baseline) cell unstable", "fewer seeds there", "cells at 0, .74", "baseline and one more",
        "sds .05 to .8",
    )
    chosen = [
        row for row in rows()
        if row.items == 1000 and row.mean in (0.3, 0.5) and row.seeds < 5 and not row.n_clusters and row.item_spread
        and (row.name == names[0] or any(name in row.name for name in names[1:]))
    ]
    header = ["design", "seeds"]
    for name in (*RULES, "shipped"):
        header += [f"{name}: least", "type I", "width"]
    print("| " + " | ".join(header) + " |")
    print("|---|" + "--:|" * (len(header) - 1))
    for index, row in enumerate(chosen):
        print("| " + " | ".join(line(row, experiments, 5000 + index)) + " |", flush=True)


if __name__ == "__main__":
    main()
