"""What a recipe is by its name, whoever trains: `lora_finetune_single_device`, `full_finetune_distributed`, ..."""

from collections.abc import Mapping
from typing import Any

from ftexp.design.settings import MASTER_WEIGHTS
from ftexp.ground.errors import UserError


def is_lora(recipe: str) -> bool:
    """Whether a recipe trains LoRA matrices, so that its checkpoint is an adapter."""
    return recipe.startswith("lora_")


def is_distributed(recipe: str) -> bool:
    """Whether a recipe runs in several processes."""
    return recipe.endswith("_distributed")


def on_one_device(recipe: str) -> str:
    """The recipe's counterpart that runs in one process; itself where it does."""
    return recipe.replace("_distributed", "_single_device")


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
