"""LoRA matrices of layers that a library holds as one, as one pair.

A stacks theirs, B holds theirs as blocks, so that B A adds to the rows of each what its own matrices add. The pair's rank is
theirs together; alpha grows alike, so that the scale alpha / rank stays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

# A [rank, in] and B [out, rank].
Pair = tuple[torch.Tensor, torch.Tensor]


def side_by_side(pairs: Sequence[Pair | None], rows: Sequence[int]) -> Pair:
    """A [sum of ranks, in] and B [sum of rows, sum of ranks].

    Args:
        pairs: Of each layer; None where it has no matrices, whose rows are zeros in B.
        rows: Outputs of each layer.
    """
    present = [pair for pair in pairs if pair is not None]
    a = torch.cat([pair[0] for pair in present]).contiguous()
    b = torch.zeros(sum(rows), len(a), dtype=a.dtype)
    row = column = 0
    for pair, count in zip(pairs, rows, strict=True):
        if pair is not None:
            rank = pair[1].shape[1]
            b[row : row + count, column : column + rank] = pair[1]
            column += rank
        row += count
    return a, b


def patterns(ranks: Mapping[str, int], *, rank: int, alpha: float) -> dict[str, Any]:
    """The keys of adapter_config.json that say which matrices are adapted, and which of them by other ranks than `rank`.

    Args:
        ranks: Per matrix the rank of its pair.
    """
    other = {name: count for name, count in ranks.items() if count != rank}
    return {
        "target_modules": sorted(ranks), "rank_pattern": other,
        "alpha_pattern": {name: alpha * count / rank for name, count in other.items()},
    }
