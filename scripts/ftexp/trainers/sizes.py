"""How large a run's checkpoint and its adapter are, from the model's config.json."""

from typing import Any

from ftexp.design.settings import DTYPES
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.models.config_json import ModelConfig, read_model_config
from ftexp.trainers.interface import AdapterSize
from ftexp.trainers.recipes import is_lora


def checkpoint_megabytes(settings: dict[str, Any]) -> float | None:
    """Size of a run's checkpoint in MB: its adapter, or the whole weights for a full fine-tune; None if unknown."""
    folder = paths.model_dir(settings["model"])
    if not (folder / "config.json").is_file():
        return None
    config = read_model_config(folder)
    if is_lora(settings["recipe"]):
        return adapter_parameters(config, settings) * DTYPES["fp32"] / 1e6
    return config.parameters * DTYPES[settings["dtype"]] / 1e6


def adapter_size(settings: dict[str, Any]) -> AdapterSize | None:
    """A run's LoRA matrices beside its model; None for a full fine-tune, and where config.json is not there or not usable.

    What is wrong with config.json is an error of its own in `make validate`.
    """
    if not is_lora(settings["recipe"]):
        return None
    try:
        config = read_model_config(paths.model_dir(settings["model"]))
    except UserError:
        return None
    sides = _sides(config)
    module = min(settings["lora_modules"], key=lambda name: sides[name][0])
    return AdapterSize(sides[module][0], module, adapter_parameters(config, settings), config.parameters)


def adapter_parameters(config: ModelConfig, settings: dict[str, Any]) -> int:
    """Parameters of the LoRA matrices: rank x (inputs + outputs) of every layer that has them; DoRA has one more per output."""
    sides, layers, modules = _sides(config), config.layers, settings["lora_modules"]
    of_layer = {"mlp": config.kind.mlp_matrices}
    matrices = {module: 1 if module == "output" else layers * of_layer.get(module, 1) for module in sides}
    found = settings["lora_rank"] * sum(matrices[module] * sum(sides[module]) for module in modules)
    if settings.get("use_dora"):
        dim, outputs = config.hidden_size, _widths(config)
        down = layers * (dim - outputs["mlp"]) if "mlp" in modules else 0  # the one of the MLP's that gives hidden_size
        found += sum(matrices[module] * (dim if module == "o" else outputs[module]) for module in modules) + down
    return int(found)


def _sides(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """Per module the smaller and the larger side of its matrices."""
    dim = config.hidden_size
    return {module: (min(dim, width), max(dim, width)) for module, width in _widths(config).items()}


def _widths(config: ModelConfig) -> dict[str, int]:
    """Per module the side of its matrices that is not hidden_size."""
    q_dim, kv_dim = config.attention_widths
    return {"q": q_dim, "o": q_dim, "k": kv_dim, "v": kv_dim, "mlp": config.intermediate_size, "output": config.vocab_size}
