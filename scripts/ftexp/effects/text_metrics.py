"""Metrics of texts, from counts of n-grams per item: corpus BLEU and chrF, from 0 to 100, as sacrebleu has them."""

from types import MappingProxyType

import numpy as np

from ftexp.effects.arrays import FloatArray
from ftexp.effects.limits import Limits
from ftexp.effects.metrics import Rows, SumMetric
from ftexp.effects.sums import Terms, dense, shares_of

BLEU_ORDER = 4
COUNT = Limits(low=0.0)


class CorpusBleu(SumMetric):
    """BLEU of a corpus (Papineni et al. 2002), 0 to 100, as sacrebleu's default.

    Columns: `bleu_match_n` and `bleu_total_n`, matching and all n-grams of the answer for n = 1 to 4, `bleu_length` and
    `bleu_reference_length`, tokens of the answer and of the reference. Where the run has no match at some n, its precision is 1
    / (2^i total), for the i-th such n (sacrebleu's smoothing `exp`), taken as a constant by the influences. Where it has no
    match at all, or no n-gram of some n (empty answers), BLEU is 0, and so are the influences. A row's share is that of its
    reference's length.
    """

    columns = (
        *(f"bleu_match_{n}" for n in range(1, BLEU_ORDER + 1)), *(f"bleu_total_{n}" for n in range(1, BLEU_ORDER + 1)),
        "bleu_length", "bleu_reference_length",
    )
    bounds = (0.0, 100.0)
    higher_is_better = True
    limits = MappingProxyType(dict.fromkeys(columns, COUNT))

    def terms(self, rows: Rows) -> Terms:
        """The columns."""
        return dense([rows.columns[name] for name in self.columns])

    def value(self, sums: FloatArray) -> FloatArray:
        """Brevity penalty x geometric mean of the precisions."""
        matches, totals, length, reference = _bleu_parts(sums)
        smoothed = 0.5 ** np.cumsum(matches == 0, axis=-1)
        precisions = np.where(matches > 0, matches, smoothed) / np.where(totals > 0, totals, np.inf)
        is_zero = (totals <= 0).any(axis=-1) | (matches <= 0).all(axis=-1)
        penalty = np.exp(np.minimum(1 - reference / np.where(length > 0, length, np.inf), 0.0))
        mean = np.exp(np.log(np.where(precisions > 0, precisions, 1.0)).mean(axis=-1))
        return np.where(is_zero, 0.0, 100 * penalty * mean)

    def gradient(self, sums: FloatArray) -> FloatArray:
        """BLEU / 4 over matches and, negative, over totals; of the brevity penalty where answers are the shorter ones."""
        matches, totals, length, reference = _bleu_parts(sums)
        bleu = self.value(sums)[..., None]
        has_match = (matches > 0) & (totals > 0)
        by_matches = np.where(has_match, bleu / BLEU_ORDER / np.where(has_match, matches, 1.0), 0.0)
        by_totals = np.where(has_match, -bleu / BLEU_ORDER / np.where(has_match, totals, 1.0), 0.0)
        is_short = ((length < reference) & (length > 0))[..., None]
        each = np.where(is_short, length[..., None], 1.0)
        by_length = np.where(is_short, bleu * reference[..., None] / each**2, 0.0)
        by_reference = np.where(is_short, -bleu / each, 0.0)
        return np.concatenate([by_matches, by_totals, by_length, by_reference], axis=-1)

    def shares(self, rows: Rows) -> FloatArray:
        """(L,) share in the length of the references."""
        return shares_of(rows.columns["bleu_reference_length"], rows.runs, rows.n_runs)


def _bleu_parts(sums: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Matches and totals (..., 4), lengths of answers and of references (...)."""
    return sums[..., :BLEU_ORDER], sums[..., BLEU_ORDER : 2 * BLEU_ORDER], sums[..., -2], sums[..., -1]


class Chrf(SumMetric):
    """chrF of a corpus (Popovic 2015), 0 to 100, as sacrebleu's: F of the mean precision and the mean recall over n.

    Columns, for n = 1 to `order`: `chrf_answer_n`, `chrf_reference_n`, `chrf_match_n`: n-grams of characters of the answer, of
    the reference, and in both. An n for which the run has none in its answers or in its references is left out. Where nothing
    matches chrF is 0, and so are the influences. A row's share is that of its reference's characters.

    Args:
        order: Longest n-gram.
        beta: Weight of recall against precision.
    """

    bounds = (0.0, 100.0)
    higher_is_better = True

    def __init__(self, order: int = 6, beta: float = 2.0) -> None:
        self.order, self.factor = order, beta**2
        names = ("answer", "reference", "match")
        self.columns = tuple(f"chrf_{name}_{n}" for name in names for n in range(1, order + 1))
        self.limits = dict.fromkeys(self.columns, COUNT)

    def terms(self, rows: Rows) -> Terms:
        """The columns."""
        return dense([rows.columns[name] for name in self.columns])

    def _means(self, sums: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Mean precision, recall (..., 1); 1 / (n-grams x number of n counted) of answers, references (..., order)."""
        answer, reference, match = np.split(sums, 3, axis=-1)
        is_counted = (answer > 0) & (reference > 0)
        number = np.maximum(is_counted.sum(axis=-1, keepdims=True), 1)
        of_answer, of_reference = (1 / np.where(is_counted, part, np.inf) / number for part in (answer, reference))
        return *((match * part).sum(axis=-1, keepdims=True) for part in (of_answer, of_reference)), of_answer, of_reference

    def value(self, sums: FloatArray) -> FloatArray:
        """F of beta."""
        precision, recall, _, _ = self._means(sums)
        below = self.factor * precision + recall
        return np.asarray(100 * (1 + self.factor) * precision * recall / np.where(below > 0, below, 1.0))[..., 0]

    def gradient(self, sums: FloatArray) -> FloatArray:
        """By the two means, and of these by the counts."""
        _, _, match = np.split(sums, 3, axis=-1)
        precision, recall, of_answer, of_reference = self._means(sums)
        below = self.factor * precision + recall
        scale = 100 * (1 + self.factor) / np.where(below > 0, below, np.inf) ** 2
        by_precision, by_recall = scale * recall**2 * of_answer, scale * self.factor * precision**2 * of_reference
        number = np.maximum((of_answer > 0).sum(axis=-1, keepdims=True), 1)
        by_answer, by_reference = -by_precision * match * of_answer * number, -by_recall * match * of_reference * number
        return np.concatenate([by_answer, by_reference, by_precision + by_recall], axis=-1)

    def shares(self, rows: Rows) -> FloatArray:
        """(L,) share in the characters of the references."""
        return shares_of(rows.columns["chrf_reference_1"], rows.runs, rows.n_runs)
