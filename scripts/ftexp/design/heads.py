"""Runs with a head of their own: a classifier over the labels that its training rows have, in place of generated text."""

from collections.abc import Iterable, Mapping, Sequence

from ftexp.data.cell_text import Row
from ftexp.data.choices import options_of
from ftexp.data.conversations import answer_text
from ftexp.design.evaluation_section import Evaluation
from ftexp.design.fit_of_scores import AnswersOfTasks
from ftexp.design.judging import NEEDS_REFERENCE
from ftexp.design.run import Run, Task, first_run
from ftexp.ground.errors import Findings, one_line
from ftexp.ground.wording import first_of

# More are no labels any more, but answers.
MOST_LABELS = 1000
# Training rows of a label, on average, at least: where most answers stand once, there is nothing to learn of them.
ROWS_PER_LABEL = 2
# Labels that a line names, and characters of one.
_NAMED, _SHOWN = 8, 40
_MOST_UNTRAINED = 0.5


def check_heads(found: Findings, evaluation: Evaluation, runs: Sequence[Run]) -> None:
    """Runs with a head are asked what a head can answer; a line for each cause, however many the runs."""
    heads = [run for run in runs if run.has_head]
    if any(run.data.get("text") for run in heads):
        what = "names documents, which have no label that a head could choose (head: classification)"
        found.add("data.text", what, "Name data.output in its place, or leave head out.")
        return
    for name, task in {task.name: task for run in heads for task in run.asked}.items():
        asked = [run for run in heads if name in run.tasks]
        key, what = _not_of_heads(task, evaluation)
        if what:
            cure = "Leave it out."
            if len(asked) < sum(name in run.tasks for run in runs):
                cure = "Leave it out, or ask it in a task that evaluation.matrix gives to the other runs alone."
            found.add(key, f"{what}, and a head chooses a label, as that of {first_run(asked)} does", cure)


def _not_of_heads(task: Task, evaluation: Evaluation) -> tuple[str, str]:
    """The key of what no head can answer in a task, and what that is; empty where it can."""
    key = f"evaluation.tasks.{task.name}"
    if task.kind == "inspect" or task.is_of_documents:
        return key, "is answered in text" if task.kind == "inspect" else "is of documents"
    if not task.facts.get("reference"):
        return "", ""
    judging, said = evaluation.judging[task.name], evaluation.said[task.name]
    kinds = [("scorers", scorer.kind) for scorer in judging.scorers] + [("metrics", name) for name in judging.metrics]
    section, name = next(pair for pair in kinds if pair[1] in NEEDS_REFERENCE)
    return said.get(section, f"{key}.{section}"), f"rates the tokens of a text, got {name}"


def take_labels(found: Findings, run: Run, answers: Iterable[str]) -> None:
    """Give a run with a head the labels that it chooses from: the different answers of its training rows, in alphabetical order.

    Args:
        found: Gets a line where these are no labels.
        answers: Of all rows of its training set, so that `train_size` changes no label.
    """
    texts = list(answers)
    run.labels = sorted(set(texts))
    count, key = len(run.labels), f"data.output: column '{run.data['output']}'"
    holds, cure = f"has {count} different answers in {len(texts)} training rows", "Name a column of labels, or leave head out."
    blank = next((label for label in run.labels if label != label.strip() and label.strip() in run.labels), None)
    if count < 2 or count > MOST_LABELS:
        found.add(key, f"{holds}, and head: classification chooses from 2 to {MOST_LABELS}", cure)
    elif count * ROWS_PER_LABEL > len(texts):
        what = f"which are no labels (head: classification wants {ROWS_PER_LABEL} rows of each or more, on average)"
        found.add(key, f"{holds}, e.g. {_short(run.labels[0])}, {what}", cure)
    elif blank is not None:
        what = f"has {_short(blank)} and the same without its blanks, which would be two labels of one answer"
        found.add(key, what, "Write it in one way.")


def check_options_of_heads(found: Findings, runs: Iterable[Run], rows_of: Mapping[str, Sequence[Row] | None]) -> None:
    """Where a task has choices, each is a label of the head that is asked.

    Args:
        rows_of: Per set of test rows its rows; None where they cannot be read here.
    """
    asked = {
        (task.name, task.test_set, tuple(run.labels)): (run, task)
        for run in runs if run.labels for task in run.asked if task.kind == "options"
    }
    for run, task in asked.values():
        columns = task.data["input"], task.data["output"]
        options = dict.fromkeys(
            option for row in rows_of[task.test_set] or []
            for option in options_of(task.facts["choices"], row, right=answer_text(row, *columns))
        )
        strange = [option for option in options if option not in run.labels]
        if strange:
            what = f"must be out of the labels of the training rows, of which {run.id} has a head, got {_named(strange)}"
            found.add(f"evaluation.tasks.{task.name}.choices", what, f"The labels: {_named(run.labels)}.")


def untrained_answers(runs: Iterable[Run], answers: AnswersOfTasks) -> list[str]:
    """Warnings of test items whose answer is no label of the head that is asked: it is never right there."""
    return [f"experiment.yaml: {key}: {what}. {cure}" for key, what, cure in _untrained(runs, answers)]


def check_untrained_answers(found: Findings, runs: Iterable[Run], answers: AnswersOfTasks) -> None:
    """The same is an error where more than half of the items of a test are such: then it is another column, or another task."""
    for (key, what, cure), share in _untrained(runs, answers).items():
        if share > _MOST_UNTRAINED:
            found.add(key, what, f"{cure}.")


def _untrained(runs: Iterable[Run], answers: AnswersOfTasks) -> dict[tuple[str, str, str], float]:
    """Key, text and cure of each test with such items, with their share of it."""
    said: dict[tuple[str, str, str], float] = {}
    for run in (run for run in runs if run.labels):
        known = {label.strip() for label in run.labels}
        for task in (task for task in run.asked if (run.id, task.name) in answers):
            test = answers[run.id, task.name]
            strange = {text: rows for text, rows in test.counts.items() if text not in known}
            key = f"evaluation.tasks.{task.name}.data" if task.has_own_data else "data.output"
            count = f"{sum(strange.values())} of {test.rows} test items"
            what = f"{count} have an answer that no training row has ({_named([*strange])}), and there a head is never right"
            cure = "Train on such rows too, or take these items out of the test"
            said |= {(key, what, cure): sum(strange.values()) / test.rows} if strange else {}
    return said


def labels_in_words(runs: Iterable[Run]) -> list[str]:
    """What heads choose from: a line, or where there are several sets of labels a line for each, with its runs."""
    members: dict[tuple[str, ...], list[Run]] = {}
    for run in (run for run in runs if run.labels):
        members.setdefault(tuple(run.labels), []).append(run)
    whose = {labels: "" if len(members) == 1 else f" ({first_run(own)})" for labels, own in members.items()}
    return [f"head: chooses from {len(labels)} labels{whose[labels]}: {_named(labels)}" for labels in members]


def _named(texts: Sequence[str]) -> str:
    return first_of([_short(text) for text in texts], _NAMED)


def _short(text: str) -> str:
    return one_line(repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."))
