"""What an experiment's tests hold is taken out of the rows that train or validate: once, for all its tests and prompts.

So a run's training rows depend neither on which of the tests it is asked nor, where prompts are compared, on its own prompt. Two
rows are the same question where their rendered prompts are, whatever columns these are made of. A document is the same as
another of the same text, and as a question or an answer of that text.

The rows of a task with a file of its own go the other way: those that some run of the experiment is trained on are not asked. So
another task changes no training.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ftexp.data.cell_text import Row, cell_text
from ftexp.data.conversations import answer_text, input_text
from ftexp.data.prompts import placeholders, prompt_turns
from ftexp.data.splits import VALIDATION, Half, Item, Sources, document_column, set_inputs, set_name, source_paths, with_ids
from ftexp.ground.errors import UserError
from ftexp.ground.memories import FileHashes

# The share of the training rows that validate, where nobody says which rows do: so many that a look at each epoch takes less than
# 3 % of a LoRA training, which costs about two forward passes a row (benchmarks/validation.md; 1/16 took 3.1 %).
DEFAULT_VALIDATION = 1 / 20
# Roles and texts of the turns before an answer; a system turn of the experiment's own tells no two rows apart.
Question = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TrainingSet:
    """What the training rows of some runs are made from.

    Attributes:
        half: The training half of their data sections.
        templates: Every `prompt.user` that one of them trains with; none of documents.
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


# What rows say, their questions or their texts, with the name of a set that says it.
Said = dict[Any, str]
# By which two rows are compared: a template, or None, by their texts.
Way = str | None


def training_items(sources: Sources, wanted: TrainingSet) -> Kept:
    """The training rows less those whose prompt or text is that of a test or validation row; blanks at its ends aside.

    Validation rows are looked at as training rows are: what a test has is not among them.

    Raises:
        UserError: If the data cannot be used, or nothing is left.
    """
    removed: dict[str, int] = {}
    tests = [(way, _said_in_tests(sources, wanted, way)) for way in (*wanted.templates, None)]
    own = sources.validation_rows(wanted.half) if VALIDATION in wanted.half else None
    rows = _left(sources.rows(wanted.half, "train"), wanted.half, tests, removed)
    validation: list[Row] = []
    if own is not None:
        validation = _left(own, wanted.half, tests, removed, what=VALIDATION)
    elif VALIDATION in wanted.half:
        rows, validation = _cut_off(rows, wanted.half)
    if validation:
        ways: tuple[Way, ...] = (None,) if document_column(wanted.half) else wanted.templates
        kept = [(way, _said(validation, wanted.half, way, VALIDATION)) for way in ways]
        rows = _left(rows, wanted.half, kept, removed)
    return Kept(with_ids(rows), removed, with_ids(validation))


def _left(
    rows: list[Row], half: Half, others: list[tuple[Way, Said]], removed: dict[str, int], what: str = "train"
) -> list[Row]:
    """The rows that say nothing which others say, compared in the same way; `removed` counts, by set, those that do.

    Raises:
        UserError: If none is left.
    """
    left, gone = [], dict.fromkeys(removed, 0)
    for row in rows:
        name = next((said[key] for way, said in others if said for key in _keys(half, way, row) if key in said), None)
        if name is None:
            left.append(row)
        else:
            gone[name] = gone.get(name, 0) + 1
            removed[name] = removed.get(name, 0) + 1
    if not rows:
        raise UserError(f"{source_paths(half)[0]}: has no rows for {what}. Put some there, or leave them out.")
    if not left:
        own = half.get(VALIDATION) if what == VALIDATION else None
        file = own if isinstance(own, str) else source_paths(half)[0]
        of = ", ".join(name for name, count in gone.items() if count)
        same = "text" if document_column(half) else "prompt"
        text = f"no row is left for {what}: all {len(rows)} of {file} have the {same} of a test row (of {of})"
        cure = "" if same == "text" else ", or let prompt.user show what tells them apart"
        raise UserError(f"experiment.yaml: data: {text}. Test on other rows{cure}.")
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


def _said_in_tests(sources: Sources, wanted: TrainingSet, way: Way) -> Said:
    """All that a test says, with the name of the first test set that says it.

    By a template that is of tests of questions; by their texts of all tests where documents train, else of those of documents.
    """
    found: Said = {}
    for half in wanted.tests:
        by_text = bool(document_column(half) or document_column(wanted.half))
        if by_text == (way is None):
            found = {**_said(sources.rows(half, "test"), half, way, set_name(half)), **found}
    return found


def _said(rows: list[Row], half: Half, way: Way, name: str) -> Said:
    found: Said = {key: name for row in rows for key in _keys(half, way, row)}
    found.pop(None, None)
    return found


def _keys(half: Half, way: Way, row: Mapping[str, Any]) -> list[Any]:
    """What a row says by which it is compared: its question, or its texts, its document or else its answer and its question."""
    if way is not None:
        return [_question(way, half, row)]
    column = document_column(half)
    if column:
        return [cell_text(row, column).strip()]
    return [answer_text(row, half["input"], half["output"]).strip(), input_text(row, half["input"]).strip()]


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
    asked = [
        (set_name(training.half), way, said)
        for training in wanted.trainings for way, said in _trained(wanted.half, training, kept(training)).items()
    ]
    ways = dict.fromkeys(way for _, way, _ in asked)
    for row in rows:
        keys = {way: _keys(wanted.half, way, row) for way in ways}
        name = next((name for name, way, said in asked if not said.isdisjoint(keys[way])), None)
        if name is None:
            left.append(row)
        else:
            removed[name] = removed.get(name, 0) + 1
    if not left:
        file, of = source_paths(wanted.half)[0], ", ".join(removed)
        what = f"no row is left to ask: all {len(rows)} of {file} are trained on (in {of})"
        raise UserError(f"experiment.yaml: evaluation.tasks: {what}. Name a file of other rows.")
    return Kept(with_ids(left), removed)


def _trained(half: Half, training: TrainingSet, kept: Kept) -> dict[Way, set[Any]]:
    """What a training set says, in each way that its rows are compared with those of a task."""
    rows = [item["row"] for item in (*kept.items, *kept.validation)]
    by_text = document_column(half) or document_column(training.half)
    ways: tuple[Way, ...] = (None,) if by_text else training.templates
    return {way: {key for row in rows for key in _keys(training.half, way, row)} - {None} for way in ways}


def task_inputs(wanted: TaskSet, hashes: FileHashes) -> dict[str, Any]:
    """What the rows of a task are made from: its file, and all that is trained on."""
    return {**set_inputs(wanted.half, hashes), "trained": [training_inputs(training, hashes) for training in wanted.trainings]}


def training_inputs(wanted: TrainingSet, hashes: FileHashes) -> dict[str, Any]:
    """What a training set is made from: its half of the data, and all that is held out of it."""
    tests = [set_inputs(half, hashes) for half in wanted.tests]
    return {**set_inputs(wanted.half, hashes), "held_out": {"prompts": list(wanted.templates), "tests": tests}}
