"""A base model as transformers computes it: the one way from its folder to a model of the library's, whoever asks.

Nothing that lies in the folder is picked up unasked: the shape comes from `config_json`, the numbers from the safetensors files,
and no adapter, no code and no setting of generation from anywhere.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ftexp.ground.errors import UserError
from ftexp.models.config_json import ModelConfig, read_model_config
from ftexp.models.library_keys import for_transformers
from ftexp.models.tokenizer_files import without_remarks
from ftexp.models.weights import check_tied

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel


def transformers_config(config: ModelConfig) -> "PretrainedConfig":
    """The library's configuration of a model: nothing left to a default where it is tested, else of its file as it is.

    Raises:
        UserError: If the library has no such model.
    """
    from transformers import AutoConfig

    if config.untested:
        return _of_file(config)
    made: PretrainedConfig = AutoConfig.for_model(config.model_type, **for_transformers(config))
    return made


def _of_file(config: ModelConfig) -> "PretrainedConfig":
    """Of a model that is not tested, by the library alone."""
    from transformers import AutoConfig, __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CLASSES

    other = "Choose another model."
    try:
        made: PretrainedConfig = AutoConfig.from_pretrained(
            config.file.parent, local_files_only=True, trust_remote_code=False
        )
    except (ValueError, KeyError, TypeError) as error:  # one of them each class raises for what it cannot be made of
        why = str(error).strip().splitlines()[0].rstrip(".")
        raise UserError(f"{config.file}: transformers {__version__} makes no model of it: {why}. {other}") from error
    if made.model_type not in CLASSES:
        what = f"transformers {__version__} has no model of this type that continues a text, got {made.model_type}"
        raise UserError(f"{config.file}: model_type: {what}. {other}")
    own = (type(made).__name__, CLASSES[made.model_type])
    code = config.content.get("auto_map")
    for role, where in code.items() if isinstance(code, dict) else ():
        if role in ("AutoConfig", "AutoModelForCausalLM") and str(where).rpartition(".")[2] not in own:
            what = f"names code of the model's own, which is not run here, so that {own[1]} would take its place, got {where!r}"
            raise UserError(f"{config.file}: auto_map.{role}: {what}. Choose a model without.")
    return made


def attention_of(config: ModelConfig) -> dict[str, str]:
    """Plain attention where the default implementation of transformers 4.57 may leave something out.

    Some Gemmas cap their attention; of an untested model nobody knows.
    """
    is_plain = config.untested or config.numbers.get("attn_logit_softcapping")
    return {"attn_implementation": "eager"} if is_plain else {}


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
