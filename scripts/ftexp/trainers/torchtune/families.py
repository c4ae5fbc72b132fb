"""Families of models: which one a config.json describes, and the arguments of its builder in torchtune.

A model is known by the shape that its config.json gives, never by its name: a renamed folder, a new fine-tune of a known shape or
a size that nobody listed is as good as the original. Nothing is read or written.
"""

from dataclasses import dataclass
from typing import Any

from ftexp.ground.errors import UserError
from ftexp.models.config_json import ModelConfig
from ftexp.models.rope_scaling import is_number

# Constants inside torchtune's Llama3ScaledRoPE.
_LLAMA3_ROPE = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
_OTHER = "Choose another model."
_KINDS = ("llama", "mistral", "qwen2", "phi3", "gemma", "gemma2")


class NotInTorchtune(UserError):
    """A model with which nothing is wrong, but which torchtune 0.6.1 does not compute.

    Attributes:
        lacks: Why, as the rest of a sentence that begins with `torchtune 0.6.1`.
    """

    def __init__(self, config: ModelConfig, key: str, what: str, lacks: str) -> None:
        super().__init__(f"{config.file}: {key}: {what}. {_OTHER}")
        self.lacks = lacks


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


def family_of(config: ModelConfig) -> str:
    """torchtune's family of a model; of Llama's: llama3 (Llama 2 too), llama3_1 (scaled RoPE) or llama3_2 (tied embeddings).

    Raises:
        NotInTorchtune: If torchtune's builders cannot represent the model, or nobody knows.
    """
    kind, title = config.model_type, config.kind.title
    if config.untested and kind in _KINDS:
        key = config.untested[0].removeprefix(f"{config.file}: ").partition(":")[0]
        lacks = f"is not known to compute {key} in {title} as config.json says it"
        raise NotInTorchtune(config, key, f"torchtune 0.6.1 {lacks}", lacks)
    if kind not in _KINDS:
        raise NotInTorchtune(config, "model_type", f"is {kind}, and torchtune 0.6.1 has no {title}", f"has no {title}")
    derived = config.hidden_size // config.heads
    if not kind.startswith("gemma") and config.head_dim != derived:
        what = f"must be hidden_size / num_attention_heads = {derived}, got {config.head_dim}"
        lacks = f"has {title} with heads of hidden_size / num_attention_heads = {derived} dimensions only, not {config.head_dim}"
        raise NotInTorchtune(config, "head_dim", what, lacks)
    _check_output(config)
    without = [name for name, value in config.numbers.items() if value is None]
    if without:
        what = "torchtune's Gemma 2 has this cap, got null"
        raise NotInTorchtune(config, without[0], what, f"has Gemma 2 with {without[0]} only")
    _check_rope(config)
    if kind != "llama":
        return kind
    return "llama3_2" if config.is_tied else "llama3_1" if config.rope.scaling else "llama3"


def _check_output(config: ModelConfig) -> None:
    """The output layer is the embedding, or is not, as in the family's builders."""
    kind, title = config.model_type, config.kind.title
    if kind in ("mistral", "phi3") and config.is_tied:
        what = f"torchtune's {kind} has an output layer of its own"
        lacks = f"has {title} with an output layer of its own only, not with the embedding for one"
        raise NotInTorchtune(config, "tie_word_embeddings", what, lacks)
    if kind.startswith("gemma") and not config.is_tied:
        lacks = f"has {title} with the embedding for its output layer only"
        raise NotInTorchtune(config, "tie_word_embeddings", "torchtune's Gemma ties them", lacks)


def _check_rope(config: ModelConfig) -> None:
    """All dimensions turned; no scaling, or that of Llama 3.1, which has one number that a model may choose."""
    scaling, title = config.rope.scaling, config.kind.title
    if config.rope.share != 1:
        what = f"must be 1, as torchtune's {config.model_type} turns all of a head's dimensions, got {config.rope.share}"
        lacks = f"turns all of a head's dimensions in {title}, and here it is {config.rope.share} of them (partial_rotary_factor)"
        raise NotInTorchtune(config, "partial_rotary_factor", what, lacks)
    if not scaling:
        return
    if config.model_type != "llama":
        what = f"torchtune's {config.model_type} has none, got {scaling['rope_type']}"
        raise NotInTorchtune(config, "rope_scaling", what, f"has {title} without rope_scaling only, not {scaling['rope_type']}")
    is_known = set(scaling) == {"rope_type", "factor", *_LLAMA3_ROPE} and scaling["rope_type"] == "llama3"
    numbers = {key: value for key, value in scaling.items() if is_number(value)}
    if not is_known or any(numbers.get(key) != value for key, value in _LLAMA3_ROPE.items()):
        what = f"torchtune knows only Llama 3.1's ({_LLAMA3_ROPE}), got {dict(scaling)}"
        got = "other numbers of it" if scaling["rope_type"] == "llama3" else scaling["rope_type"]
        lacks = f"has {title} with Llama 3.1's rope_scaling only, not {got}"
        raise NotInTorchtune(config, "rope_scaling", what, lacks)


def dimensions(family: str, config: ModelConfig) -> dict[str, Any]:
    """The builder's arguments that make a model of this shape."""
    found: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "num_layers": config.layers,
        "num_heads": config.heads,
        "num_kv_heads": config.key_value_heads,
        "embed_dim": config.hidden_size,
        "intermediate_dim": config.intermediate_size,
        "max_seq_len": longest_text_of(family, config),
        "norm_eps": config.norm_eps,
        "rope_base": _whole(config.rope.theta),
    }
    if family in ("llama3_1", "llama3_2"):
        found["scale_factor"] = _whole(config.rope.scaling["factor"] if config.rope.scaling else 1)
    if family in ("qwen2", "llama3_2"):
        found["tie_word_embeddings"] = config.is_tied
    if family in ("gemma", "gemma2"):
        found["head_dim"] = config.head_dim
    if family in ("mistral", "phi3", "gemma", "gemma2"):
        found["attn_dropout"] = 0.0
    if family == "gemma2":
        found |= {
            "hidden_capping_value": config.numbers["attn_logit_softcapping"],
            "final_capping_value": config.numbers["final_logit_softcapping"], "sliding_window_size": config.window,
            "query_pre_attn_scalar": config.numbers["query_pre_attn_scalar"],
        }
    return found


def _whole(value: float) -> float:
    """8.0, as config.json writes it, as 8, as most builders want it."""
    return int(value) if value == int(value) else value


def longest_text_of(family: str, config: ModelConfig) -> int:
    """Most tokens that a model takes: no more than its window, where it has one that torchtune's builder does not know."""
    window = config.window if family in ("mistral", "phi3") else None
    return min(config.longest, window or config.longest)
