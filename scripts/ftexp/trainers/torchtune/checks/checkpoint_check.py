"""Does a base model's checkpoint fill the model that a config builds? From the headers of its files alone, on a login node.

Reads the model's folder: config.json and the first kilobytes of each safetensors file. Writes nothing.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftexp.ground.errors import UserError
from ftexp.models.config_json import ModelConfig, read_model_config
from ftexp.models.weights import check_tied
from ftexp.trainers.checkpoint_tensors import compare, read_headers
from ftexp.trainers.torchtune.weight_layout import to_trainer

if TYPE_CHECKING:
    import torch

Config = dict[str, Any]


def check_checkpoint(config: Config, built: "dict[str, torch.Tensor]") -> list[str]:
    """Every tensor of the checkpoint is used, every parameter of the model filled, and their shapes are equal.

    The names and shapes go through the conversion that torchtune's checkpointer uses, on tensors without data; the model is
    built without data too.

    Args:
        config: A run's finetune.yaml.
        built: The parameters that its model section builds, LoRA matrices among them.
    """
    folder, section = Path(config["checkpointer"]["checkpoint_dir"]), config["checkpointer"]
    try:
        of_model = read_model_config(folder)
        given = read_headers(folder, section["checkpoint_files"])
        check_tied(folder, of_model)
    except UserError as problem:
        return [str(problem).rstrip(".")]
    try:
        converted = to_trainer(given, section["model_type"], of_model)
    except Exception as error:
        if "key" not in str(error):  # torchtune 0.6.1 raises a bare Exception for a tensor whose name it does not know
            raise
        return [f"{folder}: {_stranger(given, section['model_type'], of_model)}"]
    wanted = {name: value for name, value in built.items() if "lora_" not in name}
    return [f"{folder}: {message}" for message in compare(converted, wanted)]


def _stranger(given: "dict[str, torch.Tensor]", model_type: str, config: ModelConfig) -> str:
    """Which tensor no model of this kind has, and what that means."""
    strange = next(name for name in sorted(given) if not _is_known(name, given, model_type, config))
    kind = config.kind.name
    whole = f"model.{strange}"
    if _is_known(whole, {whole: given[strange]}, model_type, config):
        cure = f"They are of the bare {kind}Model: write them by save_pretrained of {kind}ForCausalLM"
        return f"{strange}: has no name of {kind}ForCausalLM's tensors. {cure}"
    return f"holds a tensor that a {kind} does not have: {strange}. Check that config.json and weights are of one model"


def _is_known(name: str, given: "dict[str, torch.Tensor]", model_type: str, config: ModelConfig) -> bool:
    try:
        to_trainer({name: given[name]}, model_type, config)
    except Exception as error:
        if "key" not in str(error):
            raise
        return False
    return True
