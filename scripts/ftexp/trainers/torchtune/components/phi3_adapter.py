"""The adapter of a Phi-3 model in PEFT form, which torchtune 0.6.1 does not write.

Hugging Face's Phi-3 has q, k and v in one matrix, and gate and up in another; torchtune trains them apart, each with LoRA
matrices of its own, which are joined here.
"""

from collections.abc import Mapping
from typing import Any

import torch

from ftexp.trainers.joined_lora import Pair, patterns, side_by_side

Weights = dict[str, torch.Tensor]
# Per fused matrix of Hugging Face's, the trained layers whose rows it stacks, and the rest one to one.
_FUSED = {
    "self_attn.qkv_proj": ("attn.q_proj", "attn.k_proj", "attn.v_proj"), "mlp.gate_up_proj": ("mlp.w1", "mlp.w3"),
    "self_attn.o_proj": ("attn.output_proj",), "mlp.down_proj": ("mlp.w2",),
}


def peft_weights(trained: Weights, rows: Mapping[str, int]) -> Weights:
    """LoRA matrices under PEFT's names.

    Args:
        trained: `layers.<n>.<layer>.lora_a.weight` [rank, in] and `.lora_b.weight` [out, rank].
        rows: Out dimension of every layer of `_FUSED`, those without LoRA matrices too.
    """
    weights: Weights = {}
    for layer in sorted({name.split(".")[1] for name in trained if name.startswith("layers.")}, key=int):
        for fused, parts in _FUSED.items():
            pairs = [_pair(trained, f"layers.{layer}.{part}") for part in parts]
            if any(pairs):
                name = f"base_model.model.model.layers.{layer}.{fused}"
                pair = side_by_side(pairs, [rows[part] for part in parts])
                weights[f"{name}.lora_A.weight"], weights[f"{name}.lora_B.weight"] = pair
    if "output.lora_a.weight" in trained:
        for side in ("a", "b"):
            weights[f"base_model.model.lm_head.lora_{side.upper()}.weight"] = trained[f"output.lora_{side}.weight"].contiguous()
    return weights


def _pair(trained: Weights, prefix: str) -> Pair | None:
    """The matrices of a layer; None where it has none."""
    a = trained.get(f"{prefix}.lora_a.weight")
    return None if a is None else (a, trained[f"{prefix}.lora_b.weight"])


def peft_config(weights: Weights, *, rank: int, alpha: float) -> dict[str, Any]:
    """adapter_config.json for what `peft_weights` gave."""
    ranks = {name.removesuffix(".lora_A.weight").rpartition(".")[2]: len(a) for name, a in weights.items() if "lora_A" in name}
    return {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": alpha,
        **patterns(ranks, rank=rank, alpha=alpha), "base_model_name_or_path": None, "bias": "none",
    }
