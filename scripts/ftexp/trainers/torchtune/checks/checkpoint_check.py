"""Does a base model's checkpoint fill the model that a config builds? From the headers of its files alone, on a login node.

Reads the model's folder: config.json and the first kilobytes of each safetensors file. Writes nothing.
"""

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftexp.models.config_json import read_model_config
from ftexp.trainers.torchtune.weight_layout import to_trainer

if TYPE_CHECKING:
    import torch

Config = dict[str, Any]
NAMED = 3
_ONE_MODEL = "Take all files from one model"


class Unreadable(Exception):
    """A safetensors file that is not whole; the text says why."""


def check_checkpoint(config: Config, built: "dict[str, torch.Tensor]") -> list[str]:
    """Every tensor of the checkpoint is used, every parameter of the model filled, and their shapes are equal.

    The names and shapes go through the conversion that torchtune's checkpointer uses, on tensors without data; the model is
    built without data too.

    Args:
        config: A run's finetune.yaml.
        built: The parameters that its model section builds, LoRA matrices among them.
    """
    folder = Path(config["checkpointer"]["checkpoint_dir"])
    given: dict[str, torch.Tensor] = {}
    for name in config["checkpointer"]["checkpoint_files"]:
        try:
            given |= read_header(folder / name)
        except Unreadable as problem:
            return [f"{folder / name}: {problem}. Copy the model again, whole"]
    try:
        converted = to_trainer(given, config["checkpointer"]["model_type"], read_model_config(folder))
    except Exception as error:
        if "key" not in str(error):  # torchtune 0.6.1 raises a bare Exception for a tensor whose name it does not know
            raise
        return [f"{folder}: holds a tensor that torchtune does not know: {str(error).splitlines()[0]}. {_ONE_MODEL}"]
    wanted = {name: value for name, value in built.items() if "lora_" not in name}
    return [f"{folder}: {message}" for message in _compare(converted, wanted)]


def read_header(path: Path) -> "dict[str, torch.Tensor]":
    """The tensors of a safetensors file by name, without their data.

    Raises:
        Unreadable: If the header is not there, or the file is shorter or longer than it says.
    """
    import torch

    if not path.is_file():
        raise Unreadable("is not there")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > size - 8:
            raise Unreadable(f"is no safetensors file, or cut short: it has {size} bytes")
        try:
            header: dict[str, Any] = json.loads(file.read(length))
        except ValueError as error:
            raise Unreadable("is no safetensors file: its header is not readable") from error
    header.pop("__metadata__", None)
    end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if end != size:
        raise Unreadable(f"has {size} bytes, and its header says {end}")
    return {name: torch.empty(entry["shape"], device="meta") for name, entry in header.items()}


def _compare(converted: "dict[str, torch.Tensor]", wanted: "dict[str, torch.Tensor]") -> list[str]:
    unused, unfilled = sorted(set(converted) - set(wanted)), sorted(set(wanted) - set(converted))
    messages = []
    if unused:
        messages.append(f"tensors without a place in the model that is built: {len(unused)} ({_some(unused)}). {_ONE_MODEL}")
    if unfilled:
        what = f"parameters of the model without a tensor: {len(unfilled)} ({_some(unfilled)})"
        messages.append(f"{what}. Copy the model again, whole")
    for name in sorted(set(converted) & set(wanted)):
        if converted[name].shape != wanted[name].shape:
            shapes = f"{list(converted[name].shape)} in the checkpoint and {list(wanted[name].shape)} in the model"
            messages.append(f"{name}: has the shape {shapes}. {_ONE_MODEL}")
            break
    return messages


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
