"""A torchtune config checked before it costs anything: keys, arguments, types, dotpaths, families, files.

`tune validate` (torchtune 0.6.1) checks that components exist and bind some of their arguments. A misspelt key that trains
the default, a missing one that stops a recipe after the queue, a text where a number belongs: these it accepts. What a recipe
reads is taken from its source, what a component takes from its signature, and which family goes with which from the configs
that torchtune ships, so that nothing here lists torchtune's names.
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ftexp.ground.errors import suggestion
from ftexp.trainers.torchtune.checks.component_arguments import check_component
from ftexp.trainers.torchtune.checks.recipe_keys import Build, recipe_keys
from ftexp.trainers.torchtune.shipped_configs import shipped_configs_dir

Config = dict[str, Any]
# Types of the plain keys that recipes read; null is allowed where None is among them.
_PLAIN: dict[str, tuple[type | None, ...]] = {
    "batch_size": (int,), "epochs": (int,), "gradient_accumulation_steps": (int,), "max_steps_per_epoch": (int, None),
    "log_every_n_steps": (int,), "seed": (int, None), "clip_grad_norm": (int, float, str, None), "output_dir": (str,),
    "device": (str, None), "dtype": (str,), "compile": (bool,), "shuffle": (bool,), "resume_from_checkpoint": (bool,),
    "save_adapter_weights_only": (bool,), "enable_activation_checkpointing": (bool,), "enable_activation_offloading": (bool,),
    "log_peak_memory_stats": (bool,), "optimizer_in_bwd": (bool,), "low_cpu_ram": (bool,), "fsdp_cpu_offload": (bool,),
    "fsdp_reshard_after_forward": (bool,), "collate_fn": (str,), "cudnn_deterministic_mode": (str, None),
}
_AT_LEAST_1 = ("batch_size", "epochs", "gradient_accumulation_steps", "log_every_n_steps", "max_steps_per_epoch")
_DTYPES = ("bf16", "fp16", "fp32", "fp64")
_DEVICES = r"(cpu|cuda|xpu|npu|mps)(:\d+)?"
_WORDS: dict[type | None, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", None: "null"}
_PATH_KEYS = ("path", "merges_file", "checkpoint_dir", "file")


def check_config(config: Config, recipe: str) -> list[str]:
    """Everything that is wrong with a config's keys, arguments and types, as `key: what is wrong. What to do.`

    Args:
        config: The config as written, `${...}` in place.
        recipe: The recipe that is to read it.
    """
    keys = recipe_keys(recipe)
    messages = [f"{key}: is missing, and the recipe {recipe} reads it" for key in _missing(config, keys.required)]
    messages += _check_references(config)
    referenced = set(re.findall(r"\$\{([^.}]+)", repr(config)))
    known = {key.split(".")[0] for key in keys.read}
    for key, value in config.items():
        if key not in known and key not in referenced:
            what = f"is not read by the recipe {recipe}, so it would do nothing"
            messages.append(f"{key}: {what}. {suggestion(key, sorted(known))}")
        elif isinstance(value, dict) and "_component_" in value:
            messages += check_component(key, value, keys.built.get(key, Build(0, frozenset())))
        elif key in _PLAIN:
            messages += _check_plain(key, value)
        elif key in keys.built and not (isinstance(value, dict | list) or value is None):
            messages.append(f"{key}: must be a section with _component_, got {value!r}")
    rank = config["model"].get("lora_rank") if isinstance(config.get("model"), dict) else None
    if isinstance(rank, int) and rank < 1:
        messages.append(f"model.lora_rank: must be 1 or more, got {rank!r}")
    return messages + _check_family(config)


def _check_references(config: Config) -> list[str]:
    """Every `${key}` is one of the config's."""
    named = set(re.findall(r"(?<!\\)\$\{([A-Za-z_][\w.]*)\}", repr(config)))
    return [f"${{{key}}}: refers to a key that is not there. Correct it" for key in _missing(config, named)]


def _missing(config: Config, required: set[str]) -> Iterator[str]:
    for key in sorted(required):
        section: Any = config
        for part in key.split("."):
            if not isinstance(section, dict) or part not in section:
                yield key
                break
            section = section[part]


