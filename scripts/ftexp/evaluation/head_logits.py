"""The logits of a classifier's labels, batch by batch."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from ftexp.ground.errors import UserError


def logits_of(model: PreTrainedModel, pad_id: int, prompts: Sequence[Sequence[int]]) -> list[list[float]]:
    """Per prompt the logits of a classifier's labels, in fp32.

    Args:
        pad_id: The token that fills up a batch, on the right.

    Raises:
        UserError: If they are no numbers.
    """
    width = max(map(len, prompts))
    ids = torch.tensor([[*prompt, *[pad_id] * (width - len(prompt))] for prompt in prompts], device=model.device)
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=ids).logits.float()
    if not torch.isfinite(found).all():
        raise UserError("the classifier's logits are not numbers. Look at the loss in its train.csv.")
    rows: list[list[float]] = found.tolist()
    return rows
