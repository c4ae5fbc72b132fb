"""The figures of a report: effects, scores and interactions of the factors, training curves; and their files in figures/.

Writes figures/<name>.svg and .png.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ftexp.data.answers import LEAST_TOLD, Answers
from ftexp.design.controls import controls_of
from ftexp.design.settings import SEED
from ftexp.design.spec import Experiment
from ftexp.effects import Analysis, leading_rows
from ftexp.ground import paths
from ftexp.ground.filesystem import write_bytes_if_changed
from ftexp.reporting.conclusions import compared_factors
from ftexp.reporting.effect_plots import effect_plot, interaction_plot
from ftexp.reporting.plots import Curve, Plot, Point, curves_plot, factor_plot
from ftexp.reporting.validation_plots import LookedAt, validation_plots
from ftexp.results.table import RunFacts

MOST_PAIRS = 10


@dataclass(frozen=True)
class Primary:
    """The primary metric: per evaluated run its value, and the answers that are right in its rows, if there are some."""

    scores: Mapping[str, float]
    references: Mapping[str, Answers]


def draw_figures(
    experiment: Experiment, all_facts: Sequence[RunFacts], primary: Primary, effects: pd.DataFrame, analysis: Analysis
) -> list[Plot]:
    """All figures of factors in the order of the page.

    Args:
        effects: What `effects` returned.
        analysis: What it was given.
    """
    metric = analysis.primary
    factors = {name: [level.label for level in levels] for name, levels in experiment.factors.items() if name != SEED}
    varied = [name for name, levels in factors.items() if len(levels) > 1]
    baseline = {name: str(analysis.baseline.get(name, levels[0])) for name, levels in analysis.factors.items()}
    points = _points(all_facts, primary, metric)
    trained = [facts for facts in all_facts if facts.losses and facts.run.trains]
    curves = [Curve(f.run.levels, [x.step for x in f.losses], [x.loss for x in f.losses]) for f in trained]
    own = effects[(effects["metric"] == metric) & (effects["task"] == analysis.primary_task)]
    of_effects = [
        effect_plot(name, leading_rows(own[own["factor"] == name]), points, metric=metric, baseline=baseline)
        for name in compared_factors(own, analysis)
    ]
    pairs = list(itertools.combinations(varied, 2))[:MOST_PAIRS] if analysis.design == "factorial" else []
    return [
        *of_effects,
        *(factor_plot(name, levels, points, metric=metric) for name, levels in factors.items()),
        *(interaction_plot(pair, (factors[pair[0]], factors[pair[1]]), points, metric=metric) for pair in pairs),
        curves_plot(curves), *validation_plots([LookedAt(f.run.levels, f.looks) for f in trained if f.looks]),
    ]


def _points(all_facts: Sequence[RunFacts], primary: Primary, metric: str) -> list[Point]:
    """Score of every trained run that is evaluated, that of its control, and that of whoever always says the same."""
    controls = controls_of(facts.run for facts in all_facts)
    scores = primary.scores
    trained = [facts for facts in all_facts if facts.run.kind == "trained" and facts.id in scores]
    return [
        Point(
            facts.run.levels, scores[facts.id], scores.get(controls[facts.id] or ""),
            *_floor_and_chance(primary.references.get(facts.id), metric),
        ) for facts in trained
    ]


def _floor_and_chance(reference: Answers | None, metric: str) -> tuple[float | None, float | None]:
    floor = reference.score_of_majority(metric) if reference else None
    if reference is None or floor is None or floor < LEAST_TOLD:
        return None, None
    return floor, reference.chance(metric)


def write_figures(plots: Sequence[Plot]) -> tuple[list[Path], bool]:
    """Write every figure as SVG and PNG, and remove those of an earlier design; return their paths and whether any changed."""
    files = {}
    for plot in plots:
        if plot.picture:
            files[paths.FIGURES_DIR / f"{plot.name}.svg"] = plot.picture.svg.encode("utf-8")
            files[paths.FIGURES_DIR / f"{plot.name}.png"] = plot.picture.png
    paths.FIGURES_DIR.mkdir(exist_ok=True)
    stale = [path for path in paths.FIGURES_DIR.iterdir() if path.suffix in (".svg", ".png") and path not in files]
    for path in stale:
        path.unlink()
    changed = [write_bytes_if_changed(path, data) for path, data in files.items()]
    return list(files), any(changed) or bool(stale)
