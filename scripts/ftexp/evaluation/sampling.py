"""Sampled answers: each row of a batch draws its next token by random numbers of its own, so that no neighbour changes it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import LogitsProcessor

from ftexp.ground.errors import UserError


@dataclass(frozen=True, order=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: What the logits are divided by, above 0.
        top_p: Share of the probability that is drawn from (`nucleus`); 1 for all of it.
    """

    temperature: float
    top_p: float


class DrawnToken(LogitsProcessor):
    """Of each row's logits only that of the token which was drawn stays, so that greedy generation takes it."""

    def __init__(self, sampling: Sampling, streams: Sequence[int], *, prompt_width: int, max_tokens: int) -> None:
        """Prepare the random numbers of all tokens.

        Args:
            streams: Per row the seed of its random numbers.
            prompt_width: Tokens that a row has before the first is drawn, filling included.
        """
        self._sampling = sampling
        self._prompt_width = prompt_width
        self._uniforms = torch.tensor([_uniforms(stream, max_tokens) for stream in streams], dtype=torch.float64)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (rows, vocabulary) of which one a row is 0 and the others are -inf."""
        uniforms = self._uniforms[:, input_ids.shape[1] - self._prompt_width].to(scores.device)
        drawn = draw_tokens(scores, self._sampling, uniforms)
        return torch.full_like(scores, -torch.inf).scatter(1, drawn[:, None], 0.0)


def _uniforms(stream: int, count: int) -> list[float]:
    """Numbers in [0, 1); Python promises the same ones for a seed in every version, torch does not."""
    numbers = random.Random(stream)
    return [numbers.random() for _ in range(count)]


def draw_tokens(logits: torch.Tensor, sampling: Sampling, uniforms: torch.Tensor) -> torch.Tensor:
    """Draw a token per row by the inverse of its distribution function, tokens in the order of their ids.

    In that order a rounding of the logits, which a batch of another shape may bring, moves the bounds between tokens by as
    little; in the order of their probabilities it could exchange two.

    Args:
        logits: (rows, vocabulary).
        uniforms: (rows,) in [0, 1).

    Returns:
        (rows,) token ids.

    Raises:
        UserError: If logits are not numbers.
    """
    probabilities = torch.softmax(logits.double() / sampling.temperature, dim=-1)
    if sampling.top_p < 1:
        probabilities = nucleus(probabilities, sampling.top_p)
    cumulative = probabilities.cumsum(dim=-1)
    if not torch.isfinite(cumulative[:, -1]).all():
        raise UserError("the model's logits are not numbers, so that no token can be drawn. Look at the loss in its train.csv.")
    bounds = uniforms * cumulative[:, -1]
    return torch.searchsorted(cumulative, bounds[:, None], right=True)[:, 0]


def nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """The same with 0 for every token that is not among the fewest, most probable ones which hold `top_p` together.

    Holtzman et al. 2020, The Curious Case of Neural Text Degeneration (arXiv 1904.09751), section 3.1. Of equally probable
    tokens that with the lower id comes first. Rows no longer add up to 1.
    """
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    is_kept = ordered.cumsum(dim=-1) - ordered < top_p
    return torch.zeros_like(probabilities).scatter(-1, order, ordered * is_kept)
