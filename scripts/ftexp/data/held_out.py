"""What an experiment's tests hold is taken out of the rows that train or validate: once, for all its tests and prompts.

So a run's training rows depend neither on which of the tests it is asked nor, where prompts are compared, on its own prompt. Two
rows are the same question where their rendered prompts are, whatever columns these are made of.

The rows of a task with a file of its own go the other way: those that some run of the experiment is trained on are not asked. So
another task changes no training.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ftexp.data.cell_text import Row, cell_text
from ftexp.data.conversations import answer_text, input_text
from ftexp.data.prompts import placeholders, prompt_turns
from ftexp.data.splits import VALIDATION, Half, Item, Sources, set_inputs, set_name, source_paths, with_ids
from ftexp.ground.errors import UserError
from ftexp.ground.memories import FileHashes

# The share of the training rows that validate, where nobody says which rows do.
DEFAULT_VALIDATION = 1 / 16
# Roles and texts of the turns before an answer; a system turn of the experiment's own tells no two rows apart.
Question = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TrainingSet:
    """What the training rows of some runs are made from.

    Attributes:
        half: The training half of their data sections.
        templates: Every `prompt.user` that one of them trains with.
        tests: The test halves of all runs of the experiment.
    """

    half: Half
    templates: tuple[str, ...]
    tests: tuple[Half, ...]


@dataclass(frozen=True)
class Kept:
    """The rows of a set that are left, and by the name of the set that has their prompt how many are not.

    Attributes:
        validation: Of a training set the rows that it is validated by, where it is.
    """

    items: list[Item]
    removed: dict[str, int]
    validation: list[Item] = field(default_factory=list)


Prompts = dict[Question | None, str]


def training_items(sources: Sources, wanted: TrainingSet) -> Kept:
    """The training rows less those whose prompt is that of a test row, or of a validation row; blanks at its ends aside.

    Validation rows are looked at as training rows are: what a test has is not among them.

    Raises:
        UserError: If the data cannot be used, or nothing is left.
    """
    removed: dict[str, int] = {}
    tests = [(template, _prompts_of_tests(sources, wanted, template)) for template in wanted.templates]
    own = sources.validation_rows(wanted.half) if VALIDATION in wanted.half else None
    rows = _left(sources.rows(wanted.half, "train"), wanted.half, tests, removed)
    validation: list[Row] = []
    if own is not None:
        validation = _left(own, wanted.half, tests, removed, what=VALIDATION)
    elif VALIDATION in wanted.half:
        rows, validation = _cut_off(rows, wanted.half)
    if validation:
        kept = [(template, _prompts_of(validation, wanted.half, template)) for template in wanted.templates]
        rows = _left(rows, wanted.half, kept, removed)
    return Kept(with_ids(rows), removed, with_ids(validation))


def _left(
    rows: list[Row], half: Half, others: list[tuple[str, Prompts]], removed: dict[str, int], what: str = "train"
) -> list[Row]:
    """The rows with none of the prompts that others have under the same template; `removed` counts, by set, those with one.

    Raises:
        UserError: If none is left.
    """
    left, gone = [], dict.fromkeys(removed, 0)
    for row in rows:
        rendered = ((prompts, _question(template, half, row)) for template, prompts in others)
        name = next((prompts[question] for prompts, question in rendered if question in prompts), None)
        if name is None:
            left.append(row)
        else:
            gone[name] = gone.get(name, 0) + 1
            removed[name] = removed.get(name, 0) + 1
    if not left:
        file, of = source_paths(half)[0], ", ".join(name for name, count in gone.items() if count)
        said = f"no row is left for {what}: all {len(rows)} of {file} have the prompt of a test row (of {of})"
        raise UserError(f"experiment.yaml: data: {said}. Test on other rows, or let prompt.user show what tells them apart.")
    return left


def _cut_off(rows: list[Row], half: Half) -> tuple[list[Row], list[Row]]:
    """Training rows, and those behind them that validate: a share of all, at least one; a group is never divided.

    Raises:
        UserError: If nothing is left to train on.
    """
    share = DEFAULT_VALIDATION if half[VALIDATION] is True else half[VALIDATION]
    end = len(rows) - max(1, round(len(rows) * share))
    group = half.get("split", {}).get("group")
    while group and 0 < end < len(rows) and rows[end].get(group) == rows[end - 1].get(group):
        end -= 1
    if end < 1:
        raise UserError(f"experiment.yaml: data: no row is left for train beside one for validation, of {len(rows)}. Give more.")
    return rows[:end], rows[end:]


def _prompts_of(rows: list[Row], half: Half, template: str) -> Prompts:
    found: Prompts = {_question(template, half, row): VALIDATION for row in rows}
    found.pop(None, None)
    return found


def _prompts_of_tests(sources: Sources, wanted: TrainingSet, template: str) -> Prompts:
    """Every prompt that a test holds under this template, with the name of the first test set that has it."""
    found: Prompts = {}
    for half in wanted.tests:
        name = set_name(half)
        for row in sources.rows(half, "test"):
            found.setdefault(_question(template, half, row), name)
    found.pop(None, None)
    return found


def _question(template: str, half: Half, row: Mapping[str, Any]) -> Question | None:
    """The turns of a row's prompt; None for a row that lacks a column of the template, which nobody is asked by it."""
    if not all(name == "input" or name in row for name in placeholders(template)):
        return None
    turns = prompt_turns({"system": None, "user": template}, half["input"], row)
    return tuple((turn["role"], turn["content"].strip()) for turn in turns)


