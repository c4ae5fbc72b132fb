"""Recorded answers for scorers: those of a test, and random ones with everything that texts can have."""

import random
from collections.abc import Sequence
from typing import Any

from ftexp.design.judging import SCORERS, Scorer
from ftexp.scoring.judge import judge
from ftexp.scoring.verdicts import Question, Verdict
from hypothesis import settings

ANY = settings(deadline=None, derandomize=True, database=None)
_WORDS = (
    "a", "an", "the", "The", "cat", "Cat", "cat.", "sat,", "on", "mat!", "don't", "well-known", "(x)", "1,234.5", "-3", "7", "II",
    "Straße", "STRASSE", "naïve", "naïve", "日本語", "мир", "é", "é", "🙂", "İstanbul", "&amp;", "<skipped>", "'", "...", "_",
)
_GAPS = (" ", " ", " ", "  ", "\n", "\t", "\u00a0", "")


def question(answer: str, target: str, **given: Any) -> Question:
    """An answer to item `0`, asked once."""
    return Question(**{"item": "0", "epoch": 1, "prompt": "What?", "target": target, "answer": answer, **given})


def random_questions(count: int, seed: int, words: int = 12) -> list[Question]:
    """Answers and targets of few words that come again and again: empty ones, equal ones, ones of white space, Unicode."""
    drawn = random.Random(seed)

    def text() -> str:
        return "".join(drawn.choice(_WORDS) + drawn.choice(_GAPS) for _ in range(drawn.choice((0, 1, 2, words))))

    def answer_to(target: str) -> str:
        return drawn.choice((target, target.upper(), f" {target}\n", target[: len(target) // 2], text(), text(), text(), "", " "))

    targets = [text() for _ in range(count)]
    return [
        Question(str(number), 1, f"Number {number % 7}: ", target, answer_to(target)) for number, target in enumerate(targets)
    ]


def judged(kind: str, questions: Sequence[Question], **options: Any) -> list[Verdict]:
    """The verdicts of a scorer, its other options as they are by default."""
    defaults = SCORERS[kind].options if kind in SCORERS else {}
    return judge(Scorer(kind, kind, {**defaults, **options}), questions)


def value(kind: str, answer: str, target: str, **options: Any) -> float | None:
    """What one answer is worth."""
    return judged(kind, [question(answer, target)], **options)[0].value
