"""Whether scorer and metrics fit the reference answers of a test set, in sentences. Nothing is read or written."""

from collections.abc import Callable, Sequence
from typing import Any

from ftexp.data.answers import ROWS_PER_CHOICE, Answers
from ftexp.design.run import Run
from ftexp.ground.wording import first_of, listed

# Classes that a line names, and characters of an answer that it shows.
_NAMED, _SHOWN = 6, 40


def answers_of_runs(
    runs: Sequence[Run], analysis: dict[str, Any], answers_of: Callable[[Run, str, str], Answers | None]
) -> dict[str, Answers]:
    """Per run the reference answers of its test set, as far as they are known; runs of the same rows share them.

    Args:
        analysis: `Experiment.analysis`.
        answers_of: Of a run, its test set and the training set whose classes count, or empty: the answers; called once for each.
    """
    sets = {run.id: run.sets_of_answers(analysis) for run in runs}
    first = {sets[run.id]: run for run in reversed(runs)}
    found = {pair: answers_of(run, *pair) for pair, run in first.items()}
    return {name: answers for name, pair in sets.items() if (answers := found[pair]) is not None}


def free_texts(test: Answers, scorer: str) -> list[str]:
    """A warning of answers of many words, nearly each another, by a scorer that takes the same text for right and no other."""
    if not test.are_texts:
        return []
    example = _short(min(test.counts, key=len))
    what = (
        f"{scorer} takes an answer for right only where it is the reference, letter for letter, and the {test.rows} of the test "
        f"are free texts ({len(test.counts)} different ones of {test.median_words:g} words at the median, e.g. {example}): "
        "good answers in other words score 0"
    )
    cure = "Ask for labels or short answers, or take a score for the least it can be"
    return [f"experiment.yaml: evaluation.scorer: {what}. {cure}"]


def rare_classes(test: Answers, metrics: Sequence[str]) -> list[str]:
    """The same as `rare_in_words`, with the key that it concerns and what to do."""
    words = rare_in_words(test, metrics)
    return [f"experiment.yaml: evaluation.metrics: {words}. Give more test rows, or data.split a stratify"] if words else []


def rare_in_words(test: Answers, metrics: Sequence[str]) -> str:
    """Classes of so few test rows that a metric which counts every class alike hangs on single answers; empty where none is.

    Args:
        test: The reference answers.
        metrics: `evaluation.metrics`, each of which counts every class alike.
    """
    rare = test.rare(ROWS_PER_CHOICE)
    if not metrics or not rare:
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
