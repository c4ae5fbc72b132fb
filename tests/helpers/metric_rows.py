"""Random answers for every metric, and the same value by another library: scikit-learn, sacrebleu, or one line of numpy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ftexp.effects.arrays import Anything, FloatArray, IntArray
from ftexp.effects.label_metrics import BalancedAccuracy, MacroF1, Mcc
from ftexp.effects.metrics import Mean, Metric, Rows
from ftexp.effects.number_metrics import R2, MeanAbsoluteError, Rmse
from ftexp.effects.option_metrics import MacroAuc, OptionsBrier
from ftexp.effects.probability_metrics import Auc, Brier, CalibrationError
from ftexp.effects.ratio_metrics import BitsPerByte, ItemPerplexity, Ratio, TokenPerplexity
from ftexp.effects.text_metrics import Chrf, CorpusBleu
from sacrebleu.metrics import BLEU, CHRF
from scipy import special
from sklearn import metrics as sklearn

Columns = Mapping[str, Anything]
Made = Callable[[np.random.Generator, FloatArray], Columns]
LABELS, BINS, OPTIONS = 4, 15, 4


@dataclass(frozen=True)
class Case:
    """A metric; how to make its columns from what is hard in each item (N,), as standard normal numbers; its oracle.

    `scale` is how large a value of the metric is, against which errors are judged.
    """

    name: str
    metric: Metric
    made: Made
    oracle: Callable[[Columns], float]
    scale: float = 1.0


def rows_of(made: Made, rng: np.random.Generator, difficulty: FloatArray, runs: int) -> Rows:
    """Answers of several runs to the same items, each run a bit better than the one before."""
    parts = [made(rng, difficulty - 0.3 * run) for run in range(runs)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Rows(np.repeat(np.arange(runs), len(difficulty)), runs, columns)


def of_run(rows: Rows, run: int) -> Rows:
    """One run alone."""
    return Rows(np.zeros(int((rows.runs == run).sum()), np.int64), 1, {k: v[rows.runs == run] for k, v in rows.columns.items()})


def proportion(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """Right or wrong."""
    return {"score": (rng.random(len(difficulty)) < special.expit(0.7 - difficulty)).astype(float)}


def grades(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """Any number."""
    return {"score": 5 - difficulty + rng.normal(size=len(difficulty))}


def tokens(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """Negative log-likelihood and tokens of texts of unequal length."""
    counts = 1 + rng.poisson(12, len(difficulty))
    nll = counts * np.exp(0.3 * difficulty) * rng.gamma(4, 0.25, len(difficulty))
    return {"nll": nll, "tokens": counts, "bytes": 4 * counts + counts % 3}


def labels(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """Labels of unequal frequency; some answers are none."""
    target = rng.choice(LABELS, len(difficulty), p=[0.4, 0.3, 0.2, 0.1])
    guess = rng.choice(np.arange(-1, LABELS), len(difficulty), p=[0.1, 0.4, 0.3, 0.1, 0.1])
    return {"target": target, "prediction": np.where(rng.random(len(target)) < special.expit(1 - difficulty), target, guess)}


def texts(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """A reference, the answer, in which words are wrong or missing, and both libraries' counts."""
    words = np.array([chr(97 + a) + chr(97 + b) * (1 + b % 3) for a in range(8) for b in range(8)])
    references, answers = [], []
    for chance in special.expit(-1 + 0.7 * difficulty):
        text = words[rng.geometric(0.06, size=5 + rng.poisson(9)) % len(words)]
        answer = np.where(rng.random(len(text)) < chance, rng.choice(words, len(text)), text)
        references.append(" ".join(text))
        answers.append(" ".join(answer[rng.random(len(text)) > 0.1]))
    return with_counts(references, answers)


