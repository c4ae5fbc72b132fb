"""A model that is tested by the keys of transformers 4.57, nothing left to a default."""

from typing import Any

from ftexp.models.config_json import ModelConfig
from ftexp.models.kinds import AS_SAID, GELU, SCALINGS

_GELU_KEYS = ("hidden_act", "hidden_activation")


def for_transformers(config: ModelConfig) -> dict[str, Any]:
    """All that shapes the model, by the keys of its class."""
    assert not config.untested, config.untested
    kind = config.kind
    said: dict[str, Any] = {
        "vocab_size": config.vocab_size, "hidden_size": config.hidden_size, "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers, "num_attention_heads": config.heads, "num_key_value_heads": config.key_value_heads,
        "max_position_embeddings": config.positions, "rms_norm_eps": config.norm_eps, "rope_theta": config.rope.theta,
        "tie_word_embeddings": config.is_tied, "architectures": [kind.of_model], "bos_token_id": config.bos,
        "eos_token_id": _one_or_list(config.ends), "pad_token_id": config.pad, "dtype": config.dtype,
    }
    said = {kind.key(name): value for name, value in said.items() if kind.key(name)}
    said |= {key: config.activation for key in (kind.activation_key, *(_GELU_KEYS if kind.activations == (GELU,) else ()))}
    has_own_width = config.head_dim != config.hidden_size // config.heads
    said |= {"head_dim": config.head_dim} if kind.has_head_dim or has_own_width else {}
    said |= {"sliding_window": config.window} if kind.has_window else {}
    said |= {"layer_types": list(config.layer_types)} if kind.layers == AS_SAID else {}
    said |= {"no_rope_layers": list(config.rope_layers)} if kind.has_rope_layers else {}
    said |= dict.fromkeys(kind.dropouts, 0.0) | {key: allowed[0] for key, allowed in kind.fixed.items()}
    return {**said, **_rope(config), **config.numbers}


def _rope(config: ModelConfig) -> dict[str, Any]:
    """RoPE beside its base; Phi-3's class and OLMo 2's know the scaling's type by its older name only."""
    kind, rope = config.kind, config.rope
    said: dict[str, Any] = {"rope_local_base_freq": rope.local_theta} if kind.local_theta else {}
    if kind.has_partial_rope:
        said |= {"partial_rotary_factor": rope.share, "original_max_position_embeddings": rope.trained}
    if not rope.scaling:
        return said
    scaling = {name: value for name, value in rope.scaling.items() if name != "rope_type"}
    name = "rope_type" if kind.scalings == SCALINGS else "type"
    return {**said, "rope_scaling": {name: rope.scaling["rope_type"], **scaling}}


def _one_or_list(ids: tuple[int, ...]) -> int | list[int] | None:
    return None if not ids else ids[0] if len(ids) == 1 else list(ids)
