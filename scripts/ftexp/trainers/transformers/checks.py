"""What is wrong with a config of this trainer's, whoever wrote it, and with its model beside the files of its base."""

import functools
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftexp.design.run import Run
from ftexp.design.settings import DTYPES, SCHEDULES, TRANSFORMERS
from ftexp.ground import paths
from ftexp.ground.components import component_at
from ftexp.ground.errors import UserError, one_line, suggestion
from ftexp.models.config_json import read_model_config
from ftexp.models.folder import weight_files
from ftexp.models.loading import attention_of, transformers_config
from ftexp.models.weights import HEAD, check_tied
from ftexp.trainers.checkpoint_tensors import compare, read_headers
from ftexp.trainers.dataset_section import check_row_length
from ftexp.trainers.interface import Config, ModelCheck, Sizes
from ftexp.trainers.prompted_rows import PromptedRows

_NUMBER = (int, float)
# Types of the keys, `section.key` in sections; None: null is allowed.
_TYPES: Mapping[str, tuple[type | None, ...]] = {
    "trainer": (str,), "output_dir": (str,), "resume_from_checkpoint": (bool,), "device": (str, None), "seed": (int,),
    "dtype": (str,), "epochs": (int,), "batch_size": (int,), "gradient_accumulation_steps": (int,),
    "clip_grad_norm": (*_NUMBER, None), "compile": (bool,), "enable_activation_checkpointing": (bool,),
    "model.path": (str,), "tokenizer.path": (str,), "tokenizer.date": (str,),
    "optimizer._component_": (str,), "optimizer.lr": _NUMBER, "lr_scheduler.schedule": (str,),
    "lr_scheduler.num_warmup_steps": (int,),
}
_OF_TEMPLATE: Mapping[str, tuple[type | None, ...]] = {"tokenizer.template": (str,)}
_OF_LORA: Mapping[str, tuple[type | None, ...]] = {
    "model.lora_modules": (list,), "model.lora_rank": (int,), "model.lora_alpha": _NUMBER, "model.lora_dropout": _NUMBER,
    "model.use_dora": (bool,),
}
_OF_VALIDATION: Mapping[str, tuple[type | None, ...]] = {
    "validation.file": (str,), "validation.every_steps": (int,), "validation.metric": (str,), "validation.patience": (int, None),
    "validation.threshold": _NUMBER, "validation.keep": (str,),
}
_OF_HEAD: Mapping[str, tuple[type | None, ...]] = {"model.head": (str,), "model.labels": (list,)}
_OF_SCORE: Mapping[str, tuple[type | None, ...]] = {"validation.scorer": (dict,), "validation.max_tokens": (int,)}
_FILES = ("model.path", "tokenizer.path", "tokenizer.template", "dataset.file", "validation.file")
_DEVICES = (None, "cpu", "cuda")  # which of several GPUs it is says CUDA_VISIBLE_DEVICES
_AT_LEAST_1 = ("epochs", "batch_size", "gradient_accumulation_steps", "model.lora_rank", "validation.every_steps")
_ONE_OF = {"trainer": (TRANSFORMERS,), "dtype": tuple(DTYPES), "lr_scheduler.schedule": SCHEDULES}
_WORDS: Mapping[type | None, str] = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list", dict: "a mapping",
    None: "null",
}


def check_configs(runs: Sequence[Run], configs: Mapping[str, Config]) -> dict[str, list[str]]:
    """Per run what is wrong with its config."""
    return {run.id: [*_check(configs[run.id]), *check_row_length(run, _longest(run.settings["model"]))] for run in runs}


@functools.cache
def _longest(model: str) -> int:
    return read_model_config(paths.model_dir(model)).longest


def _check(config: Config) -> list[str]:
    sections = {name: inner for name, inner in config.items() if isinstance(inner, dict)}
    given = {
        **{key: value for key, value in config.items() if key not in sections},
        **{f"{name}.{key}": value for name, inner in sections.items() for key, value in inner.items()},
    }
    types = {
        **_TYPES, **(_OF_LORA if "model.lora_rank" in given else {}), **(_OF_VALIDATION if "validation" in sections else {}),
        **(_OF_SCORE if "validation.scorer" in given else {}), **(_OF_HEAD if "model.head" in given else {}),
        **(_OF_TEMPLATE if "tokenizer.template" in given else {}),
    }
    wrong_optimizer, of_optimizer = _check_optimizer(config.get("optimizer"))
    named = {"dataset": _names_of(PromptedRows.__init__), "optimizer": of_optimizer}
    needed = [*types, *(f"dataset.{name}" for name in _names_of(PromptedRows.__init__, without_value=True))]
    messages = [f"{key}: is missing" for key in needed if key not in given] + wrong_optimizer
    for key, value in given.items():
        section, _, name = key.rpartition(".")
        if key in types:
            messages += _check_value(key, value, types[key])
        elif name not in named.get(section, ()) and not (section == "optimizer" and wrong_optimizer):
            known = named.get(section) or sorted(types)
            messages.append(f"{key}: is not read, so it would do nothing. {suggestion(name, known)}")
    named_files = {key: given[key] for key in _FILES if isinstance(given.get(key), str)}
    messages += [
        f"{key}: there is no such file or folder, got {value!r}. Correct the path"
        for key, value in named_files.items() if not Path(value).exists()
    ]
    return [f"finetune.yaml: {message}" for message in messages]


