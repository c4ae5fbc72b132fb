"""What transformers calls the matrices of a model, per kind, and which of them it holds in one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ftexp.models.config_json import ModelConfig
from ftexp.trainers.lora_names import OUTPUT


@dataclass(frozen=True)
class Parts:
    """Where the matrices of a kind of model lie.

    Attributes:
        layers: The list of its layers.
        single: Per role of `lora_start` the matrix within a layer.
        fused: Per matrix within a layer the roles of the rows that it stacks.
    """

    layers: str
    single: Mapping[str, str]
    fused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def name(self, role: str) -> str:
        """What a role's matrix is called within a layer, once fused ones are taken apart."""
        if role == OUTPUT:
            return "lm_head"
        return self.single.get(role) or next(f"{name}.{role}" for name, roles in self.fused.items() if role in roles)


_LLAMA = Parts("model.layers", {
    "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
})
_BY_KIND = {
    "phi3": Parts(
        "model.layers", {"o": "self_attn.o_proj", "down": "mlp.down_proj"},
        {"self_attn.qkv_proj": ("q", "k", "v"), "mlp.gate_up_proj": ("gate", "up")},
    ),
    "gpt2": Parts(
        "transformer.h", {"o": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"}, {"attn.c_attn": ("q", "k", "v")},
    ),
}


def parts_of(config: ModelConfig) -> Parts:
    """The matrices of a model's kind; most are named as Llama's."""
    return _BY_KIND.get(config.model_type, _LLAMA)


def rows_of(config: ModelConfig) -> dict[str, int]:
    """Outputs of the roles that some kind stacks in one matrix."""
    wide, narrow = config.attention_widths
    return {"q": wide, "k": narrow, "v": narrow, "gate": config.intermediate_size, "up": config.intermediate_size}
