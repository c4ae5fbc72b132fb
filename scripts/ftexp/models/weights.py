"""The safetensors files of a base model, from their headers, and the two tensors that may be one: embedding and output layer."""

import json
import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftexp.ground.errors import UserError
from ftexp.models.folder import weight_files

if TYPE_CHECKING:
    import torch

    from ftexp.models.config_json import ModelConfig

# Where it is the embedding (`Kind.embedding`), some savers write both all the same.
HEAD = "lm_head.weight"
PLAIN_DTYPES = ("F32", "BF16", "F16", "F64")
_LFS = b"version https://git-lfs"
_ROWS = 8192  # of the embedding, compared at a time


class Unreadable(Exception):
    """A safetensors file that is not whole; the text says why, and what to do."""


def read_header(path: Path) -> dict[str, dict[str, Any]]:
    """Per tensor of a safetensors file its `dtype` and `shape`.

    Raises:
        Unreadable: If the header is not there, or the file is shorter or longer than it says.
    """
    again = "Copy the model again, whole"
    if not path.is_file():
        raise Unreadable(f"is not there. {again}")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if (start + file.read(len(_LFS) - 8)) == _LFS:
            raise Unreadable("is Git LFS's note of a file that was not fetched. Run `git lfs pull` where the model was cloned")
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > size - 8:
            raise Unreadable(f"is no safetensors file, or cut short: it has {size} bytes. {again}")
        file.seek(8)
        try:
            header: dict[str, dict[str, Any]] = json.loads(file.read(length))
        except ValueError as error:
            raise Unreadable(f"is no safetensors file: its header is not readable. {again}") from error
    header.pop("__metadata__", None)
    end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if end != size:
        raise Unreadable(f"has {size} bytes, and its header says {end}. {again}")
    return header


def numbers_in_files(folder: Path) -> int:
    """How many numbers the safetensors files of a model hold, by their headers.

    Raises:
        UserError: If one is not whole.
    """
    count = 0
    for name in weight_files(folder):
        try:
            header = read_header(folder / name)
        except Unreadable as problem:
            raise UserError(f"{folder / name}: {problem}.") from problem
        count += sum(math.prod(entry["shape"]) for entry in header.values())
    return count


def check_tied(folder: Path, config: "ModelConfig") -> None:
    """Where the output layer is the embedding and the files have both, the two are equal.

    Raises:
        UserError: If they are not: one of them would be left out without a word.
    """
    if not config.is_tied:
        return
    from safetensors import safe_open

    embedding = config.kind.embedding
    places: dict[str, Path] = {}
    for path in (folder / name for name in weight_files(folder)):
        with safe_open(path, framework="pt") as file:
            places |= {name: path for name in (embedding, HEAD) if name in file.keys()}  # noqa: SIM118
    if len(places) < 2:
        return
    with safe_open(places[embedding], framework="pt") as one, safe_open(places[HEAD], framework="pt") as other:
        is_same = _are_equal(one.get_slice(embedding), other.get_slice(HEAD))
    if not is_same:
        raise UserError(
            f"{folder}: {HEAD} differs from {embedding}, and config.json says that they are one (tie_word_embeddings: true). "
            "If the model has an output layer of its own, set that to false; else take out lm_head.weight."
        )


def _are_equal(one: Any, other: Any) -> bool:
    """Two slices of files, compared by and by, in whatever precisions."""
    if one.get_shape() != other.get_shape():
        return False
    rows = one.get_shape()[0]
    return all(_is_equal(one[start : start + _ROWS], other[start : start + _ROWS]) for start in range(0, rows, _ROWS))


def _is_equal(one: "torch.Tensor", other: "torch.Tensor") -> bool:
    return bool((one.double() == other.double()).all())
