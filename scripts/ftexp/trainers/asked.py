"""What is asked of a trainer and does not go together, whichever it is."""

from collections.abc import Mapping
from typing import Any

from ftexp.design.settings import MASTER_WEIGHTS
from ftexp.ground.errors import UserError
from ftexp.trainers.recipes import is_lora


def check_master_weights(settings: Mapping[str, Any]) -> bool:
    """Whether fp32 weights are to be held beside the model's.

    Raises:
        UserError: If they are wanted where they would change nothing.
    """
    if not settings.get(MASTER_WEIGHTS):
        return False
    is_adapter = is_lora(settings["recipe"])
    if is_adapter or settings["dtype"] == "fp32":
        why = "LoRA matrices are fp32 already" if is_adapter else "with dtype: fp32 all weights are"
        raise UserError(f"experiment.yaml: {MASTER_WEIGHTS}: is for full fine-tunes in bf16; {why}. Leave {MASTER_WEIGHTS} out.")
    return True
