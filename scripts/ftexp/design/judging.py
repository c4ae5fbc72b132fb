"""What answers are judged by: the scorers and metrics that an evaluation section may name, and how they are named there.

A scorer says what one answer is worth; a metric what the answers of a run say together. Neither asks a model anything but for
`perplexity`, which has the log-likelihood of the reference measured. Only the standard library is imported here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ftexp.design.sections import as_list, check_names, is_json, is_of_experiment
from ftexp.ground.errors import Findings, suggestion

PERPLEXITY, ITEM_PERPLEXITY = "perplexity", "item_perplexity"
GRADED = "model_graded_qa"
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
    GRADED: ScorerKind(
        "inspect-ai's: the grade that `model` gives the answer, a folder in models/ or a name of inspect-ai's (see "
        "graders in site.yaml)",
        {"model": ..., "template": None, "instructions": None, "partial_credit": False},
    ),
}

@dataclass(frozen=True)
class MetricKind:
    """What a metric's name stands for: what the answers must be to it (labels, numbers, ...), and what it is."""

    needs: str
    meaning: str


METRICS: dict[str, MetricKind] = {
    "macro_f1": MetricKind("labels", "mean F1 over the labels in the output column"),
    "balanced_accuracy": MetricKind("labels", "mean recall over these"),
    "mcc": MetricKind("labels", "Matthews' correlation; not defined where all answers, or all targets, are one label"),
    "rmse": MetricKind("numbers", "root mean squared error of the first number in the answer; less is better"),
    "mae": MetricKind("numbers", "mean absolute error, likewise; less is better"),
    "r2": MetricKind("numbers", "1 - squared error / spread of the targets"),
    "ece": MetricKind("probabilities", "calibration error in 15 bins of the chosen option's probability; less is better"),
    "brier": MetricKind("probabilities", "half the summed squared error of the options' probabilities; less is better"),
    "auc": MetricKind("probabilities", "area under the ROC curve, of each option of a fixed list against the others, averaged"),
    "bleu": MetricKind("texts", "BLEU of all answers together, 0 to 100, as sacrebleu's"),
    "corpus_chrf": MetricKind("texts", "chrF of all answers together, 0 to 100, as sacrebleu's"),
    "bits_per_byte": MetricKind("references", "of the reference: bits of negative log-likelihood per byte; less is better"),
    ITEM_PERPLEXITY: MetricKind(
        "references",
        "mean over the items of each one's own perplexity (perplexity itself is of all their tokens together); less is better",
    ),
}
NEEDS_REFERENCE = (PERPLEXITY, "bits_per_byte", ITEM_PERPLEXITY)
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

    @property
    def is_own(self) -> bool:
        """Whether it is in a file of the experiment."""
        return self.kind == OWN

    def __hash__(self) -> int:
        return hash((self.name, self.kind, repr(self.options)))


