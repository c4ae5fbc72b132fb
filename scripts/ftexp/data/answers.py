"""The reference answers of a test set: whether they are labels or free texts, and what always giving one of them would score.

Nothing is read or written.
"""

import re
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

# So many distinct answers at most are choices, each with so many rows on average at least.
MOST_CHOICES, ROWS_PER_CHOICE = 50, 5
# Words of an answer, at the median, from which a text can be said in many ways.
WORDS_OF_A_TEXT = 4
# Scorers whose mean is the share of answers that are the reference.
SHARES = ("exact", "ignore_case")
# A share below which always giving one answer is as good as being wrong.
LEAST_TOLD = 0.05
# A word; or two letters of a script that puts no blanks between words (Thai, Lao, Chinese, Japanese, Korean).
_WORD = re.compile(r"[\u0e00-\u0eff\u2e80-\uffef]{2}|[^\W\u0e00-\u0eff\u2e80-\uffef]+")


@dataclass(frozen=True)
class Answers:
    """The reference answers of one test set, outer white space aside, as the scorer reads them.

    Attributes:
        counts: Per distinct answer its rows, the commonest first; of equally common ones the one that comes first in the test.
        untested: Answers that are trained and stand in no test row, where the training rows were looked at.
    """

    counts: dict[str, int]
    untested: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str], trained: Iterable[str] = ()) -> "Answers":
        """Those of a test set's rows, in its order; `trained` are those of the training rows."""
        counts = dict(Counter(text.strip() for text in texts).most_common())
        return cls(counts, tuple(text for text in dict.fromkeys(text.strip() for text in trained) if text not in counts))

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(self.counts.values())

    @property
    def majority(self) -> str:
        """The commonest answer."""
        return next(iter(self.counts))

    @property
    def are_choices(self) -> bool:
        """Whether the answers are a few labels that come again and again."""
        return 1 < len(self.counts) <= MOST_CHOICES and self.are_labels

    @property
    def are_labels(self) -> bool:
        """Whether every answer has so many rows on average that it can be counted as a class."""
        return len(self.counts) * ROWS_PER_CHOICE <= self.rows

    def chance(self, metric: str) -> float | None:
        """The share of rows that is right where one of the choices is drawn blindly.

        None where the answers are no choices, or the metric is no share of rows.
        """
        return 1 / len(self.counts) if self.are_choices and metric in SHARES else None

    @property
    def are_texts(self) -> bool:
        """Whether most answers stand once only and are so long that a good answer need not be the same, letter for letter."""
        return 2 * len(self.counts) > self.rows > 1 and self.median_words >= WORDS_OF_A_TEXT

    @property
    def median_words(self) -> float:
        """Words of an answer, at the median over the distinct ones."""
        return statistics.median(len(_WORD.findall(text)) for text in self.counts)

    def score_of_majority(self, metric: str) -> float | None:
        """What always giving the commonest answer scores: the share of rows whose answer it is, or the metric of that name.

        None of a metric of which nobody knows.
        """
        share = self.counts[self.majority] / self.rows
        if metric in SHARES:
            return share
        return _OTHER_METRICS[metric](share, len(self.counts)) if metric in _OTHER_METRICS else None

    def rare(self, rows: int) -> dict[str, int]:
        """The answers with fewer test rows than that, the rarest first."""
        few = [(text, count) for text, count in {**self.counts, **dict.fromkeys(self.untested, 0)}.items() if count < rows]
        return dict(sorted(few, key=lambda pair: pair[1]))


def _macro_f1(share: float, classes: int) -> float:
    """F1 of the answer that is always given (its precision is its share, its recall 1), and 0 for every other class."""
    return 2 * share / (1 + share) / classes


def _balanced_accuracy(_share: float, classes: int) -> float:
    """Recall 1 of the answer that is always given, and 0 of every other class."""
    return 1 / classes


_OTHER_METRICS = {"macro_f1": _macro_f1, "balanced_accuracy": _balanced_accuracy}
