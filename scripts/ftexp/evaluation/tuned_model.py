"""The model as it was trained: base weights and, for a trained run, its checkpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedModel

from ftexp.evaluation.sampling import DrawnToken, Sampling
from ftexp.ground.cores import take_own_threads
from ftexp.ground.errors import UserError
from ftexp.ground.own_job import own_job
from ftexp.ground.torch_device import usable_device
from ftexp.models import generation
from ftexp.models.chat import Chat
from ftexp.models.generation import Answer
from ftexp.models.loading import Classifier, load_classifier, load_transformers_model

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def chosen_device() -> str:
    """The device that site.yaml asks for by way of the job script, else a GPU where one was given.

    Raises:
        UserError: If it cannot be used.
    """
    return usable_device(own_job().device)


def load_model(
    base_dir: Path, checkpoint_dir: Path | None, dtype: str, device: str, *, quantize_base: bool = False,
    classifier: Classifier | None = None,
) -> PreTrainedModel:
    """Load base weights and checkpoint in the precision of training.

    Args:
        base_dir: The base model's folder.
        checkpoint_dir: A PEFT adapter, or whole weights in Hugging Face layout; None for the base itself.
        quantize_base: Whether the base was quantised in training; the checkpoint is an adapter then.
        classifier: What it chooses from, where it writes no text.

    Raises:
        UserError: If the checkpoint is not there.
    """
    if checkpoint_dir is not None and not checkpoint_dir.is_dir():
        raise UserError(f"{checkpoint_dir}: there is no checkpoint. Train the run first: `make submit`.")
    take_own_threads()
    is_adapter = checkpoint_dir is not None and (checkpoint_dir / "adapter_config.json").is_file()
    weights_dir = base_dir if checkpoint_dir is None or is_adapter else checkpoint_dir
    # Any: a PeftModel passes everything on to the model inside it, which its type does not say.
    model: Any
    if classifier:
        model = load_classifier(base_dir, weights_dir, DTYPES[dtype], classifier)
    else:
        model = load_transformers_model(weights_dir, DTYPES[dtype])
    if quantize_base:
        from ftexp.trainers.choice import quantize_matrices

        quantize_matrices(model, base_dir, DTYPES[dtype], device)
    if is_adapter:
        from peft import PeftModel

        assert checkpoint_dir is not None
        model = PeftModel.from_pretrained(model, checkpoint_dir, autocast_adapter_dtype=False)
    model.to(device)
    model.eval()
    return cast(PreTrainedModel, model)


def generate(
    model: PreTrainedModel, chat: Chat, prompts: list[list[int]], max_tokens: int,
    *, sampling: Sampling | None = None, streams: Sequence[int] = (),
) -> list[Answer]:
    """Answers to a batch of prompts, greedy ones unless `sampling` says how to draw.

    Args:
        prompts: Token ids, one list per prompt.
        max_tokens: Most tokens that are generated per prompt.
        streams: Where tokens are drawn, per prompt the seed of its random numbers.
    """
    width = max(map(len, prompts))
    drawn = [DrawnToken(sampling, streams, prompt_width=width, max_tokens=max_tokens)] if sampling else []
    return generation.generate(model, chat, prompts, max_tokens, drawn)
