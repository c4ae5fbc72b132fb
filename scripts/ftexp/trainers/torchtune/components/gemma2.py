"""Gemma 2 as it is defined: torchtune 0.6.1 caps the last hidden state where the logits are to be capped.

Its `Gemma2FinalNorm` puts the norm's output through 30 * tanh(x / 30) and leaves the logits as they are, so that what is trained
is another model than the one that every other program loads (a test compares both).
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torchtune.models import gemma2 as stock
from torchtune.modules import TransformerDecoder

Output = Callable[[torch.Tensor], torch.Tensor]


class CappedOutput:
    """The output layer with its logits [batch, length, vocabulary] capped softly to +-`cap`; without parameters of its own."""

    def __init__(self, output: Output, cap: float) -> None:
        self.output = output
        self.cap = cap

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.output(hidden) / self.cap) * self.cap


def _with_capped_logits(builder: Callable[..., TransformerDecoder]) -> Callable[..., TransformerDecoder]:
    """The same builder, whose models cap where Gemma 2 caps."""

    @functools.wraps(builder)
    def build(*args: Any, **kwargs: Any) -> TransformerDecoder:
        model: Any = builder(*args, **kwargs)
        model.output = CappedOutput(model.output, model.norm.capping_value)
        model.norm.logit_capping = torch.nn.Identity()
        return model

    return build


gemma2 = _with_capped_logits(stock.gemma2)
lora_gemma2 = _with_capped_logits(stock.lora_gemma2)
