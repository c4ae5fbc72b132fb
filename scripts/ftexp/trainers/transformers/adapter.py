"""The adapter of a training: LoRA or DoRA by PEFT, on the roles that the config names, and its files.

Written as PEFT writes them, by PEFT's names and for the model as everybody loads it. Where q, k and v are one matrix there, their
pairs are joined to one. DoRA's magnitude is one number a row, and so theirs are simply behind each other.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear
from safetensors.torch import save_file
from transformers.pytorch_utils import Conv1D

from ftexp.ground.errors import UserError
from ftexp.models.config_json import ModelConfig
from ftexp.trainers.joined_lora import Pair, patterns, side_by_side
from ftexp.trainers.lora_names import OUTPUT, roles_of
from ftexp.trainers.lora_start import initial_a
from ftexp.trainers.transformers.parts import Parts, parts_of, rows_of
from ftexp.trainers.transformers.split import take_apart

Weights = dict[str, torch.Tensor]
_PREFIX = "base_model.model."
# The last layer of the library's classifiers.
HEAD = "score"
_A, _B, _MAGNITUDE = "lora_A.weight", "lora_B.weight", "lora_magnitude_vector"


class _OnConv1D(Linear):
    """LoRA on a matrix of GPT-2's that lies the other way round.

    PEFT 0.18.1 takes one `fan_in_fan_out` for all matrices. Where they lie both ways, as here once some are taken apart, it makes
    the same of each as this does, and warns of it.
    """

    def __init__(self, base_layer: torch.nn.Module, adapter_name: str, *, parameter_name: None = None, **options: Any) -> None:
        """As PEFT's; it says the name of a bare parameter too, which this is not."""
        super().__init__(base_layer, adapter_name, **options | {"fan_in_fan_out": True, "is_target_conv_1d_layer": True})


def with_adapter(model: torch.nn.Module, config: ModelConfig, section: Mapping[str, Any], seed: int) -> PeftModel:
    """The model with the matrices of a config's `model` section, at their beginning; the base is not trained.

    Args:
        section: lora_modules, lora_rank, lora_alpha, lora_dropout, use_dora.

    Raises:
        UserError: If the model calls its matrices by names that are not known here.
    """
    roles, parts = roles_of(section["lora_modules"]), parts_of(config)
    _require_parts(model, parts, roles, config)
    take_apart(model, config, roles)
    lora = LoraConfig(
        r=section["lora_rank"], lora_alpha=section["lora_alpha"], lora_dropout=section["lora_dropout"],
        use_dora=section["use_dora"], target_modules=_targets(parts, roles), bias="none",
        **({"task_type": "SEQ_CLS", "modules_to_save": [HEAD]} if "labels" in section else {"task_type": "CAUSAL_LM"}),
    )
    lora._register_custom_module({Conv1D: _OnConv1D})
    wrapped: Any = model  # PEFT asks for a PreTrainedModel, and takes any module
    made: Any = get_peft_model(wrapped, lora)
    for name, parameter in made.named_parameters():
        if f".{HEAD}.modules_to_save." in name:
            parameter.data = parameter.data.float()
        if ".lora_A." in name:
            layer, role = _place(name, parts)
            parameter.data.copy_(initial_a(seed, layer, role, *parameter.shape))
    found: PeftModel = made
    return found


def _require_parts(model: torch.nn.Module, parts: Parts, roles: tuple[str, ...], config: ModelConfig) -> None:
    """The model has the matrices that get LoRA matrices.

    Raises:
        UserError: If it calls them otherwise: a kind of model that nobody here has looked at.
    """
    first = f"{parts.layers}.0"
    wanted = {f"{first}.{parts.single[role]}" for role in roles if role in parts.single}
    absent = sorted(wanted - {name for name, _ in model.named_modules()})
    if absent:
        what = f"{config.file}: model_type: is {config.model_type!r}, and the model has no {absent[0]} that LoRA would adapt"
        raise UserError(f"{what}. Train all of it (recipe: full_finetune_single_device), or choose another model.")


