"""The design: from factors to runs, each with an id that is a function of its own levels only."""

import re
from typing import Any

from ftexp.data.splits import VALIDATION
from ftexp.design.combinations import combinations, levels_of
from ftexp.design.controls import check_asked, plan_controls, tasks_of
from ftexp.design.documents import check_tasks_of_runs
from ftexp.design.factors import Level
from ftexp.design.heads import check_heads
from ftexp.design.levels import id_text
from ftexp.design.run import Run
from ftexp.design.sections import check_sources, of_documents, validation_rows_of
from ftexp.design.select_section import check_choice
from ftexp.design.settings import IF_SET, LOSSES, SETTINGS
from ftexp.design.spec import Experiment
from ftexp.design.torchtune_keys import is_torchtune_key
from ftexp.design.unused import check_unused
from ftexp.design.validation_section import check_validations
from ftexp.design.validation_values import DEFAULTS
from ftexp.ground.errors import Findings, UserError

ID_LIMIT = 120


def expand(experiment: Experiment) -> list[Run]:
    """All runs: the controls that they need first, then those of the design; in a factorial the last factor is fastest.

    Raises:
        UserError: If two runs would have one id, or a run's data section is incomplete.
    """
    planned = combinations(experiment.factors, experiment.baseline, experiment.design)
    cells = [levels_of(experiment.factors, combination) for combination in planned]
    trained = [_make_run(experiment, "trained", levels) for levels in cells]
    runs = plan_controls(experiment, cells, _make_run) + trained
    _check_ids(runs)
    found = Findings("experiment.yaml")
    check_asked(found, experiment, cells)
    check_validations(found, trained, experiment.evaluation)
    check_heads(found, experiment.evaluation, trained)
    check_unused(found, experiment, runs)
    check_choice(found, experiment.select, trained)
    for run in trained:
        if not found.messages:
            check_sources(found, run.data, is_tested=any(task.data and not task.has_own_data for task in run.asked))
    if not found.messages:
        check_tasks_of_runs(found, trained)
    found.raise_if_any()
    return runs


def _make_run(experiment: Experiment, kind: str, levels: dict[str, Level]) -> Run:
    settings = {name: setting.default for name, setting in SETTINGS.items()}
    overrides: dict[str, Any] = {}
    data, prompt = dict(experiment.data), dict(experiment.prompt)
    validation: dict[str, Any] = dict(experiment.validation or {})
    assignments = [experiment.constants, *(level.sets for level in levels.values())]
    for name, value in (pair for sets in assignments for pair in sets.items()):
        head, _, tail = name.partition(".")
        if name in SETTINGS:
            settings[name] = value
        elif head == "data":
            data[tail] = value
        elif head == "prompt":
            prompt[tail] = value
        elif head == VALIDATION:
            validation = {**DEFAULTS, **validation, tail: value}
        elif is_torchtune_key(name):
            overrides[name] = value
    prompt = {key: value for key, value in prompt.items() if key != "template" or value is not None}
    data = of_documents(data)
    if data.get("text"):
        settings["loss"] = LOSSES[-1]  # every token of a document is trained
    if settings["lora_alpha"] is None:
        settings["lora_alpha"] = 2 * settings["lora_rank"]
    settings = {name: value for name, value in settings.items() if name not in IF_SET or value != SETTINGS[name].default}
    is_validated = bool(validation) and kind == "trained"
    data = validation_rows_of(data, is_validated=is_validated)
    return Run(
        experiment=experiment.name, id=_run_id(experiment, kind, levels), kind=kind,
        levels={name: level.label for name, level in levels.items()}, settings=settings, overrides=overrides,
        data=data, prompt=prompt, validation=validation if is_validated else {},
        tasks=tasks_of(experiment, levels) if kind == "trained" else {},
    )


def _run_id(experiment: Experiment, kind: str, levels: dict[str, Level]) -> str:
    parts = [abbreviation(experiment, name) + _level_in_id(level) for name, level in levels.items()]
    if kind == "control":
        parts.insert(0, "base")
    return "_".join(parts) or "run"


def abbreviation(experiment: Experiment, factor: str) -> str:
    """What stands before a factor's level in an id."""
    if factor in experiment.naming:
        return experiment.naming[factor]
    if factor in SETTINGS:
        return SETTINGS[factor].abbreviation
    return re.sub(r"[^A-Za-z0-9.+-]", "-", factor.rsplit(".", 1)[-1]) + "-"


def _level_in_id(level: Level) -> str:
    """The level's text; all training rows as a share are `1.0`, because one row is `1`."""
    is_all_rows = "train_size" in level.sets and isinstance(level.label, float) and level.label == 1
    return "1.0" if is_all_rows else id_text(level.label)


def _check_ids(runs: list[Run]) -> None:
    seen: dict[str, Run] = {}
    found = Findings("experiment.yaml")
    advice = "Name the levels, rename one, or set naming."
    for run in runs:
        other = seen.setdefault(run.id.lower(), run)
        if other is not run:
            found.add("factors", f"two runs would share the folder '{run.id}': {other.levels} and {run.levels}", advice)
        if len(run.id) > ID_LIMIT:
            found.add("factors", f"the run id '{run.id[:60]}...' is longer than {ID_LIMIT} characters", advice)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+_-]*", run.id) or run.id.endswith("."):
            found.add("factors", f"the run id '{run.id}' must begin with a letter or digit", advice)
    found.raise_if_any()


def rows_of_size(train_size: float | None, rows: int) -> int:
    """How many of so many training rows a `train_size` asks for: a whole number is their count, one with a point their share."""
    if train_size is None:
        return rows
    return round(train_size * rows) if isinstance(train_size, float) else train_size


def derive_steps(run: Run, rows: int) -> None:
    """Fill in what follows from the number of training rows: rows used, steps, effective batch, warm-up.

    The tail that does not fill an accumulation group is not trained on (at most effective_batch - 1 rows), the
    same rows for every seed.
    """
    size = rows_of_size(run.settings["train_size"], rows)
    if size > rows:
        run.problems.append(f"train_size: is {size}, but the split has {rows} training rows; lower it")
        return
    if size < 1:
        run.problems.append(f"train_size: {run.settings['train_size']} of {rows} training rows is none; raise it")
        return
    effective = run.settings["batch_size"] * run.settings["gradient_accumulation_steps"]
    per_epoch = size // effective
    steps = per_epoch * run.settings["epochs"]
    if per_epoch == 0:
        run.problems.append(f"batch_size: {effective} rows a step, but there are only {size} training rows; lower batch_size")
        return
    ratio = run.settings.get("warmup_ratio")
    if run.settings["warmup_steps"] is None:
        run.settings["warmup_steps"] = min(100, steps // 10) if ratio is None else round(ratio * steps)
    warmup = run.settings["warmup_steps"]
    if warmup >= steps:
        said = f"is {warmup}" if ratio is None else f"is {ratio}, which makes {warmup} steps"
        what = f"{said}, but the training has {steps} steps; lower it, or train longer"
        run.problems.append(f"{'warmup_steps' if ratio is None else 'warmup_ratio'}: {what}")
    run.steps = {
        "train_rows": per_epoch * effective, "effective_batch": effective, "steps_per_epoch": per_epoch, "steps": steps,
    }


def reject_all_failed(runs: list[Run]) -> None:
    """Refuse a design in which no run is usable.

    Raises:
        UserError: With the first run's problem.
    """
    if runs and all(run.problems for run in runs if run.kind == "trained"):
        first = next(run for run in runs if run.kind == "trained")
        raise UserError(f"experiment.yaml: no run is usable; {first.id}: {first.problems[0]}.")
