"""Sizes of a model of a kind that is not tested, by the names that the models of the library usually have for them."""

from collections.abc import Mapping
from typing import Any

from ftexp.ground.errors import Findings

# Per size what it is called, the usual name first. A width of the MLP that is not said is four times the model's, as GPT-2's.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "vocab_size": ("vocab_size", "padded_vocab_size"),
    "hidden_size": ("hidden_size", "n_embd", "d_model", "dim", "n_embed"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "max_position_embeddings": (
        "max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length", "n_ctx",
    ),
    "intermediate_size": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff", "d_inner"),
    "num_key_value_heads": ("num_key_value_heads", "num_kv_heads", "n_kv_heads", "n_head_kv"),
    "head_dim": ("head_dim", "d_kv"),
}
_FOLLOW = ("intermediate_size", "num_key_value_heads", "head_dim")
_MOST = 2**31 - 1


def usual_sizes(content: Mapping[str, Any], found: Findings) -> dict[str, int]:
    """Sizes by their usual names, those that follow from others in place.

    Args:
        content: config.json.
        found: Gets what is wrong: a size that is not there, or no size.
    """
    said: dict[str, int] = {}
    for name, names in _NAMES.items():
        key = next((one for one in names if content.get(one) is not None), names[0])
        value = content.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST:
            said[name] = value
        elif value is not None or name not in _FOLLOW:
            got = "nothing" if value is None else repr(value)
            cure = "Choose a model whose config.json says its sizes by usual names."
            found.add(key, f"must be a whole number from 1 to {_MOST}, got {got}", cure)
            said[name] = 1
    said.setdefault("intermediate_size", 4 * said["hidden_size"])
    said.setdefault("num_key_value_heads", said["num_attention_heads"])
    said.setdefault("head_dim", said["hidden_size"] // said["num_attention_heads"] or 1)
    return said
