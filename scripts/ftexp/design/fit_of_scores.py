"""Whether scorer and metrics fit the reference answers of a test set, in sentences. Nothing is read or written."""

from collections.abc import Callable, Sequence

from ftexp.data.answers import ROWS_PER_CHOICE, Answers
from ftexp.design.evaluation_section import Evaluation
from ftexp.design.judging import Scorer
from ftexp.design.run import Run, Task
from ftexp.ground.wording import first_of, listed

# Classes that a line names, and characters of an answer that it shows.
_NAMED, _SHOWN = 6, 40


# Reference answers by run and task.
AnswersOfTasks = dict[tuple[str, str], Answers]


def answers_of_runs(
    runs: Sequence[Run], evaluation: Evaluation, answers_of: Callable[[Task, str, str], Answers | None]
) -> AnswersOfTasks:
    """Per run and task the reference answers of its rows, as far as they are known; runs of the same rows share them.

    Args:
        answers_of: Of a task, its set of rows and the training set whose classes count, or empty: the answers; called once for
            each.
    """
    known: dict[tuple[str, str], Answers | None] = {}
    found = {}
    for run in runs:
        for task in (task for task in run.asked if task.is_prompted):
            pair = task.sets_of_answers(evaluation.judging[task.name].over_labels, run)
            if pair not in known:
                known[pair] = answers_of(task, *pair)
            if (answers := known[pair]) is not None:
                found[run.id, task.name] = answers
    return found


def free_texts(test: Answers, scorers: Sequence[Scorer], key: str) -> list[str]:
    """A warning, by its key, of answers of many words, nearly each another, by scorers that take that text alone for right."""
    if not test.are_texts or any(scorer.kind not in ("exact", "ignore_case") for scorer in scorers):
        return []
    example = _short(min(test.counts, key=len))
    what = (
        f"{scorers[0].name} takes an answer for right only where it is the reference, letter for letter, and the {test.rows} of "
        f"the test are free texts ({len(test.counts)} different ones of {test.median_words:g} words at the median, "
        f"e.g. {example}): good answers in other words score 0"
    )
    cure = "Judge by rouge_l, chrf or semscore too, ask for short answers, or take a score for the least it can be"
    return [f"experiment.yaml: {key}: {what}. {cure}"]


def rare_classes(test: Answers, metrics: Sequence[str], key: str) -> list[str]:
    """The same as `rare_in_words`, with the key that it concerns and what to do."""
    words = rare_in_words(test, metrics)
    return [f"experiment.yaml: {key}: {words}. Give more test rows, or data.split a stratify"] if words else []


def rare_in_words(test: Answers, metrics: Sequence[str]) -> str:
    """Classes of so few test rows that a metric which counts every class alike hangs on single answers; empty where none is.

    Args:
        test: The reference answers.
        metrics: `evaluation.metrics`, each of which counts every class alike.
    """
    rare = test.rare(ROWS_PER_CHOICE)
    if not metrics or not rare or not test.are_labels:
        return ""
    named = first_of([f"{_short(text)} {rows}" for text, rows in rare.items()], _NAMED)
    classes = len(test.counts) + len(test.untested)
    count = f"{listed(list(metrics))} {'counts' if len(metrics) == 1 else 'count'}"
    return (
        f"{count} each of the {classes} classes alike, and these have fewer than {ROWS_PER_CHOICE} of the {test.rows} test rows: "
        f"{named}"
    )


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ...")
