"""A stamped experiment: its settings changed, and its configs as a component gets them."""

import re
from typing import Any

from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from omegaconf import OmegaConf

RUNS = ["base", "r4_lr1e-4", "r4_lr1e-3", "r16_lr1e-4", "r16_lr1e-3"]


def edit_experiment(old: str, new: str) -> None:
    """Replace a text that must be there once."""
    text = paths.EXPERIMENT_YAML.read_text(encoding="utf-8")
    assert text.count(old) == 1, text
    paths.EXPERIMENT_YAML.write_text(text.replace(old, new), encoding="utf-8")


def set_factors(text: str) -> None:
    """Replace the factors by one line of YAML."""
    content = paths.EXPERIMENT_YAML.read_text(encoding="utf-8")
    content, count = re.subn(r"(?s)factors:.*?(?=design:)", lambda _: f"factors: {text}\n", content)
    assert count == 1
    paths.EXPERIMENT_YAML.write_text(content, encoding="utf-8")


def resolved(loaded: Any) -> Any:
    """A config's values as a component gets them: torchtune 0.6.1's `instantiate` resolves references twice."""
    return OmegaConf.to_container(OmegaConf.create(OmegaConf.to_container(loaded, resolve=True)), resolve=True)


def config_of(run: str) -> Any:
    """A run's config."""
    return resolved(OmegaConf.load(paths.RunPaths(run).finetune_yaml))


def trained_runs() -> list[dict[str, Any]]:
    """The runs that are trained, as planned."""
    return [run for run in planned_runs() if run.kind == "trained"]
