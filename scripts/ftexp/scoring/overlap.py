"""ROUGE and chrF of single answers, as rouge-score and sacrebleu have them.

rouge-score says what a word is and what F is of precision and recall. Its counting is done here: importing its own brings nltk,
2 s, and its longest common subsequence fills a table in Python, 7 s for 1,000 answers of 200 words (here 0.05 s).
"""

from collections import Counter
from collections.abc import Sequence

from rouge_score.scoring import fmeasure
from rouge_score.tokenize import tokenize

from ftexp.scoring.counts import in_common
from ftexp.scoring.verdicts import Question, Verdict

_ROUGE_ORDERS = {"rouge_1": 1, "rouge_2": 2, "rouge_l": 1}
KINDS = (*_ROUGE_ORDERS, "chrf")


def judge(kind: str, questions: Sequence[Question]) -> list[Verdict]:
    """F1 of words, pairs of words or the longest common subsequence, 0 to 1, or chrF, 0 to 100.

    A target in which there is nothing to find again (ROUGE: no word of a to z and 0 to 9, or of `rouge_2` no two; chrF: white
    space only) is a gap, where the libraries give 0.
    """
    return _chrf(questions) if kind == "chrf" else [_rouge(kind, question) for question in questions]


def _rouge(kind: str, question: Question) -> Verdict:
    target = rouge_words(question.target)
    if len(target) < _ROUGE_ORDERS[kind]:
        least = "pair of words" if kind == "rouge_2" else "word"
        return Verdict(None, f"the target has no {least} that ROUGE can see (letters a to z, digits 0 to 9)")
    answer = rouge_words(question.answer)
    if kind == "rouge_l":
        common = longest_common_subsequence(target, answer)
    else:
        target, answer = (_runs(words, _ROUGE_ORDERS[kind]) for words in (target, answer))
        common = in_common(Counter(target), Counter(answer))
    return Verdict(float(fmeasure(common / max(len(answer), 1), common / len(target))))


def rouge_words(text: str) -> list[str]:
    """The words that ROUGE sees: lower case, split at whatever is not a to z or 0 to 9, without stemming."""
    return list(tokenize(text, None))


def _runs(words: list[str], order: int) -> list[str]:
    """All n-grams; the blank between words is in none of them."""
    return [" ".join(words[start : start + order]) for start in range(len(words) - order + 1)]


def longest_common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """Its length, by the bits of one integer a row (Hyyrö 2004, "Bit-parallel LCS-length computation revisited")."""
    places: dict[str, int] = {}
    for place, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(left)) - 1
    row = every
    for word in right:
        matches = row & places.get(word, 0)
        row = (row + matches | row - matches) & every
    return len(left) - row.bit_count()


def _chrf(questions: Sequence[Question]) -> list[Verdict]:
    from sacrebleu.metrics import CHRF  # type: ignore[attr-defined]

    metric = CHRF()
    return [
        Verdict(metric.sentence_score(question.answer, [question.target]).score) if question.target.strip()
        else Verdict(None, "the target is empty")
        for question in questions
    ]
