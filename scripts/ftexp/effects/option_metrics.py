"""Metrics of items with options: `probability_1` to `probability_K`, what a run gave each, and `target`, the right one's code.

Codes are 0 to K - 1. An option that an item lacks has probability 0: Brier's score is right then. The area under the curve, which
ranks all items by one option's probability, is for a list of options that all items have.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from ftexp.effects.arrays import FloatArray, IntArray
from ftexp.effects.limits import Limits
from ftexp.effects.metrics import Influences, Mean, Rows
from ftexp.effects.probability_metrics import Auc

AUC = Auc()


def option_columns(n_options: int) -> tuple[str, ...]:
    """The columns of K options: `probability_1`, ..., `target`."""
    return (*(f"probability_{option + 1}" for option in range(n_options)), "target")


def _limits(n_options: int) -> dict[str, Limits]:
    """Probabilities from 0 to 1, and a target that is one of the options."""
    *names, target = option_columns(n_options)
    return {**dict.fromkeys(names, Limits(0, 1)), target: Limits(0, n_options - 1, is_whole=True)}


class OptionsBrier(Mean):
    """Mean of sum over options of (probability - 1 where it is right)^2, halved (Brier 1950); less is better. Without rows: nan.

    From 0 to 1 where an item's probabilities sum to 1, as they must. Equal to scikit-learn's `brier_score_loss` with
    `scale_by_half=True`; of two options to the squared error of either's probability.

    Args:
        n_options: K.
    """

    def __init__(self, n_options: int) -> None:
        super().__init__((0.0, 1.0), higher_is_better=False)
        self.columns, self.limits = option_columns(n_options), _limits(n_options)

    def scores(self, rows: Rows) -> FloatArray:
        """(L,) halved sums of squared errors."""
        *names, _ = self.columns
        target = rows.columns["target"]
        return np.asarray(sum((rows.columns[name] - (target == option)) ** 2 for option, name in enumerate(names)) / 2)


class MacroAuc:
    """Mean over options of the area under the ROC curve of its probability, against all other options; ties count half.

    Over those that are the target of some row and not of all, run by run; nan where there is none. Equal to scikit-learn's
    `roc_auc_score(multi_class="ovr", average="macro")`. Two options have one area, that of the second's probability.

    A row's influence is the mean of those on the options' areas (see `Auc`), its share the mean of the shares in them, weighted
    by the options' parts of the summed squares: as in the balanced accuracy, an option that is rarely right and makes most of the
    error is known as these few rows are.

    Args:
        n_options: K.
    """

    bounds: tuple[float, float] | None = (0.0, 1.0)
    higher_is_better = True

    def __init__(self, n_options: int) -> None:
        self.columns, self.limits = option_columns(n_options), _limits(n_options)

    def influences(self, rows: Rows) -> Influences:
        """The value of each run and the influence of each row."""
        values, influences, shares = np.full(rows.n_runs, np.nan), np.empty(len(rows.runs)), np.empty(len(rows.runs))
        for index, first, part in rows.parts():
            found = _mean([AUC.influences(of_option) for of_option in self._options(part)], part)
            values[first : first + part.n_runs], influences[index], shares[index] = found.values, found.influences, found.shares
        return Influences(values, influences, shares)

    def resampled(self, rows: Rows, units: IntArray, counts: FloatArray) -> FloatArray:
        """(B, R) values where unit u of the (L,) rows' `units` is drawn counts[b, u] times (or weighs as much)."""
        total, number = np.zeros((2, len(counts), rows.n_runs))
        for of_option in self._options(rows):
            drawn = AUC.resampled(of_option, units, counts)
            is_there = np.isfinite(drawn)
            total += np.where(is_there, drawn, 0.0)
            number += is_there
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)

    def _options(self, rows: Rows) -> Iterator[Rows]:
        """The rows as one option's area sees them, option by option; of two options the second's."""
        *names, target = self.columns
        for option in range(len(names)) if len(names) != 2 else (1,):
            is_right = rows.columns[target] == option
            yield Rows(rows.runs, rows.n_runs, {"probability": rows.columns[names[option]], "correct": is_right})


def _mean(found: Sequence[Influences], rows: Rows) -> Influences:
    """The mean over those of K options' areas that a run has, with the shares that `MacroAuc` explains."""
    is_there = np.isfinite([of_option.values for of_option in found])
    count = is_there.sum(axis=0)
    number = np.where(count > 0, count, np.nan)
    influences = [np.where(here[rows.runs], each.influences, 0.0) for here, each in zip(is_there, found, strict=True)]
    squares = np.array([np.bincount(rows.runs, weights=each**2, minlength=rows.n_runs) for each in influences])
    total = squares.sum(axis=0)
    weights = np.where(total > 0, squares / np.where(total > 0, total, 1.0), is_there / np.maximum(count, 1))
    return Influences(
        np.nansum([of_option.values for of_option in found], axis=0) / number,
        np.asarray(sum(influences) / number[rows.runs]),
        np.asarray(sum(weight[rows.runs] * each.shares for weight, each in zip(weights, found, strict=True))),
    )
