"""Whether an adapter does anything in the end: a training that changed no logit of its base has failed, however it looked."""

from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel

from ftexp.trainers.train_csv import NO_EFFECT, TrainCsv


def require_effect(model: Any, rows: Sequence[Sequence[int]], file: TrainCsv) -> None:
    """The logits of some rows of tokens differ with the adapter and without; nothing is asked of whole weights.

    Raises:
        TrainingFailed: If they are equal.
    """
    if not isinstance(model, PeftModel):
        return
    adapted: Any = model
    adapted.eval()
    with torch.inference_mode():
        for row in rows:
            tokens = torch.tensor([list(row)], device=adapted.device)
            logits = adapted(input_ids=tokens).logits
            with adapted.disable_adapter():
                if not torch.equal(logits, adapted(input_ids=tokens).logits):
                    return
    file.fail(NO_EFFECT)
