"""The model of a config: the base as transformers loads it, in the training's precision, with an adapter where it has one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ftexp.models.config_json import read_model_config
from ftexp.models.loading import Classifier, load_classifier, load_transformers_model
from ftexp.trainers.lora_start import initial_head
from ftexp.trainers.prompted_rows import chat_of
from ftexp.trainers.transformers.adapter import with_adapter

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def build_model(config: Mapping[str, Any], dtype: torch.dtype) -> Any:
    """The model that a config trains, on the CPU.

    Args:
        config: The content of a finetune.yaml.
    """
    section = config["model"]
    folder = Path(section["path"])
    if "labels" in section:
        pad_id = chat_of(config["tokenizer"]).pad_id
        model: Any = load_classifier(folder, folder, dtype, Classifier(tuple(section["labels"]), pad_id))
        shape, std = model.score.weight.shape, model.config.initializer_range
        model.score.weight.data.copy_(initial_head(config["seed"], shape[0], shape[1], std))
    else:
        model = load_transformers_model(folder, dtype)
    model.config.use_cache = False
    if "lora_rank" not in section:
        return model.train()
    return with_adapter(model, read_model_config(folder), section, config["seed"])


def base_logits(config: Mapping[str, Any], rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Per row of tokens its logits [length, vocabulary], in fp32 on the CPU, as a training begins; of a classifier its base's."""
    section = {key: value for key, value in config["model"].items() if key not in ("head", "labels")}
    model = build_model({**config, "model": section}, torch.float32).eval()
    with torch.inference_mode():
        return [model(input_ids=torch.tensor([list(row)])).logits[0] for row in rows]
