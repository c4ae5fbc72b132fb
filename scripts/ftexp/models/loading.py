"""A base model as transformers computes it: the one way from its folder to a model of the library's, whoever asks.

Nothing that lies in the folder is picked up unasked: the shape comes from `config_json`, the numbers from the safetensors files,
and no adapter, no code and no setting of generation from anywhere.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ftexp.models.config_json import ModelConfig, read_model_config
from ftexp.models.weights import check_tied

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel


def transformers_config(config: ModelConfig) -> "PretrainedConfig":
    """The library's configuration of a model, nothing left to a default."""
    from transformers import AutoConfig

    made: PretrainedConfig = AutoConfig.for_model(config.model_type, **config.for_transformers())
    return made


def attention_of(config: ModelConfig) -> dict[str, str]:
    """Some Gemmas cap their attention, which the default implementation of transformers 4.57 leaves out."""
    return {"attn_implementation": "eager"} if config.numbers.get("attn_logit_softcapping") else {}


def load_transformers_model(folder: Path, dtype: "torch.dtype") -> "PreTrainedModel":
    """The model of a folder in Hugging Face layout, on the CPU.

    Raises:
        UserError: If the folder does not hold one whole model and nothing besides that would change it.
    """
    from transformers import AutoModelForCausalLM, GenerationConfig

    config = read_model_config(folder)
    check_tied(folder, config)
    # Any: `generation_config` comes from a mixin, which PreTrainedModel does not name.
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, config=transformers_config(config), dtype=dtype, local_files_only=True, use_safetensors=True,
        trust_remote_code=False, **attention_of(config),
    )
    model.generation_config = GenerationConfig.from_model_config(model.config)
    return cast("PreTrainedModel", model)