def _targets(parts: Parts, roles: tuple[str, ...]) -> list[str]:
    """Names of the matrices, by their last word where that says which is meant."""
    names = [parts.name(role) for role in roles if role == OUTPUT or _has(parts, role)]
    is_plain = len({name.rpartition(".")[2] for name in parts.single.values()}) == len(parts.single)
    return sorted(name.rpartition(".")[2] if is_plain and name in parts.single.values() else name for name in names)


def _has(parts: Parts, role: str) -> bool:
    """Whether models of the kind have such a matrix: not all have a gate."""
    return role in parts.single or any(role in stacked for stacked in parts.fused.values())


def _place(name: str, parts: Parts) -> tuple[int | None, str]:
    """Layer and role of a LoRA matrix by its parameter's name."""
    found = re.fullmatch(rf"{re.escape(_PREFIX + parts.layers)}\.(\d+)\.(.+)\.lora_A\.\w+\.weight", name)
    if found is None:
        return None, OUTPUT
    names = {parts.name(role): role for role in (*parts.single, *(r for stacked in parts.fused.values() for r in stacked))}
    return int(found[1]), names[found[2]]


def save_adapter(model: PeftModel, config: ModelConfig, folder: Path) -> None:
    """Write adapter_model.safetensors and adapter_config.json, for the model as transformers loads it."""
    said: dict[str, Any] = model.peft_config["default"].to_dict()
    trained = {
        _name_of(name): value.detach().float().cpu().contiguous()
        for name, value in model.named_parameters() if value.requires_grad
    }
    weights = _joined(trained, config)
    if weights.keys() != trained.keys():
        said |= patterns(_ranks(weights), rank=said["r"], alpha=said["lora_alpha"])
    said |= {"inference_mode": True, "base_model_name_or_path": None, "fan_in_fan_out": config.model_type == "gpt2"}
    said["modules_to_save"] = [HEAD] if f"{_PREFIX}{HEAD}.weight" in weights else None  # PEFT names each twice
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: weights[name] for name in sorted(weights)}, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in said.items()}
    text = json.dumps(plain, indent=1, sort_keys=True, default=str)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")


def _name_of(parameter: str) -> str:
    """What PEFT's files call a parameter."""
    return parameter.replace(".default", "").replace(f"{_MAGNITUDE}.weight", _MAGNITUDE).replace(".modules_to_save", "")


def _ranks(weights: Weights) -> dict[str, int]:
    """Per adapted matrix within a layer the rank of its pair."""
    names = {name.removesuffix(f".{_A}").removeprefix(_PREFIX): len(a) for name, a in weights.items() if name.endswith(_A)}
    return {re.sub(r"^.*\.\d+\.", "", name): rank for name, rank in names.items()}


def _joined(trained: Weights, config: ModelConfig) -> Weights:
    """The same, with the pairs of what is one matrix in the model joined to one pair."""
    parts, rows = parts_of(config), rows_of(config)
    weights = dict(trained)
    for layer in range(config.layers):
        for name, roles in parts.fused.items():
            place = f"{_PREFIX}{parts.layers}.{layer}.{name}"
            pairs = [_taken(weights, f"{place}.{role}") for role in roles]
            if any(pairs):
                a, b = side_by_side(pairs, [rows[role] for role in roles])
                weights |= {f"{place}.{_A}": a, f"{place}.{_B}": b, **_magnitude(weights, place, roles)}
    return weights


def _taken(weights: Weights, place: str) -> Pair | None:
    """The pair of a role, taken out of `weights`; None where it has none."""
    a = weights.pop(f"{place}.{_A}", None)
    return None if a is None else (a, weights.pop(f"{place}.{_B}"))


def _magnitude(weights: Weights, place: str, roles: tuple[str, ...]) -> Weights:
    """DoRA's magnitudes behind each other, taken out of `weights`; nothing where there are none."""
    found = [weights.pop(key) for key in (f"{place}.{role}.{_MAGNITUDE}" for role in roles) if key in weights]
    return {f"{place}.{_MAGNITUDE}": torch.cat(found)} if found else {}
