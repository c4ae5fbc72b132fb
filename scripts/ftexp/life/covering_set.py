"""Which runs of a design stand for all of it: few of them, in which every level of every factor comes at least once."""

from ftexp.design.controls import controls_of
from ftexp.design.levels import id_text
from ftexp.design.run import Run
from ftexp.design.settings import SEED
from ftexp.ground.options import Options

# So few runs are all taken.
FEW = 8
# Replicates differ in nothing that could break; two of them are enough for the statistics over seeds.
_SEEDS = 2


def covering_runs(runs: list[Run], options: Options) -> list[Run]:
    """Of the runs that are picked those that cover every level, seeds beyond the second aside, and their controls, in plan order.

    Where only controls are picked, these.
    """
    trained = [run for run in runs if run.kind == "trained" and options.picks(run.id)]
    if not trained:
        return [run for run in runs if options.picks(run.id)]
    chosen = trained if len(trained) <= FEW else _greedy(trained)
    controls = controls_of(runs)
    ids = {run.id for run in chosen} | {controls[run.id] for run in chosen} | {run.id for run in runs if run.is_other}
    return [run for run in runs if run.id in ids]


def _greedy(trained: list[Run]) -> list[Run]:
    """Again and again the first of the runs that cover most of what is not covered yet."""
    seeds = list(dict.fromkeys(id_text(run.levels[SEED]) for run in trained if SEED in run.levels))
    unwanted = {(SEED, seed) for seed in seeds[_SEEDS:]}
    levels = {run.id: {(name, id_text(label)) for name, label in run.levels.items()} - unwanted for run in trained}
    uncovered = set().union(*levels.values())
    chosen = []
    while uncovered:
        best = max(trained, key=lambda run: len(levels[run.id] & uncovered))
        chosen.append(best)
        uncovered -= levels[best.id]
    return chosen
