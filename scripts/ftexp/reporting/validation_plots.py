"""Plots of the looks at trainings that are validated: loss, and the score that decides, by step. Nothing is read or written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftexp.design.settings import SEED
from ftexp.reporting.plots import Plot, file_stem, grouped
from ftexp.reporting.svg_figure import draw_picture, group_looks
from ftexp.trainers.validation_csv import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class LookedAt:
    """One training with the looks at it, of which one is kept."""

    levels: dict[str, Any]
    looks: Sequence[Look]


def validation_plots(trainings: Sequence[LookedAt]) -> list[Plot]:
    """A plot of the loss, and one of each score by which a step was chosen; none where nothing is validated."""
    names = dict.fromkeys(name for training in trainings for name in training.looks[0].values)
    return [_plot(name, [training for training in trainings if name in training.looks[0].values]) for name in names]


def _plot(value: str, trainings: Sequence[LookedAt]) -> Plot:
    """One value by step: a colour per cell, a thin line per seed, a ring where the step was kept."""
    groups = grouped(trainings, lambda training: {k: v for k, v in training.levels.items() if k != SEED})
    looks, legend_title = group_looks([group for group, _ in groups])

    def draw(axes: "Axes") -> None:
        for (_, members), look in zip(groups, looks, strict=True):
            for training in members:
                spots = [(each.step, each.values[value]) for each in training.looks]
                axes.plot(*zip(*spots, strict=True), marker=".", markersize=3, color=look.colour, linewidth=0.9, alpha=0.85)
                kept = [(each.step, each.values[value]) for each in training.looks if each.kept]
                axes.plot(
                    *zip(*kept, strict=True), look.marker, color=look.colour, markersize=8, markerfacecolor="none",
                    markeredgewidth=1.4,
                )
        axes.set_xlabel("optimiser step")
        axes.set_ylabel("validation loss (nats per trained token)" if value == "loss" else f"validation {value}")
        if value == "loss":
            axes.set_ylim(bottom=0)

    caption = (
        "One thin line per run, a dot per look; the runs (seeds) of a cell share a colour. The large open marker is the step "
        "that was kept, and that is evaluated: chosen as the best here, it is so partly by luck."
    )
    name = f"validation-{file_stem(value)}"
    return Plot(name, f"Validation: {value}", draw_picture(name, draw, looks, legend_title=legend_title), caption)
