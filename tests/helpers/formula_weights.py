"""Weights that follow from a formula, and some logits of a model that has them: what two versions of a library are asked."""

from typing import Any

import torch

TEXTS = ("Hello world", " two  blanks", "日本 <s>[INST]", "<|im_start|>user")
# How the names of norms end, GPT-2's last.
NORMS = ("norm.weight", "ln_1.weight", "ln_2.weight", "ln_f.weight")
# Long enough that scaled RoPE and a window make a difference.
_LENGTH, _PLACES, _LOGITS = 600, (50, 300, 599), 8


@torch.no_grad()
def fill(model: torch.nn.Module) -> None:
    """Give every parameter of a model of the library's its numbers, by its place in the order of their names."""
    for number, (name, parameter) in enumerate(sorted(model.named_parameters())):
        wave = torch.cos(torch.arange(parameter.numel(), dtype=torch.float64) * 0.7 + number).reshape(parameter.shape)
        is_norm = name.endswith(NORMS)
        parameter.copy_((0.2 * wave + (1.0 if is_norm else 0.0)).to(parameter.dtype))


def tokens(vocabulary: int) -> torch.Tensor:
    """Ids [1, length], the same for everybody."""
    return (torch.arange(_LENGTH) * 37 % vocabulary)[None]


@torch.no_grad()
def fingerprint(model: Any) -> list[list[float]]:
    """Some logits of a model of the library's, at some places of the same text."""
    return few(model(input_ids=tokens(model.config.vocab_size)).logits)


def few(logits: torch.Tensor) -> list[list[float]]:
    """The numbers of [1, length, vocabulary] that are compared."""
    return [[round(value, 5) for value in logits[0, place, :_LOGITS].tolist()] for place in _PLACES]