@dataclass(frozen=True)
class TaskSet:
    """What the rows of a task with a file of its own are made from.

    Attributes:
        half: The file and its columns.
        trainings: The training sets of the experiment.
    """

    half: Half
    trainings: tuple[TrainingSet, ...]


def task_items(sources: Sources, wanted: TaskSet, kept: Callable[[TrainingSet], Kept]) -> Kept:
    """The rows of the file less those that are trained on, which have the prompt of a training row; of a document its text.

    Args:
        kept: The training rows of a set, after what tests hold.

    Raises:
        UserError: If the file cannot be used, or nothing is left.
    """
    rows = sources.rows(wanted.half, "test")
    removed: dict[str, int] = {}
    left = []
    asked = [(set_name(training.half), _trained(wanted.half, training, kept(training))) for training in wanted.trainings]
    for row in rows:
        keys = {template: _key(wanted.half, template, row) for _, by_template in asked for template in by_template}
        name = next((name for name, by in asked for template, known in by.items() if keys[template] in known), None)
        if name is None:
            left.append(row)
        else:
            removed[name] = removed.get(name, 0) + 1
    if not left:
        file, of = source_paths(wanted.half)[0], ", ".join(removed)
        what = f"no row is left to ask: all {len(rows)} of {file} are trained on (in {of})"
        raise UserError(f"experiment.yaml: evaluation.tasks: {what}. Name a file of other rows.")
    return Kept(with_ids(left), removed)


def _trained(half: Half, training: TrainingSet, kept: Kept) -> dict[str, set[Any]]:
    """Per template what a training set asks; of documents, whatever the template, the texts that it answers and asks."""
    rows = [item["row"] for item in (*kept.items, *kept.validation)]
    if "document" in half:
        texts = {text.strip() for row in rows for text in (_answer(training.half, row), input_text(row, training.half["input"]))}
        return {"": texts}
    return {template: {_question(template, training.half, row) for row in rows} - {None} for template in training.templates}


def _answer(half: Half, row: Mapping[str, Any]) -> str:
    return answer_text(row, half["input"], half["output"])


def _key(half: Half, template: str, row: Mapping[str, Any]) -> Any:
    return cell_text(row, half["document"]).strip() if "document" in half else _question(template, half, row)


def task_inputs(wanted: TaskSet, hashes: FileHashes) -> dict[str, Any]:
    """What the rows of a task are made from: its file, and all that is trained on."""
    return {**set_inputs(wanted.half, hashes), "trained": [training_inputs(training, hashes) for training in wanted.trainings]}


def training_inputs(wanted: TrainingSet, hashes: FileHashes) -> dict[str, Any]:
    """What a training set is made from: its half of the data, and all that is held out of it."""
    tests = [set_inputs(half, hashes) for half in wanted.tests]
    return {**set_inputs(wanted.half, hashes), "held_out": {"prompts": list(wanted.templates), "tests": tests}}
