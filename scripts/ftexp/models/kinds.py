"""The kinds of models that are tested: what transformers 4.57's class of each has, and takes for a key that is absent.

A new kind is a row of KINDS. Tests compare each with its class.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SILU, GELU, GELU_NEW = "silu", "gelu_pytorch_tanh", "gelu_new"
AS_HEADS = None  # as many key-value heads as heads, or heads as wide as they fit into hidden_size
KV_HEADS, HEAD_DIM = "num_key_value_heads", "head_dim"
# How the layers of a model see: all alike; by turns a window and all; each as the file says.
ALIKE, BY_TURNS, AS_SAID = "alike", "by turns", "as said"
# Scaled RoPE that any class with the library's usual functions computes; `longrope` has its length elsewhere in each class.
SCALINGS = ("linear", "dynamic", "yarn", "llama3")
LONGROPE = "longrope"
ROPE = ("rope_theta", "rope_scaling", "rope_parameters")
_CAPS = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}


@dataclass(frozen=True)
class Kind:
    """A model_type: what the library's class has where a file has no such key.

    Attributes:
        name: What the library's classes are called by: `<name>Config`, `<name>ForCausalLM`, where config_class and model_class do
            not say otherwise.
        title: What people call it.
        names: Keys that the class calls otherwise, by their usual names; "" where it has nothing of the kind.
        may_lack: Sizes, by the class's names, that follow from others where they are null or absent.
        key_value_heads: AS_HEADS or a number.
        nulls: Which of KV_HEADS and HEAD_DIM may be null, which means AS_HEADS.
        head_dim: AS_HEADS or a number; has_head_dim: whether the class has such a key.
        is_tied: Whether the output layer is the embedding.
        dropouts: Keys of probabilities, all of which are 0 here.
        activation_key: The key of the activation that the class reads.
        activations: Those that a model of this kind may compute with; the first is taken where nothing is said.
        has_window: Whether the class reads sliding_window.
        window: Tokens that a position sees; None: all.
        layers: ALIKE, BY_TURNS or AS_SAID.
        theta: RoPE's base; local_theta: that of layers with a window, where they have one of their own.
        scalings: RoPE's scalings that the class computes.
        has_partial_rope: Whether a part of a head's dimensions may be turned, and the length of the first training is a key.
        has_rope_layers: Whether some layers turn nothing.
        numbers: Keys of numbers that only this kind has, with what is taken for an absent one; a cap may be null, which is none.
        fixed: Keys that only this kind has, with the values that leave the model as it is built.
        more: Keys that only this kind has and that change nothing, or nothing here.
        embedding: The embedding's tensor.
        mlp_matrices: Matrices of a layer's MLP: three with a gate, else two.
    """

    name: str
    title: str
    config_class: str = ""
    model_class: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    may_lack: tuple[str, ...] = ()
    key_value_heads: int | None = AS_HEADS
    nulls: tuple[str, ...] = (KV_HEADS, HEAD_DIM)
    head_dim: int | None = AS_HEADS
    has_head_dim: bool = True
    is_tied: bool = False
    activations: tuple[str, ...] = (SILU,)
    has_window: bool = False
    window: int | None = None
    layers: str = ALIKE
    theta: float = 10_000.0
    local_theta: float | None = None
    scalings: tuple[str, ...] = SCALINGS
    has_partial_rope: bool = False
    has_rope_layers: bool = False
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    more: frozenset[str] = frozenset()
    dropouts: tuple[str, ...] = ("attention_dropout",)
    activation_key: str = "hidden_act"
    embedding: str = "model.embed_tokens.weight"
    mlp_matrices: int = 3

    def key(self, name: str) -> str:
        """What the class calls a key; "" where it has none."""
        return self.names.get(name, name)

    @property
    def of_config(self) -> str:
        """The library's class of configuration."""
        return self.config_class or f"{self.name}Config"

    @property
    def of_model(self) -> str:
        """The library's class that continues a text."""
        return self.model_class or f"{self.name}ForCausalLM"


