"""Contents of config.json for small models of each model_type, in the keys of either generation of transformers."""

from typing import Any

SCALED = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_FACTORS = [1.0, 1.118320672, 1.25, 1.4, 3.0, 30.0]
LONGROPE = {"type": "longrope", "short_factor": [1.0] * 5 + [1.25], "long_factor": _FACTORS}
_SIZES = {
    "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
}
_OF_KIND: dict[str, dict[str, Any]] = {
    "llama": {"hidden_act": "silu"}, "mistral": {"hidden_act": "silu"}, "qwen2": {"hidden_act": "silu"},
    "phi3": {"hidden_act": "silu"}, "gemma": {"head_dim": 32, "hidden_act": "gelu_pytorch_tanh"},
    "gemma2": {"head_dim": 32, "hidden_activation": "gelu_pytorch_tanh"}, "qwen3": {"head_dim": 32, "hidden_act": "silu"},
    "gemma3_text": {"head_dim": 32, "hidden_activation": "gelu_pytorch_tanh", "rope_local_base_freq": 10000.0},
    "olmo2": {"hidden_act": "silu"}, "smollm3": {"hidden_act": "silu"}, "granite": {"hidden_act": "silu"},
}
_GPT2 = {"vocab_size": 100, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 4096, "layer_norm_epsilon": 1e-5}
_SAID_BY_ALL = {"initializer_range": 0.02, "transformers_version": "4.51.0", "use_cache": True}
_SAID = {"attention_bias": False, "attention_dropout": 0.0, "torch_dtype": "bfloat16", "rope_scaling": None, **_SAID_BY_ALL}
# What the config.json of these models say, as they are published, but for sizes, which are small, and ids of tokens.
PUBLISHED: dict[str, dict[str, Any]] = {
    "Qwen3-0.6B": {
        "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], **_SAID, **_SIZES, "head_dim": 32, "hidden_act": "silu",
        "max_window_layers": 28, "rms_norm_eps": 1e-06, "rope_theta": 1000000, "sliding_window": None,
        "tie_word_embeddings": True, "use_sliding_window": False,
    },
    "gemma-3-1b-it": {
        "model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], **_SAID, **_SIZES, "num_hidden_layers": 6,
        "attn_logit_softcapping": None, "cache_implementation": "hybrid", "final_logit_softcapping": None, "head_dim": 32,
        "hidden_activation": "gelu_pytorch_tanh", "num_key_value_heads": 1, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-06,
        "rope_local_base_freq": 10000, "rope_theta": 1000000, "sliding_window": 64, "sliding_window_pattern": 6,
        "eos_token_id": [1, 6],
    },
    "gemma-3-4b-it, its text": {
        "model_type": "gemma3_text", **_SIZES, "num_hidden_layers": 7, "head_dim": 32, "sliding_window": 64,
        "rope_theta": 1000000, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    },
    "OLMo-2-0425-1B": {
        "model_type": "olmo2", "architectures": ["Olmo2ForCausalLM"], **_SAID, **_SIZES, "hidden_act": "silu",
        "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_theta": 500000, "tie_word_embeddings": False,
        "torch_dtype": "float32",
    },
    "SmolLM3-3B": {
        "model_type": "smollm3", "architectures": ["SmolLM3ForCausalLM"], **_SAID, **_SIZES, "hidden_act": "silu",
        "num_hidden_layers": 4, "layer_types": ["full_attention"] * 4, "max_window_layers": 28, "mlp_bias": False,
        "no_rope_layer_interval": 4, "no_rope_layers": [1, 1, 1, 0], "pad_token_id": 4, "pretraining_tp": 2,
        "rms_norm_eps": 1e-06, "rope_theta": 5000000.0, "sliding_window": None, "use_sliding_window": False,
    },
    "Phi-4-mini-instruct": {
        "model_type": "phi3", "architectures": ["Phi3ForCausalLM"], **_SAID, **_SIZES, "hidden_act": "silu",
        "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM",
                     "AutoTokenizer": "Xenova/gpt-4o"},
        "embd_pdrop": 0.0, "full_attn_mod": 1, "interpolate_factor": 1, "lm_head_bias": False, "mlp_bias": False,
        "max_position_embeddings": 131072, "original_max_position_embeddings": 4096, "partial_rotary_factor": 0.75,
        "pad_token_id": 99, "resid_pdrop": 0.0, "rope_scaling": LONGROPE, "rope_theta": 10000.0, "sliding_window": 262144,
        "tie_word_embeddings": True,
    },
    "granite-3.3-2b-instruct": {
        "model_type": "granite", "architectures": ["GraniteForCausalLM"], **_SAID, **_SIZES, "hidden_act": "silu",
        "attention_multiplier": 0.015625, "embedding_multiplier": 12.0, "logits_scaling": 8.0, "mlp_bias": False,
        "residual_multiplier": 0.22, "rope_theta": 10000000.0, "tie_word_embeddings": True,
    },
    "gpt2": {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], **_GPT2, "activation_function": "gelu_new",
        "attn_pdrop": 0.1, "embd_pdrop": 0.1, "initializer_range": 0.02, "n_ctx": 1024, "resid_pdrop": 0.1,
        "summary_activation": None, "summary_first_dropout": 0.1, "summary_proj_to_labels": True, "summary_type": "cls_index",
        "summary_use_proj": True, "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    },
}


def config_of(kind: str) -> dict[str, Any]:
    """A small model's config.json, in the keys of transformers 4."""
    return {"model_type": kind, **(_GPT2 if kind == "gpt2" else {**_SIZES, **_OF_KIND[kind]})}


def in_keys_of_5(content: dict[str, Any]) -> dict[str, Any]:
    """The same in the keys that transformers 5 writes."""
    older = ("rope_theta", "rope_scaling", "rope_local_base_freq", "torch_dtype")
    said = {key: value for key, value in content.items() if key not in older}
    said |= {"dtype": content["torch_dtype"]} if "torch_dtype" in content else {}
    kind = content["model_type"]
    if kind == "gpt2":
        return said
    rope = {"rope_type": "default", **(content.get("rope_scaling") or {}), "rope_theta": content.get("rope_theta", 10000.0)}
    rope |= {"rope_type": rope["type"]} if "type" in rope else {}
    if kind == "phi3":
        own = ("partial_rotary_factor", "original_max_position_embeddings")
        rope |= {key: content[key] for key in own if key in content}
    if kind == "gemma3_text":
        local = {"rope_type": "default", "rope_theta": content.get("rope_local_base_freq", 10000.0)}
        rope = {"full_attention": rope, "sliding_attention": local}
    return {**said, "rope_parameters": rope}
