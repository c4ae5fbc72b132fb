"""How labels and answers go together: counts of each pair, and what they say of each label. Nothing is read or written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ftexp.data.answers import Answers
from ftexp.effects.arrays import FloatArray, IntArray

NO_LABEL = "no label"


@dataclass(frozen=True)
class LabelCounts:
    """The answers of one cell to a task of K labels.

    Attributes:
        labels: The labels, in the order of rows and columns.
        counts: (K, K + 1) answers by target (row) and by what was said (column); the last column is what is no label.
    """

    labels: list[str]
    counts: IntArray

    @property
    def no_label(self) -> int:
        """How many answers are no label."""
        return int(self.counts[:, -1].sum())

    def confusions(self, most: int) -> list[tuple[str, str, int]]:
        """The commonest wrong answers: target, what was said, how often; of equally common ones the first."""
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        places = np.argsort(-wrong, axis=None, kind="stable")[:most]
        rows, columns = np.unravel_index(places, wrong.shape)
        said = [*self.labels, NO_LABEL]
        return [(self.labels[i], said[j], int(wrong[i, j])) for i, j in zip(rows, columns, strict=True) if wrong[i, j]]


def labels_of(answers: pd.DataFrame, options: Sequence[str] = ()) -> list[str]:
    """The labels of a task: its options, and what else is a target; without options none, unless targets come again and again.

    Numbers are in their order, other labels in that of the alphabet, options as given.

    Args:
        answers: Those of any number of runs to one task: item, target.
        options: Options that are the same for every item, if it has such.
    """
    items = answers.drop_duplicates("item")
    targets = Answers.of(items["target"].dropna().astype(str))
    given = [option.strip() for option in options]
    if not given and not targets.are_choices:
        return []
    return [*dict.fromkeys(given), *sorted((text for text in targets.counts if text not in given), key=_order)]


def _order(label: str) -> list[tuple[bool, float, str]]:
    """Numbers in a label by their size, so that `label 2` comes before `label 10`; what is a number as a whole comes first."""
    try:
        return [(False, float(label), label)]
    except ValueError:
        parts = re.split(r"([0-9]+)", label)
        return [(True, float(part), "") if part.isdecimal() else (True, 0.0, part) for part in parts if part]


def count_labels(answers: pd.DataFrame, labels: Sequence[str]) -> LabelCounts:
    """Of the answers of one cell; an answer is a label where it equals it, outer white space aside.

    Args:
        answers: target, completion. A row whose target is no label, or without an answer, is left out.
        labels: The task's.
    """
    index = pd.Index(labels)
    kept = answers[answers["completion"].notna()]
    targets = index.get_indexer(pd.Index(kept["target"].astype(str).str.strip()))
    said = index.get_indexer(pd.Index(kept["completion"].astype(str).str.strip()))
    size = len(labels)
    places = targets * (size + 1) + np.where(said < 0, size, said)
    counts = np.bincount(places[targets >= 0], minlength=size * (size + 1)).reshape(size, size + 1)
    return LabelCounts(list(labels), counts)


def label_scores(found: LabelCounts) -> pd.DataFrame:
    """Per label precision, recall, F1 (0 to 1), support (answers whose target it is), answered (answers that it is).

    precision = hits / answered, recall = hits / support, F1 = 2 hits / (answered + support); nan where that is 0 / 0. An answer
    that is no label is a miss of its target and a false alarm of none.
    """
    hits = np.diagonal(found.counts).astype(float)
    support, answered = found.counts.sum(axis=1), found.counts[:, :-1].sum(axis=0)
    return pd.DataFrame({
        "label": found.labels, "precision": _ratio(hits, answered), "recall": _ratio(hits, support),
        "f1": _ratio(2 * hits, answered + support), "support": support, "answered": answered,
    })


def row_shares(found: LabelCounts) -> FloatArray:
    """(K, K + 1) share of a target's answers that were so; nan in the row of a label that is never the target."""
    return _ratio(found.counts.astype(float), found.counts.sum(axis=1, keepdims=True))


def _ratio(over: FloatArray, under: IntArray) -> FloatArray:
    return np.asarray(over / np.where(under > 0, under, np.nan))
