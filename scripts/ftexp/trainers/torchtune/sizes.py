"""How much disk a run's checkpoint takes, from the model's config.json."""

from typing import Any

from ftexp.design.settings import DTYPES
from ftexp.ground import paths
from ftexp.models.config_json import ModelConfig, read_model_config
from ftexp.trainers.torchtune.recipes import is_lora


def checkpoint_megabytes(settings: dict[str, Any]) -> float | None:
    """Size of a run's checkpoint in MB: its adapter, or the whole weights for a full fine-tune; None if unknown."""
    folder = paths.model_dir(settings["model"])
    if not (folder / "config.json").is_file():
        return None
    config = read_model_config(folder)
    if is_lora(settings["recipe"]):
        return adapter_parameters(config, settings) * DTYPES["fp32"] / 1e6
    return config.parameters * DTYPES[settings["dtype"]] / 1e6


def adapter_parameters(config: ModelConfig, settings: dict[str, Any]) -> int:
    """Parameters of the LoRA matrices: rank x (inputs + outputs) of every layer that has them."""
    dim, inner = config.hidden_size, config.intermediate_size
    q_dim, kv_dim = config.attention_widths
    sides = {"q": dim + q_dim, "o": dim + q_dim, "k": dim + kv_dim, "v": dim + kv_dim, "mlp": 3 * (dim + inner)}
    per_layer = sum(sides.get(module, 0) for module in settings["lora_modules"])
    head = dim + config.vocab_size if "output" in settings["lora_modules"] else 0
    return int(settings["lora_rank"] * (config.layers * per_layer + head))