def _check_plain(key: str, value: Any) -> list[str]:
    """A key with a plain value has one of the types that the recipe can use."""
    if isinstance(value, str) and "${" in value:
        return []
    wanted = _PLAIN[key]
    fits = type(value) in wanted or (value is None and None in wanted)
    if not fits:
        return [f"{key}: must be {' or '.join(_WORDS[kind] for kind in wanted)}, got {value!r}"]
    if key in _AT_LEAST_1 and value is not None and value < 1:
        return [f"{key}: must be 1 or more, got {value!r}"]
    if key == "seed" and value is not None and value < 0:
        return [f"{key}: must be 0 or more, or null, got {value!r}"]
    if key == "clip_grad_norm" and value is not None and not _is_limit(value):
        return [f"{key}: must be a number above 0, 'inf' or null, got {value!r}"]
    if key == "dtype" and value not in _DTYPES:
        return [f"{key}: must be one of {', '.join(_DTYPES)}, got {value!r}"]
    if key == "device" and value is not None and not re.fullmatch(_DEVICES, value):
        return [f"{key}: must be cpu, cuda, xpu, npu or mps, or null, got {value!r}"]
    return []


def _is_limit(value: Any) -> bool:
    return value == "inf" if isinstance(value, str) else value > 0


def _check_family(config: Config) -> list[str]:
    """Model, tokenizer and checkpointer stand together in some config that torchtune ships."""
    model = _family_of(config.get("model"))
    if model is None:
        return []
    messages = []
    model_types, tokenizers = _shipped_pairs()
    checkpointer = config.get("checkpointer")
    kind = checkpointer.get("model_type") if isinstance(checkpointer, dict) else None
    if model in model_types and isinstance(kind, str) and "${" not in kind and kind not in model_types[model]:
        right = " or ".join(sorted(model_types[model]))
        messages.append(f"checkpointer.model_type: must be {right} for a model of torchtune.models.{model}, got {kind!r}")
    tokenizer = module_of(config.get("tokenizer"))
    if tokenizer is not None and model in tokenizers and tokenizer not in tokenizers[model]:
        right = " or ".join(sorted(tokenizers[model]))
        messages.append(f"tokenizer._component_: must be of torchtune.models.{right} for this model, got {tokenizer}")
    return messages


def module_of(section: Any) -> str | None:
    """`qwen2` of a section whose component is in torchtune.models.qwen2; None for a component from elsewhere."""
    dotpath = section.get("_component_") if isinstance(section, dict) else None
    found = re.match(r"torchtune\.models\.(\w+)\.", str(dotpath))
    return found[1] if found else None


def _family_of(section: Any) -> str | None:
    """The family of a section's builder, torchtune's own or `(lora_)<family>` of our components."""
    dotpath = str(section.get("_component_")) if isinstance(section, dict) else ""
    found = re.match(r"ftexp\.trainers\.torchtune\.components\.\w+\.(?:lora_)?(\w+)$", dotpath)
    return found[1] if found else module_of(section)


@functools.cache
def _shipped_pairs() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Per family of models the model types and the families of tokenizers that shipped configs give it."""
    model_types: dict[str, set[str]] = {}
    tokenizers: dict[str, set[str]] = {}
    for path in sorted(shipped_configs_dir().rglob("*.yaml")):
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        model = module_of(config.get("model"))
        tokenizer = module_of(config.get("tokenizer"))
        for name in {model, component_family(model)} if model else ():
            if "model_type" in config.get("checkpointer", {}):
                model_types.setdefault(name, set()).add(config["checkpointer"]["model_type"])
            if tokenizer:
                tokenizers.setdefault(name, set()).add(tokenizer)
    return model_types, tokenizers


@functools.cache
def component_family(family: str) -> str:
    """The family whose builders a family's models are built with: qwen2 for qwen2_5, by the imports in torchtune's source."""
    import torchtune.models

    source = Path(torchtune.models.__path__[0]) / family / "_model_builders.py"
    found = re.search(r"from torchtune\.models\.(\w+)\._(?:component|model)_builders import", source.read_text(encoding="utf-8"))
    return family if found is None or found[1] == family else component_family(found[1])


def check_paths(config: Config) -> list[str]:
    """Every file and folder that the config names is there, seen from the working folder."""
    messages = []
    for section, content in config.items():
        for key in _PATH_KEYS:
            value = content.get(key) if isinstance(content, dict) else None
            if isinstance(value, str) and "${" not in value and not Path(value).exists():
                messages.append(f"{section}.{key}: there is no such file or folder, got {value!r}. Correct the path")
    checkpointer = config.get("checkpointer")
    folder = checkpointer.get("checkpoint_dir") if isinstance(checkpointer, dict) else None
    files = checkpointer.get("checkpoint_files") if isinstance(checkpointer, dict) else None
    if isinstance(folder, str) and Path(folder).is_dir() and isinstance(files, list):
        absent = [name for name in files if not (Path(folder) / str(name)).is_file()]
        cure = "Correct the list, or copy the model again, whole"
        messages += [f"checkpointer.checkpoint_files: {folder} has no file {name!r}. {cure}" for name in absent]
    return messages
