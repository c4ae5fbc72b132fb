"""The evaluation section and the controls of a rehearsal: the same tasks, without what asks a model that it does not have."""

import os
from collections.abc import Mapping
from typing import Any

from ftexp.design.judging import SCORERS
from ftexp.design.sections import as_list
from ftexp.design.spec import Experiment


def small_controls(document: dict[str, Any]) -> dict[str, Any]:
    """The controls without existing checkpoints, which fit no tiny model."""
    return {key: value for key, value in (document.get("controls") or {}).items() if key != "others"}


def small_evaluation(document: dict[str, Any], experiment: Experiment, names: Mapping[str, str]) -> dict[str, Any]:
    """The section without scorers that ask a model, and with the matrix in the new names of factors.

    Args:
        document: experiment.yaml.
        names: Per factor its name in the small design.
    """
    section = _without_models(dict(document.get("evaluation") or {}))
    if isinstance(section.get("tasks"), dict):
        section["tasks"] = {name: _reachable(_without_models(dict(task or {}))) for name, task in section["tasks"].items()}
    if section.get("matrix"):
        section["matrix"] = [
            {**entry, "runs": _renamed(entry["runs"], names)} for entry in as_list(section["matrix"], dict)
        ]
    asks_model = {scorer.name for judging in experiment.evaluation.judging.values() for scorer in judging.scorers
                  if "model" in SCORERS.get(scorer.kind, SCORERS["exact"]).options}
    if experiment.evaluation.primary[1] in asks_model:
        section.pop("primary", None)
    return section


def _renamed(runs: Any, names: Mapping[str, str]) -> Any:
    """The levels of an entry of the matrix, under the new names of their factors; the word for all runs as it is."""
    return {names.get(factor, factor): levels for factor, levels in runs.items()} if isinstance(runs, dict) else runs


def _reachable(task: dict[str, Any]) -> dict[str, Any]:
    """With the absolute path of a file that lies outside of the experiment."""
    return {**task, "data": absolute_if_outside(task["data"])} if task.get("data") else task


def absolute_if_outside(path: str) -> str:
    """The path of a file as the copy of an experiment can be told it."""
    return os.path.abspath(path) if os.path.normpath(path).startswith("..") else path


def _without_models(section: dict[str, Any]) -> dict[str, Any]:
    """A section, or a task of it, without scorers that name a model; by `exact` where none is left."""
    key = "scorer" if "scorer" in section else "scorers"
    if section.get(key) is None:
        return section
    scorers = as_list(section[key], str, dict)
    kept = [entry for entry in scorers if not (isinstance(entry, dict) and _asks_model(next(iter(entry))))]
    return {**section, key: kept or ["exact"]}


def _asks_model(name: str) -> bool:
    return name in SCORERS and "model" in SCORERS[name].options
