"""The weights of a model as Hugging Face lays them out and as the trainer does, by torchtune's own conversions.

The trainer's q and k have their rows in another order, for RoPE (Qwen2's have not); Phi-3's fused matrices are apart there.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ftexp.models.config_json import ModelConfig
from ftexp.models.weights import HEAD

if TYPE_CHECKING:
    import torch

    Weights = dict[str, torch.Tensor]
    Conversion = Callable[..., Weights]

_PHI3 = ("PHI3_MINI", "PHI4")


def to_trainer(weights: "Weights", model_type: str, config: ModelConfig) -> "Weights":
    """Hugging Face's names and tensors as the trainer's.

    Args:
        weights: All of a model's, or some; all parts of a fused matrix come from one.
        model_type: What torchtune's checkpointer calls them.
        config: The model's config.json.
    """
    convert = _conversions(model_type)[0]
    kept = {name: value for name, value in weights.items() if not (config.is_tied and name == HEAD)}
    return dict(convert(kept, **_arguments(model_type, config)))


def to_hugging_face(weights: "Weights", model_type: str, config: ModelConfig) -> "Weights":
    """The reverse; all parts of a fused matrix must be there."""
    convert = _conversions(model_type)[1]
    return dict(convert(weights, **({} if model_type in _PHI3 else _arguments(model_type, config))))


def _conversions(model_type: str) -> "tuple[Conversion, Conversion]":
    if model_type == "QWEN2":
        from torchtune.models.qwen2._convert_weights import qwen2_hf_to_tune, qwen2_tune_to_hf

        return qwen2_hf_to_tune, qwen2_tune_to_hf
    if model_type in _PHI3:
        from torchtune.models.phi3._convert_weights import phi3_hf_to_tune, phi3_tune_to_hf

        return phi3_hf_to_tune, phi3_tune_to_hf
    if model_type == "GEMMA2":
        from torchtune.models.gemma2._convert_weights import gemma2_hf_to_tune, gemma2_tune_to_hf

        return gemma2_hf_to_tune, gemma2_tune_to_hf
    from torchtune.models.convert_weights import hf_to_tune, tune_to_hf

    return hf_to_tune, tune_to_hf


def _arguments(model_type: str, config: ModelConfig) -> dict[str, Any]:
    arguments = {"num_heads": config.heads, "num_kv_heads": config.key_value_heads, "dim": config.hidden_size}
    return arguments if model_type in ("QWEN2", *_PHI3) else {**arguments, "head_dim": config.head_dim}
