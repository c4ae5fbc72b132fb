"""Matrices that a model holds in one, taken apart for LoRA.

Where q, k and v lie in one matrix, each still gets LoRA matrices of its own, as in every other model: the same `lora_rank` is the
same thing everywhere. Beside each other they are one pair, in which the adapter is written: see `adapter`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from ftexp.models.config_json import ModelConfig
from ftexp.trainers.transformers.parts import parts_of, rows_of


class Split(torch.nn.ModuleDict):
    """Matrices by role that a model holds in one; their outputs side by side are that one's."""

    def forward(self, entering: torch.Tensor) -> torch.Tensor:
        """Shape [..., in] to [..., sum of out]."""
        return torch.cat([layer(entering) for layer in self.values()], dim=-1)

    @classmethod
    def of(cls, whole: torch.nn.Module, rows: Mapping[str, int]) -> "Split":
        """The numbers of a Linear or Conv1D layer.

        Args:
            rows: Per role its outputs, in order.
        """
        weight: Any = whole.weight
        weight = weight.T if isinstance(whole, Conv1D) else weight  # GPT-2's lie the other way round
        bias: Any = whole.bias
        biases = [None] * len(rows) if bias is None else bias.split(list(rows.values()))
        made = {}
        for (role, count), part, own in zip(rows.items(), weight.split(list(rows.values())), biases, strict=True):
            made[role] = torch.nn.Linear(part.shape[1], count, bias=own is not None, device="meta")
            made[role].weight = torch.nn.Parameter(part.detach().contiguous(), requires_grad=False)
            if own is not None:
                made[role].bias = torch.nn.Parameter(own.detach().clone(), requires_grad=False)
        return cls(made)


def take_apart(model: torch.nn.Module, config: ModelConfig, roles: Sequence[str]) -> None:
    """Put a `Split` in the place of every fused matrix of which one of these roles is a part."""
    parts, rows = parts_of(config), rows_of(config)
    for layer in model.get_submodule(parts.layers).children():
        for name, stacked in parts.fused.items():
            if set(stacked) & set(roles):
                layer.set_submodule(name, Split.of(layer.get_submodule(name), {role: rows[role] for role in stacked}))
