"""A design in words: how many runs, what varies, what is constant."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ftexp.design.combinations import (
    FACTORIAL,
    LIST,
    baseline_levels,
    combinations,
    count_cells,
    exclusions,
    has_baseline,
    levels_in_words,
)
from ftexp.design.factors import Level
from ftexp.design.levels import id_text, table_text
from ftexp.design.run import Run
from ftexp.design.runs import abbreviation
from ftexp.design.settings import SEED, SETTINGS
from ftexp.design.spec import Experiment
from ftexp.design.unused import idle_settings
from ftexp.ground.wording import listed


def design_in_words(experiment: Experiment, runs: list[Run]) -> str:
    """Numbers of runs and controls, every factor with its levels, and the constants, defaults among them."""
    trained = [run for run in runs if run.kind == "trained"]
    controls = len(runs) - len(trained)
    return "\n".join([
        f"{runs_in_words(trained)} ({kind_in_words(experiment)}) and "
        f"{controls} control{'' if controls == 1 else 's'}",
        *reference_in_words(experiment, table_text),
        *(f"excluded: {words}" for words in excluded_in_words(experiment, table_text)),
        *(f"varies: {name}: {_labels(levels)}" for name, levels in experiment.factors.items()),
        *chosen_in_words(experiment, trained),
        "constant: " + ", ".join(f"{name}={table_text(value)}" for name, value in _constants(experiment, trained).items()),
    ])


def runs_in_words(runs: Sequence[Run], noun: str = "run") -> str:
    """How many runs of those that are no controls, and where some share a training of how many trainings."""
    count, trainings = len(runs), sum(run.trains for run in runs)
    words = f"{count} {noun}{'' if count == 1 else 's'}"
    return words if trainings == count else f"{words}, {trainings} training{'' if trainings == 1 else 's'}"


def _labels(levels: list[Level]) -> str:
    return ", ".join(table_text(level.label) for level in levels)


def kind_in_words(experiment: Experiment) -> str:
    """Which combinations are runs, and how many: `2 lora_rank x 3 lr x 2 seed, less 2 excluded`."""
    factors, baseline, design = experiment.factors, experiment.baseline, experiment.design
    product = " x ".join(f"{len(levels)} {name}" for name, levels in factors.items()) or "one cell"
    if design.is_full_factorial():
        return product
    runs = combinations(factors, baseline, design)
    without_exclude = combinations(factors, baseline, replace(design, exclude=()))
    if design.kind != FACTORIAL:
        cells = count_cells(factors, without_exclude)
        is_crossed = SEED in factors and len(without_exclude) == cells * len(factors[SEED])
        kind = "a list of" if design.kind == LIST else "one factor at a time from the baseline:"
        product = f"{kind} {cells} cell{'' if cells == 1 else 's'}" + (f" x {len(factors[SEED])} {SEED}" if is_crossed else "")
    less = len(without_exclude) - len(runs)
    return product + (f", less {less} excluded" if less else "")


def reference_in_words(experiment: Experiment, text: Callable[[Any], str]) -> list[str]:
    """The cell that the others are compared with where the design is no factorial; a line, or none."""
    if experiment.design.kind == FACTORIAL or len(experiment.factors.keys() - {SEED}) == 0:
        return []
    base = levels_in_words(baseline_levels(experiment.factors, experiment.baseline), text)
    if has_baseline(experiment.factors, experiment.baseline, experiment.design):
        return [f"baseline: {base}"]
    return [f"baseline: {base}; no run is there, so that no run is compared with another"]


def excluded_in_words(experiment: Experiment, text: Callable[[Any], str]) -> list[str]:
    """Per entry of `exclude` its levels, and how many runs that takes away."""
    entries = exclusions(experiment.factors, experiment.baseline, experiment.design)
    return [f"{levels_in_words(levels, text)} ({count} run{'' if count == 1 else 's'})" for levels, count in entries]


def chosen_in_words(experiment: Experiment, trained: Sequence[Run]) -> list[str]:
    """Which factors' levels are chosen, by what and among how many; a line, or none."""
    if not experiment.select:
        return []
    others = [name for name in experiment.factors if name not in (*experiment.select, SEED)]
    where = f", in each cell of {listed(others)}" if others else ""
    by = trained[0].validation["metric"]
    return [f"chosen on validation, by {by}{where}: {listed(experiment.select)}, of whose effects nothing is claimed"]


def naming_in_words(experiment: Experiment) -> str:
    """What a run's id is made of, with the first level of every factor as the example."""
    if not experiment.factors:
        return "There is one run, `run`."
    firsts = {name: levels[0].label for name, levels in experiment.factors.items()}
    parts = [f"`{abbreviation(experiment, name)}{id_text(first)}` is {name} {table_text(first)}"
             for name, first in firsts.items()]
    return f"Here {', '.join(parts)}."


def _constants(experiment: Experiment, trained: Sequence[Run]) -> dict[str, Any]:
    """Settings that are the same in all runs: declared ones and defaults, not derived ones, nor what no run makes use of."""
    varied = {name for levels in experiment.factors.values() for level in levels for name in level.sets}
    left_out = {*varied, "lora_alpha", "warmup_steps", *idle_settings(trained)}
    settings = {name: trained[0].settings.get(name) for name in SETTINGS if name not in left_out}
    return {name: value for name, value in {**settings, **experiment.constants}.items() if value is not None}
