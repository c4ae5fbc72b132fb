"""Metrics that are ratios of sums: of any two columns, perplexity per token and per item, bits per byte."""

import numpy as np

from ftexp.effects.arrays import FloatArray
from ftexp.effects.limits import Limits
from ftexp.effects.metrics import Rows, SumMetric, slopes_of_ratio
from ftexp.effects.sums import Terms, dense, shares_of


class Ratio(SumMetric):
    """Sum of one column / sum of another: the mean log-likelihood of a token from sums of nll and of tokens, for instance.

    Where the denominators of a run sum to 0 it is nan. A row's share is its share of the denominator.

    Args:
        numerator: Column.
        denominator: Column of numbers >= 0.
        bounds: Least and largest value; None without.
        higher_is_better: Whether more is better.
    """

    def __init__(
        self, numerator: str, denominator: str, bounds: tuple[float, float] | None = None, higher_is_better: bool = True
    ) -> None:
        self.columns, self.bounds, self.higher_is_better = (numerator, denominator), bounds, higher_is_better
        self.limits = {denominator: Limits(low=0.0)}

    def terms(self, rows: Rows) -> Terms:
        """Both columns."""
        return dense([rows.columns[name] for name in self.columns])

    def value(self, sums: FloatArray) -> FloatArray:
        """The sums' ratio."""
        return np.where(sums[..., 1] != 0, sums[..., 0] / sums[..., 1], np.nan)

    def gradient(self, sums: FloatArray) -> FloatArray:
        """(1, -ratio) / denominator."""
        return slopes_of_ratio(sums)

    def shares(self, rows: Rows) -> FloatArray:
        """(L,) share of each row in its run's denominator."""
        return shares_of(rows.columns[self.columns[1]], rows.runs, rows.n_runs)


class TokenPerplexity(Ratio):
    """exp(sum of nll / sum of tokens), nll in nats; less is better."""

    def __init__(self, nll: str = "nll", tokens: str = "tokens") -> None:
        super().__init__(nll, tokens, None, higher_is_better=False)

    def value(self, sums: FloatArray) -> FloatArray:
        """exp of the ratio."""
        return np.exp(super().value(sums))

    def gradient(self, sums: FloatArray) -> FloatArray:
        """exp(ratio) times the ratio's gradient."""
        return self.value(sums)[..., None] * super().gradient(sums)


class ItemPerplexity(Ratio):
    """Mean over rows of exp(nll / tokens), each row's own perplexity, nll in nats; less is better."""

    def __init__(self, nll: str = "nll", tokens: str = "tokens") -> None:
        super().__init__(nll, tokens, None, higher_is_better=False)
        self.limits = {tokens: Limits(low=1.0)}

    def terms(self, rows: Rows) -> Terms:
        """Each row's perplexity, and 1."""
        nll, tokens = (np.asarray(rows.columns[name], dtype=np.float64) for name in self.columns)
        return dense([np.exp(nll / tokens), np.ones_like(nll)])

    def shares(self, rows: Rows) -> FloatArray:
        """(L,) one share a row."""
        return shares_of(np.ones_like(rows.columns[self.columns[1]]), rows.runs, rows.n_runs)


class BitsPerByte(Ratio):
    """Sum of nll / (ln 2 x sum of bytes), nll in nats; less is better. Texts of several tokenizers can be compared by it."""

    def __init__(self, nll: str = "nll", length: str = "bytes") -> None:
        super().__init__(nll, length, None, higher_is_better=False)

    def terms(self, rows: Rows) -> Terms:
        """Bits and bytes."""
        nll, length = (np.asarray(rows.columns[name], dtype=np.float64) for name in self.columns)
        return dense([nll / np.log(2), length])
