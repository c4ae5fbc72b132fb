"""Shows which differences a number of items and seeds can show: from a finished experiment, or from what is expected.

Reads experiment.yaml, scores/; or the environment: MEANS, SEED_SD, ITEMS, SEEDS, DIFFERENCE. Writes nothing.
Command: make power [MEANS=.6,.7 SEED_SD=.02] [ITEMS=300,1000] [SEEDS=2,3,5] [DIFFERENCE=.05] (python scripts/power.py)
"""

import math
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from ftexp.data.splits import Sources
from ftexp.design.combinations import compared_strata
from ftexp.design.judging import METRICS
from ftexp.design.planning import make_plan
from ftexp.design.run import Run
from ftexp.design.settings import SEED
from ftexp.design.spec import Experiment
from ftexp.ground import paths
from ftexp.ground.errors import UserError, run_command
from ftexp.ground.text_table import text_table
from ftexp.jobs.backends import work_here
from ftexp.reporting.number_words import shown
from ftexp.reporting.power_options import PowerOptions, read_power_options

if TYPE_CHECKING:
    import pandas as pd
    from ftexp.effects import Seen, Spread


def main(arguments: list[str]) -> int:
    """Print one table for all factors."""
    from ftexp.effects import power
    from ftexp.results.measures import metric_named

    paths.require_experiment()
    experiment, runs = make_plan()
    task, metric = experiment.evaluation.primary
    options = read_power_options(metric, metric_named(experiment.evaluation, metric).bounds)
    if all(len(levels) < 2 for name, levels in experiment.factors.items() if name != SEED):
        raise UserError("experiment.yaml: factors: no factor has two levels, so there is no difference to show. Add a level.")
    if options.means:
        spreads = _expected(experiment, options.means, options.seed_sds or (math.nan, math.nan))
        asked = next(each for each in runs[0].asked if each.name == task)
        items = options.items or [len(Sources().rows(asked.half, "test"))]
        sizes = {count: count for count in items}
        _say_what_is_expected(experiment, options)
    else:
        seen = _finished(experiment, runs)
        spreads = {name: of_factor.spread for name, of_factor in seen.items()}
        first = next(iter(seen.values()))
        items = options.items or [first.n_items, 2 * first.n_items, 4 * first.n_items]
        sizes = {count: max(2, round(count * first.n_clusters / first.n_items)) for count in items}
        print(f"as {paths.SCORES_DIR}/ shows, of each factor the level that is hardest to tell from the baseline;")
        print("each cell with the spread of its own seeds, which few seeds show only roughly")
    wanted = options.difference or (abs(options.means[1] - options.means[0]) if options.means else None)
    print(f"\nsmallest true difference in {metric} that 80 % of such experiments show (95 % interval without 0, before Holm):")
    found = {(name, count): power(spread, wanted or 0.0, n_items=[size], n_seeds=options.seeds)
             for name, spread in spreads.items() for count, size in sizes.items()}
    print(_table(found, options.seeds, "detectable"))
    if wanted:
        print(f"\nshare of such experiments that show a true difference of {wanted:g}:")
        print(_table(found, options.seeds, "power"))
    if 1 in options.seeds:
        print("\none seed says nothing about the next, so its column is empty", file=sys.stderr)
    if any(math.isnan(sum(spread.seed_sds)) for spread in spreads.values()):
        print("\nnothing is known of how far seeds differ, so columns are empty. Give SEED_SD, or two seeds.", file=sys.stderr)
    return 0


def _expected(experiment: Experiment, means: tuple[float, float], seed_sds: tuple[float, float]) -> dict[str, "Spread"]:
    """From assumed means and seed spreads; in a factorial a difference is averaged over the cells that have both levels.

    Raises:
        UserError: If the design compares nothing.
    """
    from ftexp.effects import spread_from_means

    compared = compared_strata(experiment.factors, experiment.baseline, experiment.design)
    if not compared:
        raise UserError(
            "experiment.yaml: design: compares no run with another, so there is no difference to show. Name the levels of one as "
            "baseline."
        )
    return {name: spread_from_means(means, seed_sds, n_strata=strata) for name, strata in compared.items()}


def _say_what_is_expected(experiment: Experiment, options: PowerOptions) -> None:
    means = " and ".join(f"{mean:g}" for mean in options.means or ())
    print(f"expected: means {means}, items right in one not more likely right in the other (the cautious assumption)")
    task, primary = experiment.evaluation.primary
    cluster = experiment.evaluation.judging[task].cluster
    if cluster:
        print(f"items of one {cluster} taken as independent, which they are not: expect larger sizes")
    if primary in METRICS:
        print(f"{primary} taken as a share of right answers, which it is not: after some runs make power says it without MEANS")


def _finished(experiment: Experiment, runs: list[Run]) -> dict[str, "Seen"]:
    """From what the experiment showed, as the last report counted it: the level of each factor that is hardest to tell.

    Raises:
        UserError: If there are no effects yet.
    """
    from ftexp.effects import spreads
    from ftexp.effects.errors import UnusableTable
    from ftexp.reporting.scores import analysis_of, runs_frame
    from ftexp.results.judge_runs import Judge
    from ftexp.results.measures import measures_of
    from ftexp.results.recorded import recorded_answers
    from ftexp.results.table import collect_states, tasks_done

    advice = "Run `make report` first, or say what you expect: make power MEANS=.6,.7 SEED_SD=.02 ITEMS=300 SEEDS=2,3,5"
    work = work_here()
    states = collect_states(work, runs)
    judge = Judge(experiment.evaluation, work.code["scoring"], work.hashes)
    recorded = recorded_answers(tasks_done(states), judge, experiment.evaluation)
    if recorded.frame.empty:
        raise UserError(f"{paths.SCORES_DIR}: there are none yet. {advice}")
    measures = measures_of(recorded, experiment.evaluation)
    analysis = replace(analysis_of(experiment, measures), groups=(), differences=())
    try:
        seen = spreads(measures.scores, runs_frame(states, experiment), analysis)
    except UnusableTable as unusable:
        raise UserError(str(unusable)) from unusable
    if not seen:
        raise UserError(f"{paths.SCORES_DIR}: show no difference with a standard error yet. {advice}")
    return seen


def _table(found: dict[tuple[str, int], "pd.DataFrame"], seeds: list[int], what: str) -> str:
    """A row per factor and number of items; a column for these very runs, and one per number of new seeds.

    Args:
        found: Per factor and number of items what `power` returned.
        seeds: Numbers of seeds per cell.
        what: The column of `found` to show.
    """
    rows = []
    for (name, items), table in found.items():
        of_scope = table.set_index(["scope", "n_seeds"])[what]
        numbers = [of_scope["models", seeds[0]], *(of_scope["recipe", number] for number in seeds)]
        rows.append([name, str(items), *("" if math.isnan(number) else shown(number) for number in numbers)])
    return text_table(["factor", "items", "these runs", *(f"{number} new seed{'s' * (number > 1)}" for number in seeds)], rows)


if __name__ == "__main__":
    run_command(main)
