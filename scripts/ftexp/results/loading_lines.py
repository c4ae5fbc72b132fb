"""The lines of Python that load a finished run's model as it was evaluated, by transformers and peft alone."""

from typing import Any

from ftexp.design.run import Run
from ftexp.design.settings import is_quantized
from ftexp.ground import paths
from ftexp.models.config_json import read_model_config
from ftexp.models.folder import read_model_json
from ftexp.models.library_keys import for_transformers
from ftexp.models.loading import attention_of
from ftexp.trainers.recipes import is_lora

_DTYPES = {"fp32": "torch.float32", "bf16": "torch.bfloat16"}
# Keys of config.json that shape no model, or are in every file; the lines say the others where a file does not, as transformers
# 4.57 reads it.
_SHAPELESS = ("architectures", "bos_token_id", "eos_token_id", "pad_token_id", "dtype")


def loading_lines(run: Run) -> list[str]:
    """For a Python in the experiment's folder: imports, `model`, `tokenizer`; of a quantised base what `make merge` writes."""
    settings = run.settings
    is_trained = run.kind == "trained"
    folder, checkpoint = paths.model_dir(settings["model"]), paths.RunPaths(run.training if is_trained else run.id).checkpoint_dir
    is_adapter = is_trained and is_lora(settings["recipe"])
    weights, comment = folder if is_adapter or not is_trained else checkpoint, []
    if is_quantized(settings):
        weights, is_adapter = paths.RunPaths(run.id).dir / "merged", False
        comment = [f"# The base was quantised: `make merge RUN={run.id}` writes these weights, in its own numbers."]
    config = read_model_config(folder)
    said = {} if config.untested else for_transformers(config)  # an untested model is what the library makes of its file
    is_said = bool(config.untested) or _says(read_model_json(folder / "config.json"), said)
    arguments = [f"dtype={_DTYPES[settings['dtype']]}", *(f"{name}={value!r}" for name, value in attention_of(config).items())]
    kind, of_head = _kind_of(run)
    arguments += [f"{name}={value!r}" for name, value in of_head.items()]
    lines = ["import torch", f"from transformers import AutoConfig, {kind}, AutoTokenizer", *comment]
    if not is_said:
        lines.append(f"config = AutoConfig.for_model({config.model_type!r}, **{said | of_head!r})")
        arguments = [*(argument for argument in arguments if argument.partition("=")[0] not in of_head), "config=config"]
    lines.append(f"model = {kind}.from_pretrained({str(weights)!r}, {', '.join(arguments)})")
    if is_adapter:
        # peft would compute an fp32 adapter in fp32; training and evaluation round it to the base's precision as they multiply.
        rounded = "" if settings["dtype"] == "fp32" else ", autocast_adapter_dtype=False"
        lines.insert(2, "from peft import PeftModel")
        lines.append(f"model = PeftModel.from_pretrained(model, {str(checkpoint)!r}{rounded}).eval()")
    lines.append(f"tokenizer = AutoTokenizer.from_pretrained({str(folder)!r})")
    return [*lines, *([f"tokenizer.chat_template = open({str(run.template)!r}).read()"] if run.template else [])]


def _kind_of(run: Run) -> tuple[str, dict[str, Any]]:
    """The library's class, and what a classifier's configuration has besides."""
    if not run.labels:
        return "AutoModelForCausalLM", {}
    from ftexp.evaluation.own_head import classifier_of  # brings torch

    classifier = classifier_of(run)
    assert classifier is not None
    labels = dict(enumerate(classifier.labels))
    said = {"num_labels": len(labels), "pad_token_id": classifier.pad_id, "id2label": labels}
    return "AutoModelForSequenceClassification", said


def _says(content: dict[str, Any], said: dict[str, Any]) -> bool:
    """Whether a file says all that shapes the model as transformers 4.57 reads it."""
    shaping = {key: value for key, value in said.items() if key not in _SHAPELESS}
    return "rope_parameters" not in content and all(content.get(key) == value for key, value in shaping.items())
