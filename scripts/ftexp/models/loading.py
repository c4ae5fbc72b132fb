"""A base model as transformers computes it: the one way from its folder to a model of the library's, whoever asks.

Nothing that lies in the folder is picked up unasked: the shape comes from `config_json`, the numbers from the safetensors files,
and no adapter, no code and no setting of generation from anywhere.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ftexp.ground.errors import UserError
from ftexp.models.config_json import ModelConfig, read_model_config
from ftexp.models.tokenizer_files import without_remarks
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


@dataclass(frozen=True)
class Classifier:
    """What a classifier chooses from, and the token that fills up a batch: a row's label is read from the last one before it."""

    labels: tuple[str, ...]
    pad_id: int


def load_classifier(folder: Path, weights_dir: Path, dtype: "torch.dtype", classifier: Classifier) -> "PreTrainedModel":
    """The model of a folder with a layer of one output per label in place of its last one, on the CPU.

    Args:
        folder: The base model's.
        weights_dir: Where the weights lie; where they have no such layer, it is random.

    Raises:
        UserError: If the folder does not hold one whole model, or the library has no classifier of its kind.
    """
    from transformers import AutoModelForSequenceClassification

    config = read_model_config(folder)
    check_tied(folder, config)
    made = transformers_config(config)
    labels = classifier.labels
    made.num_labels, made.pad_token_id = len(labels), classifier.pad_id
    made.id2label, made.label2id = dict(enumerate(labels)), {label: number for number, label in enumerate(labels)}
    made.problem_type = "single_label_classification"
    if type(made) not in AutoModelForSequenceClassification._model_mapping:
        what = f"transformers has no sequence classifier of {config.model_type}"
        raise UserError(f"{folder}: head: {what}. Leave head out, or choose another model.")
    with without_remarks():  # that the layer is new
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
            weights_dir, config=made, dtype=dtype, local_files_only=True, use_safetensors=True, trust_remote_code=False,
            **attention_of(config),
        )
    return model


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
