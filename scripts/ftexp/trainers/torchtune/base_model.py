"""The base model as a recipe builds and fills it, by the config's own builder and checkpointer, before anything is trained."""

import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from omegaconf import OmegaConf
from torchtune import training
from torchtune.config import instantiate


def base_logits(config: dict[str, Any], rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Per row of tokens its logits [length, vocabulary], in fp32 on the CPU; of a quantised base before it is quantised.

    LoRA matrices add nothing before they are trained, since one of each pair is zero.
    """
    model = _build(config).eval()
    with torch.inference_mode():
        return [_whole(model(torch.tensor([list(row)])))[0] for row in rows]


def _build(config: dict[str, Any]) -> torch.nn.Module:
    """As the recipe for one device does.

    Raises:
        RuntimeError: If a weight of the folder has no place in the model, or the reverse.
    """
    section = {key: value for key, value in config["model"].items() if key != "quantize_base"}
    with tempfile.TemporaryDirectory(prefix="ftexp-") as folder:
        content: Any = OmegaConf.create({**config, "model": section, "output_dir": folder, "resume_from_checkpoint": False})
        weights = instantiate(content.checkpointer).load_checkpoint()[training.MODEL_KEY]
        with training.set_default_dtype(torch.float32):
            model: torch.nn.Module = instantiate(content.model)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    wrong = [*unexpected, *(name for name in missing if "lora_" not in name)]
    if wrong:
        raise RuntimeError(f"weights and model do not fit together: {', '.join(wrong[:3])}")
    return model


def _whole(output: Any) -> torch.Tensor:
    """Logits that may come in chunks."""
    return torch.cat(output, dim=1) if isinstance(output, list) else output
