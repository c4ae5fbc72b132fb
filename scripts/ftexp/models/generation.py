"""Text that a model generates: greedy, in batches, by a configuration of generation that is whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from ftexp.models.chat import Chat


@dataclass(frozen=True)
class Answer:
    """Generated text of one prompt.

    Attributes:
        is_stopped: Whether the model stopped by itself, rather than at the limit of tokens.
    """

    text: str
    token_count: int
    is_stopped: bool


def generate(
    model: PreTrainedModel, chat: Chat, prompts: Sequence[list[int]], max_tokens: int, processors: Sequence[LogitsProcessor] = (),
) -> list[Answer]:
    """Answers to a batch of prompts, the most probable token each time.

    Args:
        prompts: Token ids, one list per prompt; shorter ones are filled up on the left and masked.
        max_tokens: Most tokens that are generated per prompt.
        processors: What changes the logits before.
    """
    width = max(map(len, prompts))
    ids = torch.tensor([[chat.pad_id] * (width - len(p)) + p for p in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    generator: Any = model  # Any: `generate` comes from a mixin of the causal models, which PreTrainedModel does not name
    with torch.inference_mode():
        output = generator.generate(
            input_ids=ids, attention_mask=mask, generation_config=_greedy(chat, max_tokens), use_model_defaults=False,
            logits_processor=LogitsProcessorList(processors),
        )
    return [_answer(chat, row) for row in output[:, width:].tolist()]


def _greedy(chat: Chat, max_tokens: int) -> GenerationConfig:
    """A whole configuration; with `use_model_defaults` off nothing of the model's own (a repetition penalty, say) slips in."""
    return GenerationConfig(
        do_sample=False, num_beams=1, max_new_tokens=max_tokens, eos_token_id=sorted(chat.stop_ids), pad_token_id=chat.pad_id
    )


def _answer(chat: Chat, ids: list[int]) -> Answer:
    end = next((position for position, token in enumerate(ids) if token in chat.stop_ids), None)
    kept: list[Any] = ids if end is None else ids[:end]
    return Answer(chat.decode(kept), len(kept) + (end is not None), end is not None)
