"""Embeddings of texts by a folder in models/, on the CPU: the mean of the last layer over the tokens.

They are what sentence-transformers (5.7) makes of a folder that says so in its own files; one that says otherwise is refused.
"""

import functools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import read_json
from ftexp.scoring.verdicts import mistake

FloatArray = npt.NDArray[np.float64]
DTYPE = torch.float32
BATCH_SIZE = 32
# After the mean: a length of 1, which changes no cosine.
_MODULES = ("Transformer", "Pooling", "Normalize")
_CURE = "Name an embedding model whose embedding is the mean over the tokens."


class Embedder:
    """One embedding model."""

    def __init__(self, folder: Path) -> None:
        """Load it from its folder, in the layout of sentence-transformers or of transformers alone.

        Raises:
            UserError: If the folder is none of these, or says that its embedding is another than a mean over the tokens.
        """
        from transformers import AutoModel, AutoTokenizer

        weights = _checked(folder)
        says = next(iter(sorted(weights.glob("sentence_*_config.json"))), None)
        settings = read_json(says) if says else {}
        self._is_lower = bool(settings.get("do_lower_case"))
        self._tokenizer: Any = AutoTokenizer.from_pretrained(weights, local_files_only=True)
        self._model: Any = AutoModel.from_pretrained(weights, local_files_only=True, dtype=DTYPE).eval()
        limit = getattr(self._model.config, "max_position_embeddings", None) or self._tokenizer.model_max_length
        self._most_tokens: int = settings.get("max_seq_length") or min(self._tokenizer.model_max_length, limit)

    def embed(self, texts: Iterable[str]) -> dict[str, FloatArray | None]:
        """Per text (width,) its embedding, of length 1; None where the tokenizer gives no token.

        Texts of like length are computed together.
        """
        ids = {text: self._ids(text) for text in texts}
        embeddings: dict[str, FloatArray | None] = dict.fromkeys(ids)
        waiting = sorted((text for text in ids if ids[text]), key=lambda text: (len(ids[text]), text))
        for start in range(0, len(waiting), BATCH_SIZE):
            batch = waiting[start : start + BATCH_SIZE]
            embeddings.update(zip(batch, self._means([ids[text] for text in batch]), strict=True))
        return embeddings

    def _ids(self, text: str) -> list[int]:
        text = text.lower() if self._is_lower else text
        return list(self._tokenizer(text, truncation=True, max_length=self._most_tokens)["input_ids"])

    def _means(self, ids: list[list[int]]) -> FloatArray:
        """(batch, width) means over the tokens, divided by their lengths."""
        width, filling = max(map(len, ids)), self._tokenizer.pad_token_id or 0
        inputs = torch.tensor([row + [filling] * (width - len(row)) for row in ids])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
        with torch.inference_mode():
            hidden = self._model(input_ids=inputs, attention_mask=mask).last_hidden_state
            counted = mask.unsqueeze(-1).to(hidden.dtype)
            means = ((hidden * counted).sum(dim=1) / counted.sum(dim=1)).double().numpy()
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))


@functools.lru_cache(maxsize=1)
def embedder_of(folder: str) -> Embedder:
    """The model of a folder; the last one is kept."""
    return Embedder(Path(folder))


def _checked(folder: Path) -> Path:
    """The folder of the weights in it."""
    name = Path(os.path.relpath(folder))
    modules = {_kind(module): module for module in _json(folder / "modules.json", [])}
    for kind in modules:
        if kind not in _MODULES:
            raise UserError(f"{name}/modules.json: must hold Transformer, Pooling and Normalize only, got {kind}. {_CURE}")
    if modules and not {"Transformer", "Pooling"} <= modules.keys():
        raise UserError(f"{name}/modules.json: must hold Transformer and Pooling, got {', '.join(modules)}. {_CURE}")
    weights: Path = folder / modules.get("Transformer", {}).get("path", "")
    if not (weights / "config.json").is_file():
        raise mistake(
            f"semscore: model must be a folder in {paths.MODELS_LINK}/ with an embedding model, got {folder.name}",
            "Put it there, or name another.",
        )
    pooling = Path(modules.get("Pooling", {}).get("path", "1_Pooling")) / "config.json"
    how = _pooling(_json(folder / pooling, {}))
    if how != ["mean"]:
        raise UserError(f"{name / pooling}: pooling_mode: must be mean, got {', '.join(how)}. {_CURE}")
    prompt = _json(folder / "config_sentence_transformers.json", {}).get("default_prompt_name")
    if prompt:
        raise UserError(
            f"{name}/config_sentence_transformers.json: default_prompt_name: must be none, got {prompt}."
            " Name another embedding model."
        )
    return weights


def _kind(module: dict[str, str]) -> str:
    return module["type"].rpartition(".")[2]


def _pooling(settings: dict[str, Any]) -> list[str]:
    """What the pooling's own file asks for, in its newer form or the older; mean where it says nothing."""
    if "pooling_mode" in settings:
        mode = settings["pooling_mode"]
        return [mode] if isinstance(mode, str) else list(mode)
    asked = [key.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token") for key, is_on in settings.items()
             if key.startswith("pooling_mode_") and is_on is True]
    return asked or ["mean"]


def _json(path: Path, otherwise: Any) -> Any:
    return read_json(path) if path.is_file() else otherwise