def _check_value(key: str, value: Any, wanted: tuple[type | None, ...]) -> list[str]:
    fits = type(value) in wanted or (value is None and None in wanted)
    if not fits:
        return [f"{key}: must be {' or '.join(_WORDS[kind] for kind in wanted)}, got {value!r}"]
    if key == "device" and value not in _DEVICES:
        return [f"{key}: must be cpu or cuda, or null, got {value!r}"]
    if key in _AT_LEAST_1 and value < 1:
        return [f"{key}: must be 1 or more, got {value!r}"]
    if key in _ONE_OF and value not in _ONE_OF[key]:
        return [f"{key}: must be {' or '.join(_ONE_OF[key])}, got {value!r}"]
    return []


def _names_of(function: Any, *, without_value: bool = False) -> list[str]:
    """Its arguments; only those that have to be given, where that is asked."""
    found = inspect.signature(function).parameters.items()
    names = [name for name, parameter in found if not without_value or parameter.default is inspect.Parameter.empty]
    return [name for name in names if name not in ("self", "tokenizer", "params")]


def _check_optimizer(section: Any) -> tuple[list[str], list[str]]:
    """What is wrong with its component or values, which is tried, and the names of its arguments."""
    import torch

    given = dict(section) if isinstance(section, dict) else {}
    dotpath = str(given.pop("_component_", ""))
    if "." not in dotpath:
        return [], []
    try:
        component = component_at(dotpath)
    except (ImportError, AttributeError):
        return [f"optimizer._component_: there is no {dotpath}. Name a class of torch.optim"], []
    known = _names_of(component.__init__)
    try:
        component([torch.nn.Parameter(torch.zeros(1))], **{key: value for key, value in given.items() if key in known})
    except (TypeError, ValueError) as error:
        return [f"optimizer: cannot be built: {one_line(str(error))}. Correct its values"], known
    return [], known


def check_models(configs: Mapping[str, Config]) -> dict[str, ModelCheck]:
    """Per run the base weights against the model that config.json makes, once per model and LoRA's matrices."""
    found: dict[str, ModelCheck] = {}
    known: dict[str, ModelCheck] = {}
    for run, config in configs.items():
        section = config["model"]
        key = repr((section["path"], section.get("lora_modules"), section.get("use_dora")))
        if key not in known:
            known[key] = _check_model(Path(section["path"]), section)
        found[run] = known[key]
    return found


def _check_model(folder: Path, section: Mapping[str, Any]) -> ModelCheck:
    import torch
    from transformers import AutoModelForCausalLM

    try:
        config = read_model_config(folder)
        given = read_headers(folder, weight_files(folder))
        check_tied(folder, config)
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(transformers_config(config), **attention_of(config))
    except UserError as problem:
        return ModelCheck(str(folder), [], [str(problem).rstrip(".")], None)
    messages = _compare(given, model, is_tied=config.is_tied)
    lora, magnitudes = None, 0
    if "lora_modules" in section and not messages:
        from ftexp.trainers.transformers.adapter import with_adapter

        with torch.device("meta"):
            adapted = with_adapter(model, config, {**section, "lora_rank": 1, "lora_alpha": 1}, seed=0)
        trained = {name: value.numel() for name, value in adapted.named_parameters() if value.requires_grad}
        magnitudes = sum(count for name, count in trained.items() if "lora_magnitude" in name)
        lora = sum(trained.values()) - magnitudes
    base = sum(value.numel() for name, value in model.named_parameters() if "lora_" not in name)
    return ModelCheck(str(folder), [], [f"{folder}: {message}" for message in messages], Sizes(base, lora, magnitudes))


def _compare(given: Mapping[str, Any], model: Any, *, is_tied: bool) -> list[str]:
    """Names of the bare model, as some files have them, are those of the whole one without its first word."""
    wanted = {name: value for name, value in model.state_dict().items() if not (is_tied and name == HEAD)}
    prefix = next(iter(wanted)).partition(".")[0] + "."  # the library's word for it is not that of Gemma 3's files
    if not any(name.startswith(prefix) for name in given):
        given = {name if name == HEAD else prefix + name: value for name, value in given.items()}
    buffers = tuple(f".attn.{name}" for name in ("bias", "masked_bias")) if model.config.model_type == "gpt2" else ()
    kept = {
        name: value for name, value in given.items()
        if not (is_tied and name == HEAD) and not (name not in wanted and name.endswith(buffers or ("\0",)))
    }
    return compare(kept, wanted)
