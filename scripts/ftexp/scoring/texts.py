"""Scorers of our own that compare two texts: equality, inclusion, a pattern, words in common, a number."""

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ftexp.scoring.counts import in_common, number_in
from ftexp.scoring.verdicts import Question, Verdict

RIGHT, WRONG = Verdict(1.0), Verdict(0.0)
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def exact(question: Question) -> Verdict:
    """1 where answer and target are equal after stripping outer white space, case-sensitive; otherwise 0."""
    return _is(question.answer.strip() == question.target.strip())


def ignore_case(question: Question) -> Verdict:
    """The same without regard to case: Unicode case folding, so that `STRASSE` equals `Straße`."""
    return _is(question.answer.strip().casefold() == question.target.strip().casefold())


def includes(question: Question, ignore_case: bool) -> Verdict:
    """1 where the answer holds the target, its outer white space aside; a gap where the target is empty, which all would hold."""
    answer, target = question.answer, question.target.strip()
    if not target:
        return Verdict(None, "the target is empty, and every answer holds it")
    return _is(target.casefold() in answer.casefold() if ignore_case else target in answer)


def match(question: Question, pattern: str, which: str) -> Verdict:
    """1 where the pattern finds the same in answer and target; 0 where not, or where it finds nothing in the answer.

    What it finds is the first group that took part, or all where there is none, outer white space aside; where that is empty it
    found nothing. In a target in which it finds nothing, the whole is taken.

    Args:
        which: first or last, of several that it finds in a text.
    """
    found = _found(question.answer, pattern, which)
    return _is(found is not None and found == (_found(question.target, pattern, which) or question.target.strip()))


def _found(text: str, pattern: str, which: str) -> str | None:
    every = (next((group for group in each.groups() if group is not None), each[0]) for each in re.finditer(pattern, text))
    found = (each.strip() for each in every if each.strip())
    if which == "first":
        return next(found, None)
    return next(reversed(list(found)), None)


def f1(question: Question) -> Verdict:
    """F1 of the words in common, counted, as SQuAD's evaluation does: 1 where both texts have none, 0 where one has none."""
    answer, target = _words(question.answer), _words(question.target)
    if not answer or not target:
        return _is(answer == target)
    common = in_common(Counter(answer), Counter(target))
    return Verdict(2 * common / (len(answer) + len(target)))


def _words(text: str) -> list[str]:
    """Words in lower case, without ASCII punctuation and English articles, in SQuAD's order of doing so."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def numeric(question: Question, tolerance: float, which: str) -> Verdict:
    """1 where the number in the answer is that in the target, within `tolerance`; 0 where not, or where the answer has none.

    Differences are those of the numbers as they are written: 1.1 is within 0.1 of 1. A target without a number is a gap.

    Args:
        which: first or last, of several numbers in a text.
    """
    target = number_in(question.target, which)
    if target is None:
        return Verdict(None, "the target has no number")
    answer = number_in(question.answer, which)
    return _is(answer is not None and abs(_as_written(answer) - _as_written(target)) <= _as_written(tolerance))


def _as_written(number: float) -> Decimal:
    return Decimal(repr(float(number)))


def _is(right: bool) -> Verdict:
    return RIGHT if right else WRONG


SCORERS: Mapping[str, Callable[..., Verdict]] = {
    "exact": exact, "ignore_case": ignore_case, "includes": includes, "match": match, "f1": f1, "numeric": numeric,
}


def judge(kind: str, options: Mapping[str, Any], questions: Sequence[Question]) -> list[Verdict]:
    """What the answers are worth by one of these scorers."""
    score = SCORERS[kind]
    return [score(question, **options) for question in questions]
