"""Spreads: what a finished experiment shows of how much its contrasts vary, of items and of each cell's seeds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ftexp.effects.analysis import Analysis
from ftexp.effects.contrasts import Contrast
from ftexp.effects.estimates import Estimates
from ftexp.effects.rows import Block
from ftexp.effects.samples import Comparison, counts
from ftexp.effects.seed_variance import seed_part
from ftexp.effects.sensitivity import Spread
from ftexp.effects.table import blocks


@dataclass(frozen=True)
class Seen:
    """What was seen of one contrast.

    Attributes:
        level: What is compared, in words.
        reference: What it is compared with.
        spread: How much it varies.
        se: Its standard error: over new seeds, or, where nothing is known of these, of these very runs.
        is_over_seeds: Which of the two.
        n_items: Items.
        n_clusters: Clusters of these.
    """

    level: str
    reference: str
    spread: Spread
    se: float
    is_over_seeds: bool
    n_items: int
    n_clusters: int


def spreads(scores: pd.DataFrame, runs: pd.DataFrame, analysis: Analysis) -> dict[str, Seen]:
    """Per factor, by the primary metric, the level that is hardest to tell from the baseline: the largest standard error.

    On the primary task, where the analysis names one. Of the contrasts that average over the other factors, or, without other
    factors, of the levels. Factors without a standard error, or whose level was chosen by its score, are left out.

    Args:
        scores: As `effects` reads them; group columns are not needed.
        runs: As `effects` reads them.
        analysis: Factors, baselines, metrics.

    Raises:
        UnusableTable: As `effects` does.
    """
    own = replace(analysis, groups=(), differences=(), kinds=("level", "main"), others=())
    found: dict[str, Seen] = {}
    is_primary = scores["metric"] == analysis.primary
    if analysis.primary_task:
        is_primary &= scores["task"] == analysis.primary_task
    for block in blocks(scores[is_primary], runs, own):
        for factor, seen in _leading(block):
            best = found.setdefault(factor, seen)
            if (seen.is_over_seeds, seen.se) > (best.is_over_seeds, best.se):
                found[factor] = seen
    return found


def _leading(block: Block) -> Iterator[tuple[str, Seen]]:
    """The factor of each leading contrast that has a standard error, and what was seen of it."""
    contrasts, whole = block.compared()
    is_averaged = any(contrast.kind == "main" for contrast in contrasts)
    chosen = set(block.analysis.chosen)
    for rows, part in whole.by_items():
        found, is_lost = part.estimates(block.analysis.alpha), part.is_lost(whole, rows)
        found = replace(found, seeds=seed_part(part.weights, part.rows, part.replication, lends=False))
        for row, contrast in enumerate(contrasts[position] for position in rows):
            is_leading = contrast.kind == "main" or not is_averaged
            is_known = not contrast.reason and not is_lost[row] and np.isfinite(found.models.se[row])
            if is_leading and is_known and chosen.isdisjoint(contrast.factors):
                yield contrast.factor, _seen(contrast, part, found, row)


def _seen(contrast: Contrast, part: Comparison, found: Estimates, row: int) -> Seen:
    n_items, n_clusters = (int(number[0]) for number in counts(part.weights[[row]], part.rows))
    se_of_all = float(found.recipe.se[row])
    is_over_seeds = bool(np.isfinite(se_of_all))
    return Seen(
        contrast.level, contrast.reference, _spread(part, found, row, n_clusters),
        se_of_all if is_over_seeds else float(found.models.se[row]), is_over_seeds, n_items, n_clusters,
    )


def _spread(part: Comparison, found: Estimates, row: int, n_clusters: int) -> Spread:
    """Each part as it was seen, scaled to one cluster and one seed.

    Of seeds a cell's part less its noise; cells whose noise is larger by chance have none, and the others so much less that
    their sum is V_seed - residual still.
    """
    cells, seeds = part.replication.cells, found.seeds
    is_in = np.isin(np.unique(cells[cells >= 0]), cells[part.weights[row] != 0])
    of_cells, noise, n_seeds = seeds.by_cell[row, is_in], seeds.residuals[row, is_in], seeds.seeds[is_in]
    beyond = np.maximum(of_cells - noise, 0.0)
    whole = max(float((of_cells - noise).sum()), 0.0)
    beyond *= whole / beyond.sum() if beyond.sum() > 0 else 1.0
    is_known = bool(np.isfinite(of_cells).all())
    return Spread(
        item_sd=float(np.sqrt(found.items.variance[row] * n_clusters)),
        seed_sds=tuple(np.sqrt(beyond * n_seeds).tolist()) if is_known else (np.nan,) * int(is_in.sum()),
        noise_sds=tuple(np.sqrt(noise * n_seeds * n_clusters).tolist()) if is_known else (),
        noise_sd=float(np.sqrt(noise.sum() * n_clusters)) if is_known else 0.0,
        evenness=float(found.items.df[row]) / max(n_clusters - 1, 1),
    )
