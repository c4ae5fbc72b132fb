"""The tensors of a checkpoint beside those of a model: by name and shape, from the headers of the files."""

from pathlib import Path
from typing import TYPE_CHECKING

from ftexp.ground.errors import UserError
from ftexp.models.known_keys import PLAIN
from ftexp.models.weights import HEAD, PLAIN_DTYPES, Unreadable, read_header

if TYPE_CHECKING:
    import torch

NAMED = 3
_ONE_MODEL = "Take config.json and the weights from one model"


def read_headers(folder: Path, names: list[str]) -> "dict[str, torch.Tensor]":
    """The tensors of safetensors files by name, without their data.

    Raises:
        UserError: If a file is not whole, or a tensor holds no plain numbers.
    """
    import torch

    given: dict[str, torch.Tensor] = {}
    for name in names:
        try:
            header = read_header(folder / name)
        except Unreadable as problem:
            raise UserError(f"{folder / name}: {problem}") from problem
        for tensor, entry in header.items():
            if entry["dtype"] not in PLAIN_DTYPES:
                what = f"is in {entry['dtype']}: the weights are quantised already, and a training here starts from plain ones"
                raise UserError(f"{folder / name}: {tensor}: {what}. {PLAIN.rstrip('.')}")
            given[tensor] = torch.empty(entry["shape"], device="meta")
    return given


def compare(converted: "dict[str, torch.Tensor]", wanted: "dict[str, torch.Tensor]") -> list[str]:
    """What of a checkpoint has no place in a model, what of the model has no tensor, and where shapes differ."""
    unused, unfilled = sorted(set(converted) - set(wanted)), sorted(set(wanted) - set(converted))
    messages = []
    if unused:
        messages.append(f"tensors without a place in the model that is built: {len(unused)} ({_some(unused)}). {_ONE_MODEL}")
    if unfilled:
        what = f"parameters of the model without a tensor: {len(unfilled)} ({_some(unfilled)})"
        messages.append(f"{what}. {_cure_of_unfilled(unfilled)}")
    for name in sorted(set(converted) & set(wanted)):
        if converted[name].shape != wanted[name].shape:
            shapes = f"{list(converted[name].shape)} in the checkpoint and {list(wanted[name].shape)} in the model"
            messages.append(f"{name}: has the shape {shapes}. {_ONE_MODEL}")
            break
    return messages


def _cure_of_unfilled(names: list[str]) -> str:
    """Files are missing; or config.json promises what the model never had."""
    if names in (["output.weight"], [HEAD]):
        tied = "if it is the embedding in this model, set tie_word_embeddings to true in config.json"
        return f"{HEAD} is in no file: {tied}; else copy the model again, whole"
    return _ONE_MODEL if all(name.endswith(".bias") for name in names) else "Copy the model again, whole"


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
