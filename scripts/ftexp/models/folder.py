"""The files in the folder of a base model in Hugging Face layout: JSON, weights, and what must not lie beside them."""

import json
from pathlib import Path
from typing import Any

from ftexp.ground.errors import UserError

_SMALL_FILE_SUFFIXES = (".json", ".model", ".txt", ".jinja")
WEIGHTS, INDEX, ADAPTER = "model.safetensors", "model.safetensors.index.json", "adapter_config.json"
# Weights in forms that are not read here.
_OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.gguf", "*.ckpt", "*.safetensors", "*.h5", "*.msgpack")


def check_alone(model_dir: Path) -> None:
    """Nothing lies beside the weights that a library would load with them, unasked.

    Raises:
        UserError: If an adapter does, or weights twice.
    """
    if (model_dir / ADAPTER).is_file():
        raise UserError(
            f"{model_dir / ADAPTER}: is an adapter beside the weights: transformers loads both, so that the base would be a "
            "tuned model. Move adapter_config.json and the adapter's weights out of the folder."
        )
    if (model_dir / WEIGHTS).is_file() and (model_dir / INDEX).is_file() and _indexed(model_dir) != [WEIGHTS]:
        raise UserError(
            f"{model_dir / INDEX}: names {', '.join(_indexed(model_dir)[:2])}, ... and {WEIGHTS} is there too; which of them a "
            f"program loads, it decides for itself. Keep {WEIGHTS}, or the index and its files."
        )


def read_model_json(path: Path) -> dict[str, Any]:
    """A JSON file of a model's folder.

    Raises:
        UserError: If it is cut short, no mapping, or says a key twice.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=lambda pairs: _once(pairs, path))
    except (ValueError, RecursionError) as error:
        why = f"line {error.lineno}: not readable as JSON: {error.msg}" if isinstance(error, json.JSONDecodeError) else (
            "not readable as JSON in UTF-8")
        raise UserError(f"{path}: {why}. Copy the model again, whole.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold a mapping, got a {type(content).__name__}. Copy the model again, whole.")
    return content


def _once(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key in found if sum(key == other for other, _ in pairs) > 1)
        raise UserError(f"{path}: {twice}: is there twice in one mapping. Keep the right one.")
    return found


def weight_files(model_dir: Path) -> list[str]:
    """The safetensors files of a model folder, all of them there.

    Raises:
        UserError: If there are none, or a shard of the index is missing.
    """
    if (model_dir / INDEX).is_file():
        names = _indexed(model_dir)
        missing = [name for name in names if not (model_dir / name).is_file()]
        if missing:
            what = f"names files that are not there: {', '.join(missing)}"
            raise UserError(f"{model_dir / INDEX}: {what}. Copy the model again, whole.")
        return names
    if (model_dir / WEIGHTS).is_file():
        return [WEIGHTS]
    others = sorted({path.name for pattern in _OTHER_WEIGHTS for path in model_dir.glob(pattern)})
    if others:
        raise UserError(
            f"{model_dir}: has neither {WEIGHTS} nor {INDEX}, and {', '.join(others[:3])} in another form is not read here. "
            "Load it by transformers and write it by save_pretrained, or take the model's safetensors files."
        )
    raise UserError(f"{model_dir}: has neither {WEIGHTS} nor {INDEX}. Copy the model again, whole.")


def _indexed(model_dir: Path) -> list[str]:
    """The files that the index names.

    Raises:
        UserError: If it names none, or one outside of the folder.
    """
    index = model_dir / INDEX
    held = read_model_json(index).get("weight_map")
    if not isinstance(held, dict) or not held or not all(isinstance(name, str) for name in held.values()):
        raise UserError(f"{index}: weight_map: must name the file of each tensor. Copy the model again, whole.")
    names = sorted(set(held.values()))
    outside = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
    if outside:
        raise UserError(f"{index}: weight_map: must name safetensors files of this folder, got {outside[0]!r}. Correct it.")
    return names


def small_files(model_dir: Path) -> list[Path]:
    """The files of a model folder besides its weights that loading it can read: shape, tokenizer, template, index."""
    return [path for path in sorted(model_dir.iterdir()) if path.suffix in _SMALL_FILE_SUFFIXES and path.is_file()]
