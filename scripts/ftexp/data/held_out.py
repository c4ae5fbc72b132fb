"""What an experiment's tests hold is taken out of the training rows: once, for all of its tests and all of its prompts.

So a run's training rows depend neither on which of the tests it is asked nor, where prompts are compared, on its own prompt. Two
rows are the same question where their rendered prompts are, whatever columns these are made of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftexp.data.prompts import placeholders, prompt_turns
from ftexp.data.splits import Half, Item, Sources, set_inputs, set_name, source_paths, with_ids
from ftexp.ground.errors import UserError
from ftexp.ground.memories import FileHashes

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
    """The training rows that are left, and by the name of the test set that has their prompt how many are not."""

    items: list[Item]
    removed: dict[str, int]


def training_items(sources: Sources, wanted: TrainingSet) -> Kept:
    """The training rows less those whose prompt is that of a test row, blanks at its ends aside.

    Raises:
        UserError: If the data cannot be used, or nothing is left.
    """
    rows = sources.rows(wanted.half, "train")
    asked = [_prompts_of_tests(sources, wanted, template) for template in wanted.templates]
    pairs = list(zip(wanted.templates, asked, strict=True))
    removed: dict[str, int] = {}
    left = []
    for row in rows:
        rendered = ((prompts, _question(template, wanted.half, row)) for template, prompts in pairs)
        test = next((prompts[question] for prompts, question in rendered if question in prompts), None)
        if test is None:
            left.append(row)
        else:
            removed[test] = removed.get(test, 0) + 1
    if not left:
        file, of = source_paths(wanted.half)[0], ", ".join(removed)
        what = f"no row is left for train: all {len(rows)} of {file} have the prompt of a test row (of {of})"
        raise UserError(f"experiment.yaml: data: {what}. Test on other rows, or let prompt.user show what tells them apart.")
    return Kept(with_ids(left), removed)


def _prompts_of_tests(sources: Sources, wanted: TrainingSet, template: str) -> dict[Question | None, str]:
    """Every prompt that a test holds under this template, with the name of the first test set that has it."""
    found: dict[Question | None, str] = {}
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


def training_inputs(wanted: TrainingSet, hashes: FileHashes) -> dict[str, Any]:
    """What a training set is made from: its half of the data, and all that is held out of it."""
    tests = [set_inputs(half, hashes) for half in wanted.tests]
    return {**set_inputs(wanted.half, hashes), "held_out": {"prompts": list(wanted.templates), "tests": tests}}
