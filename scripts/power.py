"""Shows which differences a number of items and seeds can show: from a finished experiment, or from what is expected.

Reads experiment.yaml, effects.csv; or the environment: MEANS, SEED_SD, ITEMS, SEEDS, DIFFERENCE. Writes nothing.
Command: make power [MEANS=.6,.7 SEED_SD=.02] [ITEMS=300,1000] [SEEDS=2,3,5] [DIFFERENCE=.05] (python scripts/power.py)
"""

import math
import sys
from typing import TYPE_CHECKING

from ftexp.data.splits import Sources, half_of
from ftexp.design.combinations import combinations, compared_strata, count_cells
from ftexp.design.planning import make_plan
from ftexp.design.settings import SEED
from ftexp.design.spec import Experiment
from ftexp.ground import paths
from ftexp.ground.errors import UserError, run_command
from ftexp.ground.text_table import text_table
from ftexp.reporting.power_options import read_power_options

if TYPE_CHECKING:
    import pandas as pd
    from ftexp.effects import Spread



def main(arguments: list[str]) -> int:
    """Print one table for all factors."""
    paths.require_experiment()
    options = read_power_options()
    experiment, runs = make_plan()
    if all(len(levels) < 2 for name, levels in experiment.factors.items() if name != SEED):
        raise UserError("experiment.yaml: factors: no factor has two levels, so there is no difference to show. Add a level.")
    if options.means:
        rows_of_a_cluster = 1.0
        items = options.items or [len(Sources().rows(half_of(runs[0].data, "test"), "test"))]
        spreads = _expected(experiment, options.means, options.seed_sd)
        means = " and ".join(f"{mean:g}" for mean in options.means)
        print(f"expected: means {means}, items right in one not more likely right in the other (the cautious assumption)")
        if experiment.analysis["cluster"]:
            print(f"items of one {experiment.analysis['cluster']} taken as independent, which they are not: expect larger sizes")
    else:
        spreads, n_items, rows_of_a_cluster = _finished(experiment)
        items = options.items or [n_items, 2 * n_items, 4 * n_items]
        print(f"as {paths.EFFECTS_CSV} shows, of each factor the level that is hardest to tell from the baseline")
        print("more seeds would also average out some of the items' noise, which is not counted on here")
    sizes = {count: max(2, round(count / rows_of_a_cluster)) for count in items}
    wanted = options.difference or (abs(options.means[1] - options.means[0]) if options.means else None)
    print("\nsmallest true difference that 80 % of such experiments show (95 % interval without 0, before Holm):")
    print(_table(spreads, sizes, options.seeds, "detectable", difference=0.0))
    if wanted:
        print(f"\nshare of such experiments that show a true difference of {wanted:g}:")
        print(_table(spreads, sizes, options.seeds, "power", difference=wanted))
    if 1 in options.seeds:
        print("\none seed says nothing about the next, so its column is empty", file=sys.stderr)
    if any(math.isnan(spread.seed_sd) for spread in spreads.values()):
        print("\nnothing is known of how far seeds differ, so columns are empty. Give SEED_SD, or two seeds.", file=sys.stderr)
    return 0


def _expected(experiment: Experiment, means: tuple[float, float], seed_sd: float | None) -> dict[str, "Spread"]:
    """From assumed means and a seed spread; in a factorial a difference is averaged over the cells that have both levels.

    Raises:
        UserError: If the design compares nothing.
    """
    from ftexp.effects import spread_from_means

    spread = math.nan if seed_sd is None else seed_sd
    compared = compared_strata(experiment.factors, experiment.baseline, experiment.design)
    if not compared:
        raise UserError(
            "experiment.yaml: design: compares no run with another, so there is no difference to show. Name the levels of one as "
            "baseline."
        )
    return {name: spread_from_means(means, spread, n_strata=strata) for name, strata in compared.items()}


def _finished(experiment: Experiment) -> tuple[dict[str, "Spread"], int, float]:
    """From what the experiment showed: the level of each factor that is hardest to tell; its items, and items per cluster.

    Raises:
        UserError: If there are no effects yet.
    """
    import pandas as pd
    from ftexp.effects import leading_rows, spread_from_effects

    advice = "Run `make report` first, or say what you expect: make power MEANS=.6,.7 SEED_SD=.02 ITEMS=300 SEEDS=2,3,5"
    if not paths.EFFECTS_CSV.is_file():
        raise UserError(f"{paths.EFFECTS_CSV}: there is none yet. {advice}")
    effects = pd.read_csv(paths.EFFECTS_CSV)
    primary = effects[effects["metric"] == experiment.analysis["primary"]]
    factors = dict.fromkeys(primary.loc[primary["kind"].isin(["level", "main"]), "factor"])
    rows = {name: _hardest(leading_rows(primary[primary["factor"] == name])) for name in factors}
    known = {name: row for name, row in rows.items() if row is not None}
    if not known:
        raise UserError(f"{paths.EFFECTS_CSV}: holds no effect with a number yet. {advice}")
    cells = count_cells(experiment.factors, combinations(experiment.factors, experiment.baseline, experiment.design))
    first = next(iter(known.values()))
    spreads = {name: spread_from_effects(row, n_cells=cells) for name, row in known.items()}
    return spreads, int(first["n_items"]), float(first["n_items"]) / float(first["n_clusters"])


def _hardest(rows: "pd.DataFrame") -> "pd.Series | None":
    """The row with the largest standard error, over seeds too where that is known."""
    known = rows[rows["se"].notna()]
    own = known[known["scope"] == "recipe"] if (known["scope"] == "recipe").any() else known
    return None if own.empty else own.iloc[int(own["se"].to_numpy().argmax())]


def _table(spreads: dict[str, "Spread"], sizes: dict[int, int], seeds: list[int], what: str, *, difference: float) -> str:
    """A row per factor and number of items; a column for these very runs, and one per number of new seeds.

    Args:
        sizes: Per number of items that of clusters.
    """
    from ftexp.effects import power

    rows = []
    for name, spread in spreads.items():
        for items, clusters in sizes.items():
            table = power(spread, difference, n_items=[clusters], n_seeds=seeds).set_index(["scope", "n_seeds"])[what]
            numbers = [table["models", seeds[0]], *(table["recipe", number] for number in seeds)]
            rows.append([name, str(items), *("" if math.isnan(number) else f"{number:.3f}" for number in numbers)])
    return text_table(["factor", "items", "these runs", *(f"{number} new seed{'s' * (number > 1)}" for number in seeds)], rows)


if __name__ == "__main__":
    run_command(main)
