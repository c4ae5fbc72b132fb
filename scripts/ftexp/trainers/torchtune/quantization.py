"""QLoRA, as torchtune does it: the LoRA recipe for one device over a base whose matrices are held in NF4, 4 bits a number.

Nothing is read or written.
"""

from typing import Any

from ftexp.design.settings import is_quantized
from ftexp.ground.errors import UserError
from ftexp.trainers.recipes import is_lora

# torchao's NF4 scales 64 numbers at a time, and quantises 256 of these scales at a time.
NUMBERS_AT_A_TIME = 64 * 256
RECIPE = "lora_finetune_single_device"


def check_quantized(family: str, dimensions: dict[str, Any], settings: dict[str, Any]) -> None:
    """A quantised base is one that the recipe can train, and evaluation load.

    Args:
        dimensions: The arguments of the family's builder.
        settings: A run's settings.

    Raises:
        UserError: If it is not.
    """
    if not is_quantized(settings):
        return
    recipe = settings["recipe"]
    if not is_lora(recipe):
        why = "a full fine-tune trains the base's own matrices, which nothing can train in 4 bits"
        raise UserError(f"experiment.yaml: quantize_base: {why}, got recipe {recipe}. Use {RECIPE}.")
    if recipe != RECIPE:
        why = "distributed recipes round the base to dtype before they quantise it, so that it would depend on the recipe"
        raise UserError(f"experiment.yaml: quantize_base: {why}, got recipe {recipe}. Use {RECIPE}.")
    for name, (rows, columns) in matrix_shapes(dimensions).items():
        if rows * columns % NUMBERS_AT_A_TIME:
            what = f"NF4 takes matrices of a multiple of {NUMBERS_AT_A_TIME} numbers, got {name} [{rows}, {columns}] in {family}"
            raise UserError(f"experiment.yaml: quantize_base: {what}. Leave quantize_base out for model {settings['model']}.")


def matrix_shapes(dimensions: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Shapes [out, in] of each layer's matrices, all of which are quantised; embeddings, norms and output layer never are."""
    dim, inner, heads = dimensions["embed_dim"], dimensions["intermediate_dim"], dimensions["num_heads"]
    head_dim = dimensions.get("head_dim") or dim // heads
    wide, narrow = heads * head_dim, dimensions["num_kv_heads"] * head_dim
    return {
        "q_proj": (wide, dim), "k_proj": (narrow, dim), "v_proj": (narrow, dim), "output_proj": (dim, wide),
        "w1": (inner, dim), "w2": (dim, inner), "w3": (inner, dim),
    }
