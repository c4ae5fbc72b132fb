"""Wrong answers of a cell, always some, spread over the test set. Nothing is read or written."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ftexp.effects.arrays import FloatArray, IntArray
from ftexp.reporting.measure_words import MeasureWords
from ftexp.reporting.shown_cells import ShownCell

MOST_EACH, MOST_CHARACTERS = 4, 400


@dataclass(frozen=True)
class WrongAnswer:
    """One answer: input, target and what was said, cut to 400 characters each, and its score as text."""

    item: str
    input: str
    target: str
    completion: str
    score: str


@dataclass(frozen=True)
class WrongAnswers:
    """Those of one cell to one task.

    Attributes:
        title: The cell.
        run: Its first evaluated seed, which speaks for it.
        sentence: How many answers it has, and how many of them are wrong, or have no score.
        answers: A few of the wrong ones, or of those with the worst scores, in the order of the test.
    """

    title: str
    run: str
    sentence: str
    answers: list[WrongAnswer]


def wrong_answers(answers: pd.DataFrame, shown: Sequence[ShownCell], scorer: str, words: MeasureWords) -> list[WrongAnswers]:
    """Per cell a few answers that are wrong: the worst of them, and of equally bad ones some from all over the test set.

    An item that is asked several times stands for its worst answer.

    Args:
        answers: Those to one task: run, item, input, target, completion, and the scorer's column (nan where there is no score).
        shown: The cells that are shown; one without answers is left out.
        scorer: The task's first scorer.
        words: Of it; where no score is known to be perfect, all are graded.
    """
    there = set(answers["run"].unique())
    speakers = [(each.title, next((run for run in each.cell.runs if run in there), "")) for each in shown]
    found = []
    for title, run in speakers:
        if run:
            found.append(_of_run(title, run, answers[answers["run"] == run], (scorer, words)))
    return found


def _of_run(title: str, run: str, answers: pd.DataFrame, scorer: tuple[str, MeasureWords]) -> WrongAnswers:
    name, words = scorer
    scores = answers[name].to_numpy(dtype=float)
    sign = 1.0 if words.less_is_better else -1.0
    has_score = ~np.isnan(scores)
    given = np.unique(scores[has_score])
    best = None if words.best is None or (sign * given < sign * words.best).any() else words.best
    is_wrong = has_score if best is None else has_score & (sign * scores > sign * best)
    is_graded = best is None or not set(given.tolist()) <= {0.0, best}
    rows = answers.iloc[_chosen(answers["item"].to_numpy(dtype=object), sign * scores, np.flatnonzero(is_wrong))]
    sentence = _sentence(int(has_score.sum()), int(is_wrong.sum()), is_graded=is_graded)
    unscored = int((~has_score).sum())
    sentence += f" {unscored:,} more {'has' if unscored == 1 else 'have'} no score." if unscored else ""
    items, inputs, targets, said = (_texts(rows, column) for column in ("item", "input", "target", "completion"))
    numbers = map(words.number, rows[name])
    texts = [WrongAnswer(*each) for each in zip(items, inputs, targets, said, numbers, strict=True)]
    return WrongAnswers(title, run, sentence, texts)


def _sentence(count: int, wrong: int, *, is_graded: bool) -> str:
    if not count:
        return "None of its answers has a score."
    if is_graded:
        return f"Those of its {count:,} answers with the worst scores."
    if not wrong:
        return f"None of its {count:,} answers is wrong."
    return f"{wrong:,} of its {count:,} answers {'is' if wrong == 1 else 'are'} wrong."


def _chosen(items: np.ndarray, badness: FloatArray, wrong: IntArray) -> IntArray:
    """Places of a few answers, in order: the worst; of those as bad as the last of them, evenly spread ones."""
    worst_first = wrong[np.argsort(-badness[wrong], kind="stable")]
    _, first = np.unique(items[worst_first].astype(str), return_index=True)
    once = worst_first[np.sort(first)]
    if len(once) <= MOST_EACH:
        return np.sort(once)
    limit = badness[once[MOST_EACH - 1]]
    worse, alike = once[badness[once] > limit], np.sort(once[badness[once] == limit])
    steps = (np.arange(MOST_EACH - len(worse)) + 0.5) / (MOST_EACH - len(worse)) * len(alike)
    return np.sort(np.concatenate([worse, alike[steps.astype(np.int64)]]))


def _texts(rows: pd.DataFrame, column: str) -> list[str]:
    """A column as texts that fit into a table."""
    texts = rows[column].fillna("").astype(str)
    return [text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} …" for text in texts]
