"""The model of a config: the base as transformers loads it, in the training's precision, with an adapter where it has one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ftexp.models.config_json import read_model_config
from ftexp.models.loading import load_transformers_model
from ftexp.trainers.transformers.adapter import with_adapter

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def build_model(config: Mapping[str, Any], dtype: torch.dtype) -> Any:
    """The model that a config trains, on the CPU.

    Args:
        config: The content of a finetune.yaml.
    """
    section = config["model"]
    folder = Path(section["path"])
    model: Any = load_transformers_model(folder, dtype)
    model.config.use_cache = False
    if "lora_rank" not in section:
        return model.train()
    return with_adapter(model, read_model_config(folder), section, config["seed"])


def base_logits(config: Mapping[str, Any], rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Per row of tokens its logits [length, vocabulary], in fp32 on the CPU, as a training begins."""
    model = build_model(config, torch.float32).eval()
    with torch.inference_mode():
        return [model(input_ids=torch.tensor([list(row)])).logits[0] for row in rows]
