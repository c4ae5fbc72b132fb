"""How much disk a run's checkpoint takes, from the model's config.json."""

from typing import Any

from ftexp.design.settings import DTYPES
from ftexp.ground import paths
from ftexp.ground.filesystem import read_json
from ftexp.models.folder import attention_widths, parameter_count
from ftexp.trainers.torchtune.recipes import is_lora


def checkpoint_megabytes(settings: dict[str, Any]) -> float | None:
    """Size of a run's checkpoint in MB: its adapter, or the whole weights for a full fine-tune; None if unknown."""
    path = paths.model_dir(settings["model"]) / "config.json"
    if not path.is_file():
        return None
    shape = read_json(path)
    count = adapter_parameters(shape, settings) if is_lora(settings["recipe"]) else parameter_count(shape)
    return count * DTYPES[settings["dtype"]] / 1e6


def adapter_parameters(shape: dict[str, Any], settings: dict[str, Any]) -> int:
    """Parameters of the LoRA matrices: rank x (inputs + outputs) of every layer that has them."""
    dim, inner = shape["hidden_size"], shape["intermediate_size"]
    q_dim, kv_dim = attention_widths(shape)
    sides = {"q": dim + q_dim, "o": dim + q_dim, "k": dim + kv_dim, "v": dim + kv_dim, "mlp": 3 * (dim + inner)}
    per_layer = sum(sides.get(module, 0) for module in settings["lora_modules"])
    head = dim + shape["vocab_size"] if "output" in settings["lora_modules"] else 0
    return int(settings["lora_rank"] * (shape["num_hidden_layers"] * per_layer + head))
