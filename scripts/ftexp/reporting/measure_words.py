"""Scorers and metrics in words, which end of each is the better one, and their numbers as a reader sees them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ftexp.reporting.number_words import shown

NO_KINDS: Mapping[str, str] = MappingProxyType({})
# From here on decimals say nothing, and a number is shortened.
LARGE, HUGE = 1_000.0, 100_000.0


@dataclass(frozen=True)
class MeasureWords:
    """What a scorer or metric is called in a sentence, and how its values read.

    Attributes:
        phrase: With an article where it needs one.
        best: Of a scorer what a perfect answer has; None where there is no such value.
        less_is_better: Whether the lower end is the better one.
        decimals: Two of what goes from 0 to 100, else three.
    """

    phrase: str
    best: float | None = 1.0
    less_is_better: bool = False
    decimals: int = 3

    def number(self, value: float) -> str:
        """A value as it stands in a sentence or table."""
        if abs(value) >= HUGE:
            return re.sub(r"e\+0*", "e", f"{value:.2e}").replace("-", "−")
        if abs(value) >= LARGE:
            return f"{value:.1f}".replace("-", "−")
        return shown(value) if self.decimals == 3 else f"{value:.{self.decimals}f}".replace("-", "−")

    def is_better(self, value: float, than: float) -> bool:
        """Whether a value is better than another."""
        return value < than if self.less_is_better else value > than


WORDS: Mapping[str, MeasureWords] = MappingProxyType({
    "exact": MeasureWords("the share exactly right"),
    "ignore_case": MeasureWords("the share right without regard to case"),
    "includes": MeasureWords("the share of answers that hold the target"),
    "match": MeasureWords("the share right in the part that is looked for"),
    "f1": MeasureWords("mean F1 of the words in common"),
    "rouge_1": MeasureWords("mean ROUGE-1"),
    "rouge_2": MeasureWords("mean ROUGE-2"),
    "rouge_l": MeasureWords("mean ROUGE-L"),
    "chrf": MeasureWords("mean chrF of the answers (0 to 100)", 100.0, decimals=2),
    "numeric": MeasureWords("the share with the right number"),
    "perplexity": MeasureWords("perplexity of the reference (less is better)", None, less_is_better=True),
    "semscore": MeasureWords("mean SemScore"),
    "model_graded_qa": MeasureWords("mean grade by the grader model"),
    "valid": MeasureWords("the share of answers that are a label"),
    "macro_f1": MeasureWords("macro F1"),
    "balanced_accuracy": MeasureWords("balanced accuracy"),
    "mcc": MeasureWords("Matthews' correlation"),
    "rmse": MeasureWords("root mean squared error (less is better)", None, less_is_better=True),
    "mae": MeasureWords("mean absolute error (less is better)", None, less_is_better=True),
    "r2": MeasureWords("R², the part of the targets' spread that is explained"),
    "ece": MeasureWords("expected calibration error (less is better)", 0.0, less_is_better=True),
    "brier": MeasureWords("Brier score (less is better)", 0.0, less_is_better=True),
    "auc": MeasureWords("area under the ROC curve"),
    "bleu": MeasureWords("BLEU of all answers (0 to 100)", 100.0, decimals=2),
    "corpus_chrf": MeasureWords("chrF of all answers (0 to 100)", 100.0, decimals=2),
    "item_perplexity": MeasureWords("mean perplexity of the items (less is better)", None, less_is_better=True),
    "bits_per_byte": MeasureWords("bits per byte of the reference (less is better)", None, less_is_better=True),
})


def words_of(metric: str, kinds: Mapping[str, str] = NO_KINDS) -> MeasureWords:
    """Of a scorer or metric by its name in the tables; of one's own, or of an inspect task's, `mean <name>`.

    Args:
        kinds: The kind of scorer behind a name, where the two differ: `{number: match}`.
    """
    words = WORDS.get(kinds.get(metric, metric))
    if words is None:
        return MeasureWords(f"mean {metric}")
    return words if metric in WORDS else replace(words, phrase=f"{words.phrase} ({metric})")