_GEMMA: dict[str, Any] = {"nulls": (), "head_dim": 256, "is_tied": True, "activations": (GELU,)}
_WINDOWED_GEMMA: dict[str, Any] = {
    **_GEMMA, "key_value_heads": 4, "has_window": True, "window": 4096, "activation_key": "hidden_activation",
}
_GPT2_DROPOUTS = ("attn_pdrop", "embd_pdrop", "resid_pdrop")
KINDS: Mapping[str, Kind] = {
    "llama": Kind("Llama", "Llama", more=frozenset({"pretraining_tp"})),
    "mistral": Kind("Mistral", "Mistral", key_value_heads=8, has_window=True, window=4096),
    "qwen2": Kind(
        "Qwen2", "Qwen2", key_value_heads=32, has_head_dim=False, more=frozenset({"sliding_window", "attention_bias"}),
    ),
    "phi3": Kind(
        "Phi3", "Phi-3", has_head_dim=False, has_window=True, has_partial_rope=True, scalings=(LONGROPE,),
        dropouts=("attention_dropout", "resid_pdrop", "embd_pdrop"),
    ),
    "gemma": Kind("Gemma", "Gemma", key_value_heads=16, **_GEMMA),
    "gemma2": Kind(
        "Gemma2", "Gemma 2", layers=BY_TURNS, numbers={"query_pre_attn_scalar": 256, **_CAPS}, **_WINDOWED_GEMMA,
    ),
    "qwen3": Kind(
        "Qwen3", "Qwen3", key_value_heads=32, nulls=(KV_HEADS,), head_dim=128, more=frozenset({"sliding_window"}),
    ),
    "gemma3_text": Kind(
        "Gemma3", "Gemma 3", config_class="Gemma3TextConfig", layers=AS_SAID, theta=1_000_000.0, local_theta=10_000.0,
        numbers={"query_pre_attn_scalar": 256, **dict.fromkeys(_CAPS)},
        more=frozenset({"_sliding_window_pattern"}), **_WINDOWED_GEMMA,
    ),
    "olmo2": Kind("Olmo2", "OLMo 2", has_head_dim=False, scalings=("linear", "dynamic")),
    "smollm3": Kind(
        "SmolLM3", "SmolLM3", key_value_heads=4, has_head_dim=False, is_tied=True, theta=2_000_000.0, has_rope_layers=True,
        more=frozenset({"sliding_window", "pretraining_tp"}),
    ),
    "granite": Kind(
        "Granite", "Granite", has_head_dim=False, more=frozenset({"attention_dropout"}),
        numbers=dict.fromkeys(("embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"), 1.0),
    ),
    "gpt2": Kind(
        "GPT2", "GPT-2", model_class="GPT2LMHeadModel", is_tied=True, has_head_dim=False, scalings=(), mlp_matrices=2,
        may_lack=("n_inner",),
        activations=(GELU_NEW, GELU, "gelu"), activation_key="activation_function", dropouts=_GPT2_DROPOUTS,
        embedding="transformer.wte.weight",
        names={
            "hidden_size": "n_embd", "intermediate_size": "n_inner", "num_hidden_layers": "n_layer",
            "num_attention_heads": "n_head", "max_position_embeddings": "n_positions", "rms_norm_eps": "layer_norm_epsilon",
            "hidden_act": "activation_function",
            **dict.fromkeys((KV_HEADS, HEAD_DIM, *ROPE, "layer_types", "hidden_activation"), ""),
        },
        fixed={
            "scale_attn_weights": (True,), "scale_attn_by_inverse_layer_idx": (False, None),
            "reorder_and_upcast_attn": (False, None),
        },
        more=frozenset({
            "n_ctx", *_GPT2_DROPOUTS, "summary_type", "summary_use_proj", "summary_activation",
            "summary_proj_to_labels", "summary_first_dropout",
        }),
    ),
}
