"""What a training holds in more precision than its model: the adapter of a base in bf16; on request, whole weights."""

from typing import Any

from ftexp.design.settings import MASTER_WEIGHTS
from ftexp.ground.errors import UserError
from ftexp.trainers.asked import check_master_weights
from ftexp.trainers.recipes import is_lora

# Where the components are that our configs name.
COMPONENTS = "ftexp.trainers.torchtune.components"


def has_fp32_adapter(settings: dict[str, Any]) -> bool:
    """Whether a run's LoRA matrices are of more precision than its base."""
    return is_lora(settings["recipe"]) and settings["dtype"] != "fp32"


def optimizer_section(settings: dict[str, Any], shipped: dict[str, Any]) -> dict[str, Any]:
    """The shipped optimizer, or ours with fp32 weights beside the model's.

    Raises:
        UserError: If these are wanted where they would change nothing, or cannot be had.
    """
    section = dict(shipped)
    if not check_master_weights(settings):
        return section
    if section["_component_"] != "torch.optim.AdamW":
        what = f"is for AdamW, and torchtune ships {section['_component_']} for this model"
        raise UserError(f"experiment.yaml: {MASTER_WEIGHTS}: {what}. Leave it out.")
    return {**section, "_component_": f"{COMPONENTS}.master_weights.AdamW"}
