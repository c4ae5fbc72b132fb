"""Families of models: which one a config.json describes, and the arguments of its builder in torchtune.

A model is known by the shape that its config.json gives, never by its name: a renamed folder, a new fine-tune of a known shape or
a size that nobody listed is as good as the original. Nothing is read or written.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftexp.ground.errors import UserError

Shape = dict[str, Any]
# Constants inside torchtune's Llama3ScaledRoPE.
_LLAMA3_ROPE = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
_GELU = "gelu_pytorch_tanh"


@dataclass(frozen=True)
class Family:
    """One family of builders, `<family>` and `lora_<family>`.

    Attributes:
        builders: The module that holds them.
        model_type: What torchtune's checkpointer calls its weights.
        has_lora_output: Whether the builder has LoRA for the output layer.
        builders_for_nf4: The module of those that quantise the whole base, where the others would not.
    """

    model_type: str
    has_lora_output: bool = True
    builders: str = "torchtune.models"
    builders_for_nf4: str = ""

    @property
    def quantized_builders(self) -> str:
        """The module of the builders for a quantised base."""
        return self.builders_for_nf4 or self.builders


FAMILIES = {
    "llama3": Family("LLAMA3"),
    "llama3_1": Family("LLAMA3"),
    "llama3_2": Family("LLAMA3_2"),
    "qwen2": Family("QWEN2", builders_for_nf4="ftexp.trainers.torchtune.components"),
    "mistral": Family("MISTRAL"),
    "phi3": Family("PHI3_MINI"),
    "gemma": Family("GEMMA", has_lora_output=False),
    "gemma2": Family("GEMMA2", has_lora_output=False, builders="ftexp.trainers.torchtune.components"),  # torchtune's own is wrong
}
_NUMBERS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings",
    "rms_norm_eps",
)
_NUMBERS_OR_NULL = ("rope_theta", "num_key_value_heads", "head_dim", "sliding_window")
_KINDS = ("llama", "mistral", "qwen2", "phi3", "gemma", "gemma2")


def family_of(shape: Shape, file: Path) -> str:
    """torchtune's family of a model; of Llama's: llama3 (Llama 2 too), llama3_1 (scaled RoPE) or llama3_2 (tied embeddings).

    Args:
        shape: Its config.json.
        file: The path of that, for messages.

    Raises:
        UserError: If torchtune's builders cannot represent the model.
    """
    kind = shape.get("model_type")
    if "vision_config" in shape or kind == "mllama":
        raise UserError(f"{file}: model_type: {kind!r} is a vision model, and prompts here are text. Choose a text model.")
    if kind not in _KINDS:
        raise UserError(
            f"{file}: model_type: is {kind!r}, and supported are {', '.join(_KINDS)} (Llama 2 to 3.3, Mistral, Qwen2, Qwen2.5, "
            "Phi-3, Gemma, Gemma 2). Choose a model of these."
        )
    _check_numbers(shape, file)
    _check_activation(shape, file, _GELU if kind.startswith("gemma") else "silu")
    if not kind.startswith("gemma"):
        _check_head_dim(shape, file)
    if shape.get("mlp_bias") or (shape.get("attention_bias") and kind != "qwen2"):
        raise UserError(f"{file}: attention_bias and mlp_bias must be false: torchtune's builder has no biases.")
    return _llama(shape, file) if kind == "llama" else _checked(kind, shape, file)


def _check_numbers(shape: Shape, file: Path) -> None:
    """What a model's size follows from is there, and a number."""
    for key in (*_NUMBERS, *_NUMBERS_OR_NULL):
        value = shape.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if not is_number and (key in _NUMBERS or value is not None):
            raise UserError(f"{file}: {key}: must be a number above 0, got {value!r}. Copy the model again, whole.")


def _check_activation(shape: Shape, file: Path, wanted: str) -> None:
    """Gemma's configs name theirs twice, and an empty or old name means the right one (transformers 4.57)."""
    key = "hidden_activation" if wanted == _GELU else "hidden_act"
    found = shape.get(key) or wanted
    if found != wanted:
        raise UserError(f"{file}: {key}: must be {wanted}, which torchtune's builder has, got {found!r}.")