DEFAULT_SCORER = Scorer("exact", "exact")
# By which a text that may be said in many ways is judged where nothing is named.
OF_TEXTS = "rouge_l"
_OWN_SCORER = re.compile(r"(?P<file>[^@\n]+\.py)@(?P<function>[A-Za-z_]\w*)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Columns of the tables of answers, which no scorer's may be.
RESERVED = (
    "run", "task", "item", "epoch", "cluster", "input", "target", "completion", "is_ended", "valid", "score", "metric", "options",
    "conditional", "unconditional", "nll", "tokens", "bytes", "number", "target_number", "probability", "probabilities",
    "prediction", "correct",
)
_COUNTS = ("bleu_", "chrf_", "probability_")


def check_metrics(found: Findings, where: str, names: Any) -> tuple[str, ...]:
    """A list of metrics."""
    return tuple(name for name in check_names(found, where, names, tuple(METRICS)) if name in METRICS)


def check_scorers(found: Findings, where: str, given: Any) -> tuple[Scorer, ...]:
    """A list of scorers, or one, each a name, or a name with its options."""
    if given is None:
        return ()
    given = as_list(given, str, dict)
    if not isinstance(given, list) or not given:
        found.add(where, f"must be a list of scorers, got {given!r}", "Write [exact].")
        return ()
    return tuple(scorer for entry in given if (scorer := _check_scorer(found, where, entry)))


def _check_scorer(found: Findings, where: str, entry: Any) -> Scorer | None:
    """One entry: `exact`, `{match: '[0-9]+'}`, `{semscore: {model: ...}}`, `judged.py@tone`."""
    is_pair = isinstance(entry, dict) and len(entry) == 1
    name, options = next(iter(entry.items())) if is_pair else (entry, None)
    own = _OWN_SCORER.fullmatch(name) if isinstance(name, str) else None
    if not own and (not isinstance(name, str) or name not in SCORERS):
        cure = suggestion(name, SCORERS) if isinstance(name, str) else "Write a name, or {name: options}."
        found.add(where, f"must be scorers' names, or file.py@name of one's own, got {entry!r}", cure)
        return None
    if own and not is_of_experiment(own["file"]):
        found.add(where, f"must be a file of the experiment, got {name!r}", "Copy it there.")
        return None
    kind = ScorerKind("one's own") if own else SCORERS[name]
    if options is not None and not isinstance(options, dict):
        if not kind.short:
            found.add(where, f"{name}: must have a mapping of options, got {options!r}")
            return None
        options = {kind.short: options}
    given = dict(options or {})
    title = given.pop("name", own["function"] if own else name)
    problem = _name_problem(title, kind=OWN if own else name)
    if problem:
        found.add(where, f"{name}: name {problem}, got {title!r}", "Give it another: {name: {name: ...}}." if own else "")
        return None
    if own:
        for key in (key for key in ("file", "function") if key in given):
            found.add(f"{where}: {name}.{key}", "is what stands before and after the '@'", "Give the option another name.")
        if not is_json(given):
            found.add(f"{where}: {name}", f"must have options that JSON can hold, with words as keys, got {given!r}")
        return Scorer(title, OWN, {**own.groupdict(), **given})
    return Scorer(title, name, complete) if (complete := _options(found, f"{where}: {name}", kind, given)) is not None else None


def _name_problem(title: Any, *, kind: str) -> str:
    """What is wrong with a scorer's name; empty where nothing is."""
    if not isinstance(title, str) or not _NAME.fullmatch(title):
        return "must be of letters, digits and '_'"
    if title in RESERVED or title.startswith(_COUNTS):
        return "is that of a column of the tables"
    if title in METRICS or (title in SCORERS and title != kind):
        return "is that of another scorer or metric"
    return ""


def _options(found: Findings, where: str, kind: ScorerKind, given: dict[str, Any]) -> dict[str, Any] | None:
    """All options of a scorer; None where one is wrong."""
    before = len(found.messages)
    for key in (key for key in given if key not in kind.options):
        found.unknown(f"{where}.{key}", ["name", *kind.options], "option")
    complete = {**kind.options, **{key: value for key, value in given.items() if key in kind.options}}
    for key, value in complete.items():
        problem = "must be given" if value is ... else _option_problem(key, value)
        if problem and not (value is ... and len(found.messages) > before):  # where it is spelt wrong, that is the mistake
            found.add(f"{where}.{key}", problem)
    return complete if len(found.messages) == before else None


def _option_problem(key: str, value: Any) -> str:
    """What is wrong with an option of a scorer; empty where nothing is."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    rules = {
        "ignore_case": (isinstance(value, bool), "true or false"), "partial_credit": (isinstance(value, bool), "true or false"),
        "which": (value in ("first", "last"), "first or last"),
        "compare": (value in ("continuation", "text"), "continuation or text"),
        "tolerance": (is_number and 0 <= value < float("inf"), "a number, 0 or above"),
        "model": (isinstance(value, str) and bool(value), "a model's name"),
        "template": (value is None or isinstance(value, str), "a text"),
        "instructions": (value is None or isinstance(value, str), "a text"),
        "pattern": (isinstance(value, str) and _compiles(value), "a regular expression of Python's with at most one group"),
    }
    is_right, wants = rules[key]
    return "" if is_right else f"must be {wants}, got {value!r}"


def _compiles(pattern: str) -> bool:
    try:
        return re.compile(pattern).groups <= 1
    except (re.error, OverflowError, RecursionError):
        return False
