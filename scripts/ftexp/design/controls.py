"""Controls: base models as they are, and existing checkpoints; which of them a run is compared with."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ftexp.design.factors import Level
from ftexp.design.levels import label_text
from ftexp.design.run import Run, is_of_documents
from ftexp.design.sections import DATA_KEYS
from ftexp.design.settings import CONTROL_SETTINGS
from ftexp.design.spec import Experiment
from ftexp.ground import paths
from ftexp.ground.errors import Findings

# What an existing checkpoint brings itself.
OF_A_BASE = {"model", "quantize_base"}
# Makes a run of a kind with some levels.
Maker = Callable[[Experiment, str, dict[str, Level]], Run]


def tasks_of(experiment: Experiment, levels: dict[str, Level]) -> dict[str, dict[str, Any]]:
    """What a run of these levels is asked: by the entries of the matrix that it matches, or everything where it matches none."""
    matched = [tasks for wanted, tasks in experiment.evaluation.matrix if _matches(levels, wanted)]
    asked = {name for tasks in matched for name in tasks}
    return {name: task for name, task in experiment.evaluation.tasks.items() if name in asked or not matched}


def check_asked(found: Findings, experiment: Experiment, cells: list[dict[str, Level]]) -> None:
    """Every entry of the matrix is of some run, and every task is asked of one."""
    for number, (wanted, _) in enumerate(experiment.evaluation.matrix, 1):
        if not any(_matches(cell, wanted) for cell in cells):
            found.add(f"evaluation.matrix, entry {number}: runs", f"no run has these levels, got {wanted!r}", "Remove the entry.")
    asked = {name for cell in cells for name in tasks_of(experiment, cell)}
    for name in (name for name in experiment.evaluation.tasks if name not in asked):
        found.add(f"evaluation.tasks.{name}", "no run is asked it, by evaluation.matrix", "Name it there, or remove it.")


def _matches(levels: dict[str, Level], wanted: dict[str, list[str]]) -> bool:
    """Whether these are levels of an entry of the matrix."""
    return all(name in levels and label_text(levels[name].label) in labels for name, labels in wanted.items())


def plan_controls(experiment: Experiment, cells: list[dict[str, Level]], make: Maker) -> list[Run]:
    """One untuned run per distinct model, precision, prompt and test set of the cells; its id has the levels that concern it.

    It is asked all that a run which it is the control of is asked. Existing checkpoints are controls too, each in every precision
    and under every prompt and test set.
    """
    by_places: dict[tuple[int, ...], tuple[dict[str, Level], dict[str, dict[str, Any]]]] = {}
    tested = _tested(experiment.evaluation.tasks.values())
    for cell in cells:
        levels = {name: level for name, level in cell.items() if _sets(level, {*CONTROL_SETTINGS, *tested})}
        places = tuple(own.index(levels[name]) if name in levels else -1 for name, own in experiment.factors.items())
        tasks = by_places.setdefault(places, (levels, {}))[1]
        tasks |= tasks_of(experiment, cell)
    found: dict[str, Run] = {}
    for name, folder in [*([("", "")] if experiment.has_controls else []), *experiment.others.items()]:
        for _, (levels, tasks) in sorted(by_places.items(), key=lambda pair: pair[0]):
            run = _control(experiment, (name, folder), levels, make)
            key = name + repr((_model_and_prompt(run), [(task.name, task.half) for task in run.asked]))
            first = found.setdefault(key, run)
            kept = tasks if first is run else {**tasks, **first.tasks}
            first.tasks = {task: facts for task, facts in experiment.evaluation.tasks.items() if task in kept}
    return list(found.values())


def _control(experiment: Experiment, other: tuple[str, str], levels: dict[str, Level], make: Maker) -> Run:
    """A base model as it is, or, where it has a name, an existing checkpoint: name and folder."""
    name, folder = other
    if name:
        known = {*CONTROL_SETTINGS, *_tested(experiment.evaluation.tasks.values())} - OF_A_BASE
        levels = {factor: level for factor, level in levels.items() if _sets(level, known)}
    run = make(experiment, "control", levels)
    run.tasks, run.is_other = dict(experiment.evaluation.tasks), bool(name)
    if run.data["test"] or not run.data["source"]:  # a test file of its own: what trains does not concern a control
        run.data["train"] = None
    if name:
        run.id = "_".join([name, *run.id.split("_")[1:]])
        model, run.checkpoint, problem = base_of(folder)
        run.settings |= {"model": model, "quantize_base": False}
        run.settings.pop("quantize_base")
        run.problems = [problem] if problem else []
    return run


def base_of(folder: str) -> tuple[str, str, str]:
    """Of an existing checkpoint the name of its base model, its adapter's folder (empty for a whole model), and what is wrong.

    A whole model lies in models/. An adapter names its base in adapter_config.json, by the name or the path of its folder.
    """
    path = Path(folder)
    if path.parent == paths.MODELS_LINK:
        return path.name, "", ""
    config = path / "adapter_config.json"
    if not config.is_file():
        what = f"controls.others: {folder} is neither a folder of models/ nor an adapter, as it has no adapter_config.json"
        return "", folder, f"{what}; link it there"
    try:
        base = json.loads(config.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError):
        base = None
    name = Path(base).name if isinstance(base, str) else ""
    if not name:
        return "", folder, f"controls.others: {config} names no base model; set base_model_name_or_path to its folder in models/"
    return name, folder, ""


def _sets(level: Level, names: Collection[str]) -> bool:
    """Whether a level sets one of these names, or something of the prompt, which all change what an untuned model answers."""
    return any(name in names or name.startswith("prompt.") for name in level.sets)


def _tested(tasks: Iterable[Mapping[str, Any]]) -> set[str]:
    """The keys of the data section that the rows of some task follow from."""
    keys = set()
    for task in (task for task in tasks if task["kind"] != "inspect"):
        if "data" not in task:
            keys |= {*DATA_KEYS} - {"train"}
        elif not is_of_documents(task):
            keys |= {"input", "output"} - task["data"].keys()
        elif not task.get("document"):
            keys |= {"text"}
    return {f"data.{key}" for key in keys}


def controls_of(runs: Iterable[Run]) -> dict[str, str | None]:
    """Per trained run the id of its control: the same model and precision, untuned, asked the same under the same prompt."""
    listed = list(runs)
    by_model: dict[str, list[Run]] = {}
    for run in listed:
        if run.is_control and not run.is_other:
            by_model.setdefault(_model_and_prompt(run), []).append(run)
    rows = {control.id: _rows_asked(control) for controls in by_model.values() for control in controls}
    found = {}
    for run in (run for run in listed if not run.is_control):
        asked = _rows_asked(run).items()
        controls = by_model.get(_model_and_prompt(run), [])
        found[run.id] = next((control.id for control in controls if asked <= rows[control.id].items()), None)
    return found


def others_of(runs: Iterable[Run], name: str) -> dict[str, str | None]:
    """Per trained run the id of an existing checkpoint, by its name, that was asked the same under the same prompt."""
    listed = list(runs)
    own = [run for run in listed if run.is_other and run.id.rsplit("_", len(run.levels))[0] == name]
    rows = {run.id: _rows_asked(run) for run in own}
    found = {}
    for run in (run for run in listed if not run.is_control):
        asked = _rows_asked(run).items()
        same = (other for other in own if other.prompt == run.prompt and asked <= rows[other.id].items())
        found[run.id] = next((other.id for other in same), None)
    return found


def _model_and_prompt(run: Run) -> str:
    return repr(([run.settings.get(name) for name in CONTROL_SETTINGS], run.prompt))


def _rows_asked(run: Run) -> dict[str, str]:
    """Per task the set of rows that it asks."""
    return {task.name: task.test_set for task in run.asked}