def _check_head_dim(shape: Shape, file: Path) -> None:
    head_dim = shape["hidden_size"] // shape["num_attention_heads"]
    if (shape.get("head_dim") or head_dim) != head_dim:
        raise UserError(f"{file}: head_dim: must be hidden_size / num_attention_heads = {head_dim}, got {shape['head_dim']}.")


def _llama(shape: Shape, file: Path) -> str:
    scaling = shape.get("rope_scaling")
    rope_type = scaling and (scaling.get("rope_type") or scaling.get("type"))
    if scaling and (rope_type != "llama3" or any(scaling.get(k) != v for k, v in _LLAMA3_ROPE.items())):
        raise UserError(f"{file}: rope_scaling: torchtune knows only Llama 3.1's ({_LLAMA3_ROPE}), got {scaling}.")
    if shape.get("tie_word_embeddings"):
        return "llama3_2"
    return "llama3_1" if scaling else "llama3"


def _checked(kind: str, shape: Shape, file: Path) -> str:
    """The families that are called as config.json calls them."""
    if shape.get("rope_scaling"):
        raise UserError(f"{file}: rope_scaling: torchtune's {kind} has none, got {shape['rope_scaling']}.")
    if kind == "qwen2" and shape.get("use_sliding_window"):
        raise UserError(f"{file}: use_sliding_window: torchtune's Qwen2 has no sliding window. Choose another model.")
    if kind in ("mistral", "phi3") and shape.get("tie_word_embeddings"):
        raise UserError(f"{file}: tie_word_embeddings: torchtune's {kind} has an output layer of its own. Choose another model.")
    if kind == "phi3" and shape.get("partial_rotary_factor", 1.0) != 1.0:
        raise UserError(f"{file}: partial_rotary_factor: must be 1, got {shape['partial_rotary_factor']}. Choose another model.")
    if kind.startswith("gemma") and shape.get("tie_word_embeddings") is False:
        raise UserError(f"{file}: tie_word_embeddings: torchtune's Gemma ties them. Choose another model.")
    return kind


def dimensions(family: str, shape: Shape) -> dict[str, Any]:
    """The builder's arguments that make a model of this shape."""
    found = {
        "vocab_size": shape["vocab_size"],
        "num_layers": shape["num_hidden_layers"],
        "num_heads": shape["num_attention_heads"],
        "num_kv_heads": shape.get("num_key_value_heads", shape["num_attention_heads"]),
        "embed_dim": shape["hidden_size"],
        "intermediate_dim": shape["intermediate_size"],
        "max_seq_len": longest_text_of(family, shape),
        "norm_eps": shape["rms_norm_eps"],
        "rope_base": _whole(shape.get("rope_theta", 10_000)),
    }
    if family in ("llama3_1", "llama3_2"):
        found["scale_factor"] = _whole((shape.get("rope_scaling") or {}).get("factor", 1))
    if family in ("qwen2", "llama3_2"):
        found["tie_word_embeddings"] = bool(shape.get("tie_word_embeddings"))
    if family in ("gemma", "gemma2"):
        found["head_dim"] = shape["head_dim"]
    if family in ("mistral", "phi3", "gemma", "gemma2"):
        found["attn_dropout"] = 0.0
    if family == "gemma2":
        found |= {
            "hidden_capping_value": shape["attn_logit_softcapping"], "final_capping_value": shape["final_logit_softcapping"],
            "sliding_window_size": shape["sliding_window"], "query_pre_attn_scalar": shape["query_pre_attn_scalar"],
        }
    return found


def _whole(value: float) -> float:
    """8.0, as config.json writes it, as 8, as most builders want it."""
    return int(value) if value == int(value) else value


def longest_text_of(family: str, shape: Shape) -> int:
    """Most tokens that a model takes: no more than its window, where it has one that torchtune's builder does not know."""
    most = int(shape["max_position_embeddings"])
    window = shape.get("sliding_window") if family in ("mistral", "phi3") else None
    return min(most, int(window or most))
