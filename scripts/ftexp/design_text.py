"""A design in words: how many runs, what varies, what is constant."""

from typing import Any

from ftexp.design import Run, abbreviation, level_text
from ftexp.planning import cell
from ftexp.settings import SETTINGS
from ftexp.spec import Experiment


def design_in_words(experiment: Experiment, runs: list[Run]) -> str:
    """Numbers of runs and controls, every factor with its levels, and the constants, defaults among them."""
    trained = [run for run in runs if run.kind == "trained"]
    product = " x ".join(f"{len(levels)} {name}" for name, levels in experiment.factors.items()) or "one cell"
    controls = len(runs) - len(trained)
    return "\n".join([
        f"{len(trained)} runs ({product}) and {controls} control{'' if controls == 1 else 's'}",
        *(f"varies: {name}: {', '.join(cell(level.label) for level in levels)}" for name, levels in experiment.factors.items()),
        "constant: " + ", ".join(f"{name}={cell(value)}" for name, value in _constants(experiment, trained[0]).items()),
    ])


def naming_in_words(experiment: Experiment) -> str:
    """What a run's id is made of, with the first level of every factor as the example."""
    if not experiment.factors:
        return "There is one run, `run`."
    firsts = {name: levels[0].label for name, levels in experiment.factors.items()}
    parts = [f"`{abbreviation(experiment, name)}{level_text(label)}` is {name} {cell(label)}" for name, label in firsts.items()]
    return f"Here {', '.join(parts)}."


def _constants(experiment: Experiment, run: Run) -> dict[str, Any]:
    """Settings that are the same in all runs: declared ones and defaults, not derived ones."""
    varied = {name for levels in experiment.factors.values() for level in levels for name in level.sets}
    left_out = {*varied, "lora_alpha", "warmup_steps"}
    settings = {name: run.settings.get(name) for name in SETTINGS if name not in left_out}
    return {name: value for name, value in {**settings, **experiment.constants}.items() if value is not None}
