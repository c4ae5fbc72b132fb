"""Runs with a head of their own: a classifier over the labels that its training rows have, in place of generated text."""

from collections.abc import Iterable

from ftexp.design.run import Run
from ftexp.ground.errors import Findings

# More are no labels any more, but answers.
MOST_LABELS = 1000


def take_labels(run: Run, answers: Iterable[str]) -> None:
    """Give a run with a head the labels that it chooses from: the different answers of its training rows, in alphabetical order.

    Args:
        answers: Of all rows of its training set, so that `train_size` changes no label.
    """
    labels = sorted(set(answers))
    if len(labels) < 2 or len(labels) > MOST_LABELS:
        what = f"chooses from the answers of the training rows, of which {len(labels)} are different"
        run.problems.append(f"head: {what}, and must be from 2 to {MOST_LABELS}; leave head out")
    run.labels = labels


def check_heads(found: Findings, runs: Iterable[Run]) -> None:
    """Runs with a head are asked what a head can answer."""
    for run in (run for run in runs if run.settings.get("head")):
        if run.data.get("text"):
            found.add("head", "chooses a label, and documents have none (data.text)", "Leave head out, or name data.output.")
        for task in run.asked:
            if task.is_of_documents or task.kind == "inspect" or task.facts.get("reference"):
                what = f"a run with a head writes and rates no text, which task {task.name} asks of {run.id}"
                cure = "Say in evaluation.matrix which runs are asked it, or leave it out."
                found.add(f"evaluation.tasks.{task.name}", what, cure)
    found.messages = list(dict.fromkeys(found.messages))
