"""The folder of a base model in Hugging Face layout: its shape, its size and its weights."""

import json
from pathlib import Path
from typing import Any

from ftexp.ground import paths
from ftexp.ground.errors import UserError, suggestion
from ftexp.ground.filesystem import read_json

_SMALL_FILE_SUFFIXES = (".json", ".model", ".txt", ".jinja")


def read_model_config(model_dir: Path) -> dict[str, Any]:
    """config.json of a model folder in Hugging Face layout.

    Raises:
        UserError: If the folder or the file is not there or not readable.
    """
    if not model_dir.is_dir():
        have = sorted(p.name for p in paths.MODELS_LINK.iterdir()) if paths.MODELS_LINK.is_dir() else []
        cure = suggestion(model_dir.name, have) if have else "Run `make setup`, and check `models` in site.yaml."
        raise UserError(f"experiment.yaml: model: there is no folder {model_dir}. {cure}")
    path = model_dir / "config.json"
    if not path.is_file():
        raise UserError(f"{path}: is missing. A model folder needs config.json, tokenizer files and safetensors files.")
    return read_model_json(path)


def read_model_json(path: Path) -> dict[str, Any]:
    """A JSON file of a model's folder.

    Raises:
        UserError: If it is cut short, or no mapping.
    """
    try:
        content = read_json(path)
    except (ValueError, RecursionError) as error:
        why = f"line {error.lineno}: not readable as JSON: {error.msg}" if isinstance(error, json.JSONDecodeError) else (
            "not readable as JSON in UTF-8")
        raise UserError(f"{path}: {why}. Copy the model again, whole.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold a mapping, got a {type(content).__name__}. Copy the model again, whole.")
    return content


def weight_files(model_dir: Path) -> list[str]:
    """The safetensors files of a model folder, all of them there.

    Raises:
        UserError: If there are none, or a shard of the index is missing.
    """
    index = model_dir / "model.safetensors.index.json"
    if index.is_file():
        held = read_model_json(index).get("weight_map")
        if not isinstance(held, dict) or not held or not all(isinstance(name, str) for name in held.values()):
            raise UserError(f"{index}: weight_map: must name the file of each tensor. Copy the model again, whole.")
        names = sorted(set(held.values()))
        missing = [name for name in names if not (model_dir / name).is_file()]
        if missing:
            raise UserError(f"{index}: names files that are not there: {', '.join(missing)}. Copy the model again, whole.")
        return names
    if (model_dir / "model.safetensors").is_file():
        return ["model.safetensors"]
    raise UserError(f"{model_dir}: has neither model.safetensors nor model.safetensors.index.json. Copy the model again, whole.")


def small_files(model_dir: Path) -> list[Path]:
    """The files of a model folder besides its weights that loading it can read: shape, tokenizer, template, index."""
    return [path for path in sorted(model_dir.iterdir()) if path.suffix in _SMALL_FILE_SUFFIXES and path.is_file()]


def attention_widths(shape: dict[str, Any]) -> tuple[int, int]:
    """Outputs of a layer's q, and of its k and v, by config.json."""
    heads = shape["num_attention_heads"]
    head_dim = shape.get("head_dim") or shape["hidden_size"] // heads
    return heads * head_dim, shape.get("num_key_value_heads", heads) * head_dim


def parameter_count(shape: dict[str, Any]) -> int:
    """Parameters of a model of a supported family, biases and norms left out (under 0.1 %)."""
    dim, layers = shape["hidden_size"], shape["num_hidden_layers"]
    q_dim, kv_dim = attention_widths(shape)
    per_layer = 2 * dim * q_dim + 2 * dim * kv_dim + 3 * dim * shape["intermediate_size"]
    is_tied = shape.get("tie_word_embeddings", str(shape.get("model_type", "")).startswith("gemma"))
    embeddings = shape["vocab_size"] * dim * (1 if is_tied else 2)
    return int(layers * per_layer + embeddings)


def model_parameters(model: str) -> int:
    """Parameters of a base model, by its name in models/."""
    return parameter_count(read_model_config(paths.model_dir(model)))
