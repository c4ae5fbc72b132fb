"""What answers are judged by: the scorers and metrics that an evaluation section may name, and how they are named there.

A scorer says what one answer is worth; a metric what the answers of a run say together. Neither asks a model anything but for
`perplexity`, which has the log-likelihood of the reference measured. Only the standard library is imported here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PERPLEXITY = "perplexity"
OWN = "own"


@dataclass(frozen=True)
class ScorerKind:
    """What a scorer's name stands for.

    Attributes:
        meaning: In words.
        options: Names of its options with their defaults; `...` for one that must be given.
        short: The option that a plain value stands for (`{match: '[0-9]+'}`); empty where there is none.
    """

    meaning: str
    options: Mapping[str, Any] = field(default_factory=dict)
    short: str = ""


_WHICH = "`which` (first or last) of several in the answer"
SCORERS: dict[str, ScorerKind] = {
    "exact": ScorerKind("string equality after stripping outer white space, case-sensitive"),
    "ignore_case": ScorerKind("the same without regard to case (Unicode case folding)"),
    "includes": ScorerKind("whether the answer holds the target, case-sensitive unless `ignore_case`", {"ignore_case": False}),
    "match": ScorerKind(
        f"whether what the regular expression finds in the answer (its group, if it has one; {_WHICH}) is what it finds in the "
        "target, or else the whole target; an answer in which it finds nothing is wrong", {"pattern": ..., "which": "first"},
        "pattern",
    ),
    "f1": ScorerKind("F1 of the words in common, counted, without case, punctuation and English articles, as SQuAD's"),
    "rouge_1": ScorerKind("ROUGE-1, F1 of words in common, as rouge-score's without stemming; it sees a to z and 0 to 9 only"),
    "rouge_2": ScorerKind("ROUGE-2, F1 of pairs of words in common, likewise"),
    "rouge_l": ScorerKind("ROUGE-L, F1 of the longest common subsequence of words, likewise"),
    "chrf": ScorerKind("chrF of the one answer, 0 to 100, as sacrebleu's"),
    "numeric": ScorerKind(
        f"whether the number in the answer ({_WHICH}) is that of the target, within `tolerance`; an answer without one is wrong",
        {"tolerance": 0.0, "which": "first"}, "tolerance",
    ),
    PERPLEXITY: ScorerKind("of the reference: exp of its negative log-likelihood per token; less is better"),
    "semscore": ScorerKind(
        "cosine of the embeddings (mean over the tokens) of answer and target, by the `model` of that name in models/; "
        "`compare`: continuation, these alone, or text, each after the prompt", {"model": ..., "compare": "continuation"},
    ),
    "model_graded_qa": ScorerKind(
        "inspect-ai's: the grade that `model` gives the answer, a folder in models/ or a name of inspect-ai's (see "
        "graders in site.yaml)",
        {"model": ..., "template": None, "instructions": None, "partial_credit": False},
    ),
}
# Per metric what the answers must be to it, and what it is.
METRICS: dict[str, tuple[str, str]] = {
    "macro_f1": ("labels", "mean F1 over the labels in the output column"),
    "balanced_accuracy": ("labels", "mean recall over these"),
    "mcc": ("labels", "Matthews' correlation of answer and target"),
    "rmse": ("numbers", "root mean squared error of the first number in the answer; less is better"),
    "mae": ("numbers", "mean absolute error, likewise; less is better"),
    "r2": ("numbers", "1 - squared error / spread of the targets"),
    "ece": ("probabilities", "expected calibration error in 15 bins of the chosen option's probability; less is better"),
    "brier": ("probabilities", "half the summed squared error of the options' probabilities; less is better"),
    "auc": ("probabilities", "area under the ROC curve, of each option of a fixed list against the others, averaged"),
    "bleu": ("texts", "BLEU of all answers together, 0 to 100, as sacrebleu's"),
    "corpus_chrf": ("texts", "chrF of all answers together, 0 to 100, as sacrebleu's"),
    "bits_per_byte": ("references", "of the reference: bits of negative log-likelihood per byte; less is better"),
}
NEEDS_REFERENCE = (PERPLEXITY, "bits_per_byte")
NORMALIZATIONS = ("none", "characters", "bytes", "unconditional")


@dataclass(frozen=True)
class Scorer:
    """One scorer of an evaluation.

    Attributes:
        name: In the tables; the kind's, the function's of one's own, or what the option `name` says.
        kind: A key of `SCORERS`, or `own`.
        options: All of its options; of one's own `file`, `function` and what else is given, which the function gets.
    """

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.name, self.kind, repr(self.options)))
