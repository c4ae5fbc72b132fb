"""Where the seeds of a cell are too few to carry an interval over new seeds: why it is wide, what one more would bring."""

import numpy as np
from scipy import stats

from ftexp.effects.remarks import Facts, Scoped

# As much wider than with known variances is an interval that too few seeds made wide.
WIDE = 1.5
# As much is left of an interval that hardly became narrower.
LITTLE = 0.9


def more_seeds_texts(facts: Facts, scope: Scoped) -> list[str]:
    """Per row why its interval is wide, and after a semicolon what one more seed would bring; nothing where seeds carry it."""
    if not scope.is_recipe:
        return [""] * len(facts.contrasts)
    found, cells = facts.found, facts.comparison.replication.cells
    measured_cells = np.unique(cells[cells >= 0])
    half = np.minimum(((found["recipe high"] - found["recipe low"]) / 2).to_numpy(), facts.largest())
    quantile = 1 - facts.analysis.alpha / 2
    errors = stats.t.ppf(quantile, found["recipe df"].to_numpy())
    is_wide = errors > WIDE * stats.norm.ppf(quantile)
    texts = []
    for row, contrast in enumerate(facts.contrasts):
        alone = np.flatnonzero((contrast.weights != 0) & (facts.counts == 1))
        if scope.is_empty[row] or facts.is_chosen[row] or not (is_wide[row] or len(alone)):
            texts.append("")
        elif len(alone):
            cell = facts.cells.label(facts.cells.keys[int(alone[0])])
            texts.append(f"{cell} has one seed and borrows the spread of other cells, which may differ; one more shows its own")
        else:
            widest = int(measured_cells[found["widest_cell"].iloc[row]])
            texts.append(_one_more(facts, row, widest, (float(half[row]), float(errors[row]))))
    return texts


def _one_more(facts: Facts, row: int, cell: int, interval: tuple[float, float]) -> str:
    """What one more seed of the widest cell would bring; of every cell where that alone would bring less than half as much."""
    half, errors = interval
    name, seeds = facts.cells.label(facts.cells.keys[cell]), int(facts.counts[cell])
    why = f"{seeds} seeds of {name} tell little of how far seeds differ there"
    wide = f"the interval spans {errors:.0f} standard errors to each side instead of 2"
    of_cell, of_all = (min(float(facts.found[name].iloc[row]), half) for name in ("half_of_cell", "half_of_all"))
    is_one = half - of_cell >= (half - of_all) / 2
    where, after = (f"of {name}", of_cell) if is_one else ("of each cell", of_all)
    if after > LITTLE * half:
        return f"{why}; {wide}, and even one more of each cell would narrow it little, if they differ as seen"
    change = f"from ±{half:.2g} to about ±{after:.2g}"
    return f"{why}; {wide}, and one more seed {where} would narrow it {change}, if seeds differ as seen"
