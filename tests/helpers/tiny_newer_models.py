"""Minute random models of the kinds that torchtune has not: special keys and values as published, sizes small."""

from typing import Any

import transformers
from transformers import PreTrainedModel

from helpers.config_files import PUBLISHED

# By the kind's short name: the model as published, the library's class of config, and what has to be other in so small a model.
NEWER: dict[str, tuple[str, str, dict[str, Any]]] = {
    "qwen3": ("Qwen3-0.6B", "Qwen3Config", {"head_dim": 32}),
    "gemma3": ("gemma-3-1b-it", "Gemma3TextConfig", {
        "num_hidden_layers": 3, "sliding_window_pattern": 3, "head_dim": 32, "query_pre_attn_scalar": 16}),
    "olmo2": ("OLMo-2-0425-1B", "Olmo2Config", {}),
    "smollm3": ("SmolLM3-3B", "SmolLM3Config", {
        "num_hidden_layers": 3, "layer_types": ["full_attention"] * 3, "no_rope_layers": [1, 1, 0], "no_rope_layer_interval": 3}),
    "phi4_mini": ("Phi-4-mini-instruct", "Phi3Config", {}),
    "granite": ("granite-3.3-2b-instruct", "GraniteConfig", {}),
    "gpt2": ("gpt2", "GPT2Config", {"n_positions": 1024}),
}
# Of the shape of a tiny model, what a published file says itself; of GPT-2's, what its class calls otherwise.
_OWN = ("max_position_embeddings", "tie_word_embeddings")
_OF_GPT2 = {
    "hidden_size": "n_embd", "intermediate_size": "n_inner", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head",
}
_OF_FILES = ("model_type", "architectures", "auto_map", "torch_dtype", "transformers_version")


def newer_model(family: str, shape: dict[str, Any]) -> PreTrainedModel:
    """A random model of a kind of NEWER.

    Args:
        shape: Sizes and tokens, by the usual keys.
    """
    published, of_config, special = NEWER[family]
    said = {key: value for key, value in PUBLISHED[published].items() if key not in _OF_FILES}
    sizes = {key: value for key, value in shape.items() if key not in _OWN}
    if family == "gpt2":
        sizes = {_OF_GPT2.get(key, key): value for key, value in sizes.items() if key != "num_key_value_heads"}
    if family == "phi4_mini":
        special = {"rope_scaling": _longrope(shape["hidden_size"] // shape["num_attention_heads"])}
    config = getattr(transformers, of_config)(**{**said, **sizes, **special})
    made: PreTrainedModel = transformers.AutoModelForCausalLM.from_config(config)
    return made


def _longrope(head_dim: int) -> dict[str, Any]:
    """Longrope for heads of which three quarters are turned: a number for each pair of dimensions."""
    pairs = head_dim * 3 // 8
    return {"type": "longrope", "short_factor": [1.0 + pair / 40 for pair in range(pairs)],
            "long_factor": [1.0 + pair * pair / 4 for pair in range(pairs)]}
