"""The quantised base of a QLoRA training, for evaluation: matrices that hold exactly the numbers which training computes with.

What a number becomes depends on its neighbours (NF4 scales 64 at a time, and 256 of the scales), on the precision of the file and
on that of the training, so each matrix goes the trainer's own way: in its layout, from the numbers of the file.
"""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torchao.dtypes.nf4tensor import to_nf4

from ftexp.models.config_json import read_model_config
from ftexp.models.folder import weight_files
from ftexp.trainers.torchtune.families import FAMILIES, family_of
from ftexp.trainers.torchtune.weight_layout import to_hugging_face, to_trainer

_MATRIX = re.compile(r"model\.layers\.(\d+)\.(self_attn|mlp)\.\w+_proj\.weight")


@torch.no_grad()
def quantize_matrices(model: torch.nn.Module, base_dir: Path, dtype: torch.dtype, device: str) -> None:
    """Put the quantised matrices, as plain ones, into a base model that is loaded already; layer by layer.

    Args:
        model: The base in Hugging Face's form.
        base_dir: Its folder.
        dtype: Precision of training and evaluation.
        device: Where to compute; training's rounding is that of its device.
    """
    config = read_model_config(base_dir)
    model_type = FAMILIES[family_of(config)].model_type
    for names in _matrices_by_layer(base_dir).values():
        given = {name: _read(path, name).to(device) for name, path in names.items()}
        quantized = {name: _quantized(matrix, dtype) for name, matrix in to_trainer(given, model_type, config).items()}
        for name, matrix in to_hugging_face(quantized, model_type, config).items():
            model.get_parameter(name).copy_(matrix)


def _matrices_by_layer(base_dir: Path) -> dict[str, dict[str, Path]]:
    """Per layer the names of its matrices, with the file that holds each."""
    layers: dict[str, dict[str, Path]] = {}
    for path in (base_dir / name for name in weight_files(base_dir)):
        with safe_open(path, framework="pt") as file:
            for found in filter(None, map(_MATRIX.fullmatch, file.keys())):
                layers.setdefault(found[1], {})[found[0]] = path
    return layers


def _read(path: Path, name: str) -> torch.Tensor:
    """One tensor in the precision of its file."""
    with safe_open(path, framework="pt") as file:
        tensor: torch.Tensor = file.get_tensor(name)
        return tensor


def _quantized(matrix: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The numbers [out, in] that torchtune computes with: its layers, built in `dtype`, quantise what is copied into them."""
    held: Any = to_nf4(matrix.to(dtype))
    if matrix.dtype != dtype:
        held.copy_(matrix)  # by its own precision, as the recipe's load_state_dict does
    plain: torch.Tensor = held.to(dtype)
    return plain
