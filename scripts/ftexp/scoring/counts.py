"""What metrics are made of, per answer: the number in it, and the counts of corpus BLEU and chrF, as sacrebleu counts."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ftexp.scoring.verdicts import Question

FloatArray = npt.NDArray[np.float64]
BLEU_ORDER, CHRF_ORDER = 4, 6
_NUMBER = re.compile(
    r"(?:(?<![\w.])[-+\u2212])?"  # a sign, not a hyphen: `10-20` is 10 and 20
    r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|(?<![0-9.])\.[0-9]+)"
    r"(?:[eE][-+\u2212]?[0-9]+)?"
)


def number_in(text: str, which: str = "first") -> float | None:
    """The number in a text: digits with a sign, a decimal point, an exponent, and commas between groups of three (`-1,234.5e3`).

    A comma is never a decimal one (`0,5` is 0 and 5); digits of other scripts, and numbers in words, are none.

    Args:
        which: first or last, where there are several.

    Returns:
        The number, or None where there is none; one too large for a float is none.
    """
    numbers = _numbers(text)
    if which == "first":
        return next(numbers, None)
    found = list(numbers)
    return found[-1] if found else None


def _numbers(text: str) -> Iterator[float]:
    values = (float(match[0].replace(",", "").replace("\u2212", "-")) for match in _NUMBER.finditer(text))
    return (value for value in values if math.isfinite(value))


def bleu_counts(questions: Sequence[Question]) -> dict[str, FloatArray]:
    """What corpus BLEU adds up of each answer, by sacrebleu with its default tokenizer (13a), case-sensitive.

    Returns:
        Per column (N,): `bleu_match_n` and `bleu_total_n`, matching and all n-grams of the answer for n = 1 to 4;
        `bleu_length`, `bleu_reference_length`, tokens of answer and target.
    """
    from sacrebleu.metrics import BLEU  # type: ignore[attr-defined]

    metric = BLEU(effective_order=True)  # which changes no count, and stops the warning that single answers are scored
    scores = [metric.sentence_score(question.answer, [question.target]) for question in questions]
    orders = range(1, BLEU_ORDER + 1)
    counts = {f"bleu_match_{n}": [score.counts[n - 1] for score in scores] for n in orders}
    counts |= {f"bleu_total_{n}": [score.totals[n - 1] for score in scores] for n in orders}
    counts |= {"bleu_length": [score.sys_len for score in scores], "bleu_reference_length": [score.ref_len for score in scores]}
    return _arrays(counts)


def chrf_counts(questions: Sequence[Question]) -> dict[str, FloatArray]:
    """What corpus chrF adds up of each answer, as sacrebleu does: white space left out, n-grams of characters counted.

    Returns:
        Per column (N,), for n = 1 to 6: `chrf_answer_n`, n-grams of the answer (0 where the target has none of that length, so
        that it costs no precision), `chrf_reference_n`, those of the target, `chrf_match_n`, in both.
    """
    from sacrebleu.metrics.helpers import extract_all_char_ngrams

    counts: dict[str, list[int]] = {}
    for question in questions:
        answer, target = (extract_all_char_ngrams(text, CHRF_ORDER) for text in (question.answer, question.target))
        for n, (ours, theirs) in enumerate(zip(answer, target, strict=True), start=1):
            counts.setdefault(f"chrf_answer_{n}", []).append(ours.total() if theirs else 0)
            counts.setdefault(f"chrf_reference_{n}", []).append(theirs.total())
            counts.setdefault(f"chrf_match_{n}", []).append(in_common(ours, theirs))
    return _arrays(counts)


def in_common(left: Counter[str], right: Counter[str]) -> int:
    """How many of the counted things are in both, each as often as it is in the one that has fewer."""
    return sum(min(left[each], right[each]) for each in left.keys() & right.keys())


def _arrays(counts: dict[str, list[int]]) -> dict[str, FloatArray]:
    return {name: np.array(values, dtype=np.float64) for name, values in counts.items()}
