"""What a recipe is by its name, whoever trains: `lora_finetune_single_device`, `full_finetune_distributed`, ..."""


def is_lora(recipe: str) -> bool:
    """Whether a recipe trains LoRA matrices, so that its checkpoint is an adapter."""
    return recipe.startswith("lora_")


def is_distributed(recipe: str) -> bool:
    """Whether a recipe runs in several processes."""
    return recipe.endswith("_distributed")


def on_one_device(recipe: str) -> str:
    """The recipe's counterpart that runs in one process; itself where it does."""
    return recipe.replace("_distributed", "_single_device")
