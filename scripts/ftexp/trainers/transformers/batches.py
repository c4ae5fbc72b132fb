"""Which rows a batch has, how it is filled up, and what it costs: tokens of a text, or labels of a classifier."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler

from ftexp.trainers.prompted_rows import IGNORED_LABEL, epoch_order


class EpochOrder(Sampler[int]):
    """The positions of the data set in the order of the epoch, from 0, that is set."""

    def __init__(self, rows: int) -> None:
        """Of so many rows."""
        self._rows = rows
        self.epoch = 0

    def __iter__(self) -> Any:
        return iter(epoch_order(self._rows, self.epoch))

    def __len__(self) -> int:
        return self._rows


class Batches:
    """Rows filled up on the right to the longest; what fills is no label, and comes after all that is."""

    def __init__(self, pad_id: int) -> None:
        """`pad_id` fills up tokens."""
        self._pad_id = pad_id

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """`input_ids` [rows, longest]; `labels` of the same shape, or of a classifier [rows]."""
        width = max(len(row["tokens"]) for row in rows)
        tokens = [row["tokens"] + [self._pad_id] * (width - len(row["tokens"])) for row in rows]
        labels = [
            row["labels"] if isinstance(row["labels"], int) else row["labels"] + [IGNORED_LABEL] * (width - len(row["labels"]))
            for row in rows
        ]
        return {"input_ids": torch.tensor(tokens), "labels": torch.tensor(labels)}


def mean_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor) -> torch.Tensor:
    """A batch's share of the mean loss in nats over all labels of the optimiser step, of which there are so many."""
    return summed_loss(outputs["logits"], labels)[0] / num_items_in_batch


def summed_loss(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The cross entropy of a batch in nats, summed over its labels, and their number.

    Args:
        logits: [rows, length, vocabulary], each position's for the token after it; or of a classifier [rows, labels].
    """
    if labels.dim() == 2:
        labels = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED_LABEL)
    flat = labels.reshape(-1)
    at = (flat != IGNORED_LABEL).nonzero().squeeze(1)  # float32 copies of the logits at these positions only: few are trained
    chosen = logits.reshape(-1, logits.shape[-1]).index_select(0, at)
    summed = torch.nn.functional.cross_entropy(chosen.float(), flat.index_select(0, at), reduction="sum")
    return summed, flat.new_tensor(len(at))
