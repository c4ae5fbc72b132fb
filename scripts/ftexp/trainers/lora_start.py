"""How LoRA matrices begin, whoever trains: A uniform as torch's Linear layers begin, B zero (Hu et al. 2021, arXiv 2106.09685).

Each matrix is drawn by a generator of its own, from the seed, its layer and its role. So it is the same in every trainer, in
every precision and number of processes, and whichever other layers get some.
"""

import hashlib
import math

import torch


def initial_a(seed: int, layer: int | None, role: str, rank: int, columns: int) -> torch.Tensor:
    """A [rank, columns] in fp32, uniform within 1 / sqrt(columns).

    Args:
        layer: From 0; None for the output layer.
    """
    generator = _generator(f"{seed} {role}" if layer is None else f"{seed} {layer} {role}")
    return torch.nn.init.kaiming_uniform_(torch.empty(rank, columns), a=math.sqrt(5), generator=generator)


def initial_head(seed: int, labels: int, columns: int, std: float) -> torch.Tensor:
    """The last layer of a classifier [labels, columns] in fp32: normal, as the model's own matrices began."""
    return torch.empty(labels, columns).normal_(std=std, generator=_generator(f"{seed} head"))


def _generator(said: str) -> torch.Generator:
    number = int.from_bytes(hashlib.sha256(said.encode("ascii")).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(number)