def with_counts(references: list[str], answers: list[str]) -> Columns:
    """Texts and what sacrebleu counts in each pair."""
    bleu = np.array(BLEU()._extract_corpus_statistics(answers, [references]))
    chrf = np.array(CHRF()._extract_corpus_statistics(answers, [references])).reshape(len(answers), 6, 3)
    columns: dict[str, Anything] = {"reference": np.array(references, dtype=object), "answer": np.array(answers, dtype=object)}
    for n in range(4):
        columns |= {f"bleu_match_{n + 1}": bleu[:, 2 + n], f"bleu_total_{n + 1}": bleu[:, 6 + n]}
    columns |= {"bleu_length": bleu[:, 0], "bleu_reference_length": bleu[:, 1]}
    for place, name in enumerate(("answer", "reference", "match")):
        columns |= {f"chrf_{name}_{n + 1}": chrf[:, n, place] for n in range(6)}
    return columns


def numbers(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """Numbers far from 0, answered with an error."""
    target = 1000 + 2 * rng.normal(size=len(difficulty))
    return {"target": target, "prediction": target + 0.2 + rng.normal(size=len(target)) * np.exp(0.3 * difficulty)}


def probabilities(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """Too sure by far, so that no bin is calibrated; rounded, so that there are ties."""
    known = special.expit(0.5 - difficulty + rng.normal(size=len(difficulty)))
    return {"probability": np.round(known, 3), "correct": (rng.random(len(known)) < 0.1 + 0.6 * known**2).astype(float)}


def options(rng: np.random.Generator, difficulty: FloatArray, shares: Sequence[float] = (0.4, 0.3, 0.2, 0.1)) -> Columns:
    """Probabilities of options in twentieths, so that there are ties; they sum to 1. `shares`: how often each is right."""
    count = len(shares)
    target = rng.choice(count, len(difficulty), p=shares)
    logits = rng.normal(size=(len(difficulty), count)) + (np.arange(count) == target[:, None]) * (1 - difficulty)[:, None]
    drawn = rng.multinomial(20, special.softmax(logits, axis=1)) / 20
    return {f"probability_{option + 1}": drawn[:, option] for option in range(count)} | {"target": target}


def two_options(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """The same of two."""
    return options(rng, difficulty, (2 / 3, 1 / 3))


def of_options(columns: Columns) -> FloatArray:
    """(L, K) probabilities."""
    names = sorted(name for name in columns if name.startswith("probability_"))
    return np.column_stack([columns[name] for name in names])


def bleu_oracle(columns: Columns) -> float:
    """sacrebleu's, from the texts."""
    return float(BLEU().corpus_score(list(columns["answer"]), [list(columns["reference"])]).score)


def chrf_oracle(columns: Columns) -> float:
    """sacrebleu's, from the texts."""
    return float(CHRF().corpus_score(list(columns["answer"]), [list(columns["reference"])]).score)


def macro_f1_oracle(columns: Columns) -> float:
    """scikit-learn's over the labels that are a target."""
    target, prediction = columns["target"], columns["prediction"]
    return float(sklearn.f1_score(target, prediction, labels=np.unique(target), average="macro", zero_division=0))


def recall_oracle(columns: Columns) -> float:
    """scikit-learn's balanced accuracy; its warning about answers that are no target is none here."""
    target, prediction = columns["target"], columns["prediction"]
    return float(sklearn.recall_score(target, prediction, labels=np.unique(target), average="macro", zero_division=0))


def calibration_oracle(columns: Columns) -> float:
    """A loop over bins."""
    probability, correct = columns["probability"], columns["correct"]
    total = 0.0
    for low in range(BINS):
        is_in = (probability >= low / BINS) & ((probability < (low + 1) / BINS) | (low == BINS - 1))
        total += abs(correct[is_in].mean() - probability[is_in].mean()) * is_in.mean() if is_in.any() else 0.0
    return total


def options_brier_oracle(columns: Columns) -> float:
    """scikit-learn's, halved."""
    drawn = of_options(columns)
    labels = np.arange(drawn.shape[1])
    return float(sklearn.brier_score_loss(columns["target"], drawn, labels=labels, scale_by_half=True))


def macro_auc_oracle(columns: Columns) -> float:
    """scikit-learn's: that of the second of two options, else one versus the rest, of options that are a target."""
    drawn, target = of_options(columns), columns["target"]
    if drawn.shape[1] == 2:
        return float(sklearn.roc_auc_score(target == 1, drawn[:, 1]))
    if len(np.unique(target)) == drawn.shape[1]:
        return float(sklearn.roc_auc_score(target, drawn, multi_class="ovr", average="macro"))
    return float(np.mean([sklearn.roc_auc_score(target == option, drawn[:, option]) for option in np.unique(target)]))


CASES = [
    Case("proportion", Mean(), proportion, lambda c: float(np.mean(c["score"]))),
    Case("mean", Mean(bounds=None), grades, lambda c: float(np.mean(c["score"]))),
    Case("ratio", Ratio("nll", "tokens", higher_is_better=False), tokens, lambda c: float(c["nll"].sum() / c["tokens"].sum())),
    Case("token perplexity", TokenPerplexity(), tokens, lambda c: float(np.exp(c["nll"].sum() / c["tokens"].sum())), 3.0),
    Case("item perplexity", ItemPerplexity(), tokens, lambda c: float(np.mean(np.exp(c["nll"] / c["tokens"]))), 3.0),
    Case("macro F1", MacroF1(), labels, macro_f1_oracle),
    Case("balanced accuracy", BalancedAccuracy(), labels, recall_oracle),
    Case("MCC", Mcc(), labels, lambda c: float(sklearn.matthews_corrcoef(c["target"], c["prediction"]))),
    Case("corpus BLEU", CorpusBleu(), texts, bleu_oracle, 100.0),
    Case("chrF", Chrf(), texts, chrf_oracle, 100.0),
    Case("RMSE", Rmse(), numbers, lambda c: float(sklearn.root_mean_squared_error(c["target"], c["prediction"]))),
    Case("R2", R2(), numbers, lambda c: float(sklearn.r2_score(c["target"], c["prediction"]))),
    Case("Brier", Brier(), probabilities, lambda c: float(sklearn.brier_score_loss(c["correct"], c["probability"]))),
    Case("calibration error", CalibrationError(), probabilities, calibration_oracle),
    Case("AUC", Auc(), probabilities, lambda c: float(sklearn.roc_auc_score(c["correct"], c["probability"]))),
    Case("bits per byte", BitsPerByte(), tokens, lambda c: float(np.log2(np.exp(1)) * c["nll"].sum() / c["bytes"].sum())),
    Case("MAE", MeanAbsoluteError(), numbers, lambda c: float(sklearn.mean_absolute_error(c["target"], c["prediction"]))),
    Case("Brier of options", OptionsBrier(OPTIONS), options, options_brier_oracle),
    Case("Brier of two options", OptionsBrier(2), two_options, options_brier_oracle),
    Case("macro AUC", MacroAuc(OPTIONS), options, macro_auc_oracle),
    Case("macro AUC of two options", MacroAuc(2), two_options, macro_auc_oracle),
]


def clustered(rng: np.random.Generator, clusters: int, size: int, share: float = 0.3) -> tuple[FloatArray, IntArray]:
    """Difficulties (N,) of items in clusters, of which `share` is the cluster's, and the clusters' indices."""
    of_items = np.repeat(np.arange(clusters), size)
    common = np.sqrt(share) * rng.normal(size=clusters)[of_items]
    return common + np.sqrt(1 - share) * rng.normal(size=len(of_items)), of_items


def columns(**values: Any) -> Rows:
    """Rows of one run from lists."""
    arrays = {name: np.asarray(value) for name, value in values.items()}
    return Rows(np.zeros(len(next(iter(arrays.values()))), np.int64), 1, arrays)
