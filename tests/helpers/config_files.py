"""Contents of config.json for small models of each model_type, in the keys of either generation of transformers."""

from typing import Any

SCALED = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_SIZES = {
    "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
}
_OF_KIND: dict[str, dict[str, Any]] = {
    "llama": {"hidden_act": "silu"}, "mistral": {"hidden_act": "silu"}, "qwen2": {"hidden_act": "silu"},
    "phi3": {"hidden_act": "silu"}, "gemma": {"head_dim": 32, "hidden_act": "gelu_pytorch_tanh"},
    "gemma2": {"head_dim": 32, "hidden_activation": "gelu_pytorch_tanh"},
}


def config_of(kind: str) -> dict[str, Any]:
    """A small model's config.json, in the keys of transformers 4."""
    return {"model_type": kind, **_SIZES, **_OF_KIND[kind]}


def in_keys_of_5(content: dict[str, Any]) -> dict[str, Any]:
    """The same in the keys that transformers 5 writes."""
    said = {key: value for key, value in content.items() if key not in ("rope_theta", "rope_scaling", "torch_dtype")}
    rope = {"rope_type": "default", **(content.get("rope_scaling") or {}), "rope_theta": content.get("rope_theta", 10000.0)}
    dtype = {"dtype": content["torch_dtype"]} if "torch_dtype" in content else {}
    return {**said, **dtype, "rope_parameters": rope}
