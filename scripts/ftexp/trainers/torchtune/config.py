"""torchtune's keys, and how a run and the folder of its base model map to them. Another trainer is another such file.

A config starts from the one that torchtune ships for this recipe and the model of the nearest shape; what depends on the model
comes from its folder (config.json, index, tokenizer files), never from a table of names.
"""

import copy
import functools
import inspect
import re
from pathlib import Path
from typing import Any

from ftexp.design.run import Run
from ftexp.design.settings import SETTINGS, is_quantized
from ftexp.ground import paths
from ftexp.ground.components import component_at
from ftexp.ground.errors import UserError, suggestion
from ftexp.models.config_json import read_model_config
from ftexp.models.folder import weight_files
from ftexp.trainers.dataset_section import dataset_section, tokenizer_section
from ftexp.trainers.recipes import is_lora
from ftexp.trainers.torchtune.families import FAMILIES, dimensions, family_of
from ftexp.trainers.torchtune.precision import COMPONENTS, has_fp32_adapter, optimizer_section
from ftexp.trainers.torchtune.quantization import check_quantized
from ftexp.trainers.torchtune.shipped_configs import (
    ModelShape,
    check_decided,
    nearest_configs,
    read_as_torchtune,
    shipped_optimizer,
)

_ATTENTION_NAMES = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "output_proj"}
_OF_LORA = "model.lora_"
# How LoRA matrices begin: not as the recipe draws them, but as in every other trainer.
_INITIAL_LORA = {
    "seed": "${seed}", "rank": "${model.lora_rank}", "attention": "${model.lora_attn_modules}",
    "mlp": "${model.apply_lora_to_mlp}", "output": "${model.apply_lora_to_output}",
}


def training_config(run: Run) -> dict[str, Any]:
    """The complete torchtune config of a run, without what depends on the machine.

    Args:
        run: The content of its run.yaml; torchtune has what it asks (see `lacks`).

    Raises:
        UserError: If what is asked does not go together, a torchtune key does not exist, or the experiment must decide
            between two shipped configs.
    """
    settings = run.settings
    model_dir = paths.model_dir(settings["model"])
    of_model = read_model_config(model_dir)
    family = family_of(of_model)
    arguments = dimensions(family, of_model)
    shipped = nearest_configs(settings["recipe"], family, ModelShape.of(arguments), is_quantized=is_quantized(settings))
    config = copy.deepcopy(read_as_torchtune(shipped[0].path))
    ours = {
        "model": _model_section(family, arguments, settings, config["model"]),
        "tokenizer": {
            "_component_": f"{COMPONENTS}.tokenizer.ChatTokenizer", **tokenizer_section(run),
        },
        "checkpointer": _checkpointer_section(family, model_dir),
        "dataset": {"_component_": f"{COMPONENTS}.dataset.PromptedRows", **dataset_section(run, escape_interpolation)},
        **_schedule_and_logging(run, config),
    }
    if is_lora(settings["recipe"]):
        has_output = FAMILIES[family].has_lora_output
        ours["checkpointer"]["initial_lora"] = {**_INITIAL_LORA, **({} if has_output else {"output": False})}
    direct = {key: value for key, value in _keys_of_settings(settings).items() if not key.startswith(_OF_LORA)}
    if run.kind == "trained":
        check_decided(shipped, frozenset(ours), frozenset({*run.overrides, *direct}))
    config |= ours
    for key, value in direct.items():
        _assign(config, key, value)
    if "output_dir" in config.get("profiler", {}):
        config["profiler"]["output_dir"] = "${output_dir}/profiling_outputs"  # some shipped ones name a folder of a machine
    for key, value in run.overrides.items():
        _override(config, key, escape_interpolation(value))
    return config


def _model_section(family: str, arguments: dict[str, Any], settings: dict[str, Any], shipped: dict[str, Any]) -> dict[str, Any]:
    """The component builder of the family with every dimension spelled out, and the LoRA arguments.

    Raises:
        UserError: If LoRA is wanted where the family's builder has none, or a quantised base that cannot be.
    """
    lora = is_lora(settings["recipe"])
    check_quantized(family, arguments, settings)
    is_nf4 = is_quantized(settings)
    builders = FAMILIES[family].quantized_builders if is_nf4 else FAMILIES[family].builders
    module = f"{COMPONENTS}.fp32_adapters" if has_fp32_adapter(settings) else f"{builders}.{family}"
    section = {"_component_": f"{module}.{'lora_' if lora else ''}{family}", **arguments}
    if not lora:
        return section
    modules = settings["lora_modules"]
    if "output" in modules and (section.get("tie_word_embeddings") or not FAMILIES[family].has_lora_output):
        what = f"the output layer of this {family} is the embedding again, which torchtune gives no LoRA matrices"
        raise UserError(f"experiment.yaml: lora_modules: {what}, got {modules}. Leave 'output' out.")
    section |= {
        "lora_attn_modules": [_ATTENTION_NAMES[m] for m in _ATTENTION_NAMES if m in modules],
        "apply_lora_to_mlp": "mlp" in modules,
        **{key.removeprefix("model."): value for key, value in _keys_of_settings(settings).items() if key.startswith(_OF_LORA)},
    }
    section.setdefault("lora_dropout", shipped.get("lora_dropout", 0.0))
    if FAMILIES[family].has_lora_output:
        section["apply_lora_to_output"] = "output" in modules
    return {**section, "quantize_base": True} if is_nf4 else section


def _keys_of_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The keys that a setting decides alone, with their values."""
    return {setting.key: settings[name] for name, setting in SETTINGS.items() if setting.key and name in settings}


def _assign(config: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key of a config that has its section."""
    *parents, last = key.split(".")
    for parent in parents:
        config = config[parent]
    config[last] = value


def _checkpointer_section(family: str, model_dir: Path) -> dict[str, Any]:
    return {
        "_component_": f"{COMPONENTS}.checkpointer.ResumableCheckpointer",
        "checkpoint_dir": str(model_dir),
        "checkpoint_files": weight_files(model_dir),
        "recipe_checkpoint": None,
        "output_dir": "${output_dir}",
        "model_type": FAMILIES[family].model_type,
    }


def _schedule_and_logging(run: Run, config: dict[str, Any]) -> dict[str, Any]:
    """The top-level keys that a run decides; `device: null` takes a GPU where there is one, and offloading would need one."""
    settings = run.settings
    changes = {
        "output_dir": str(paths.RunPaths(run.id).scratch_dir("train")),
        "seed": settings["seed"],
        "shuffle": True,
        "epochs": settings["epochs"],
        "max_steps_per_epoch": None,
        "batch_size": settings["batch_size"],
        "gradient_accumulation_steps": settings["gradient_accumulation_steps"],
        "optimizer": optimizer_section(settings, shipped_optimizer(config)),
        "lr_scheduler": {
            "_component_": f"{COMPONENTS}.schedule.{settings['schedule']}_with_warmup",
        },
        "dtype": settings["dtype"],
        "device": None,
        "enable_activation_offloading": False,
        "resume_from_checkpoint": False,
        "metric_logger": {
            "_component_": f"{COMPONENTS}.metric_logger.CsvLogger",
            "output_dir": "${output_dir}",
            "steps_per_epoch": run.steps["steps_per_epoch"],
        },
        "log_every_n_steps": 1,
        "log_peak_memory_stats": True,
    }
    if is_lora(settings["recipe"]):
        changes["save_adapter_weights_only"] = True
    else:
        changes["optimizer_in_bwd"] = False
    return changes


def _override(config: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key that exists in the config or is a parameter of its component; null removes it.

    Raises:
        UserError: If it is neither.
    """
    *parents, last = key.split(".")
    section = config
    for parent in parents:
        if not isinstance(section.get(parent), dict):
            advice = suggestion(parent, _sections(section))
            raise UserError(f"experiment.yaml: {key}: torchtune's config has no section '{parent}'. {advice}")
        section = section[parent]
    known = {*section}
    if last not in known:  # asking a component what it takes imports torchtune
        known |= {*_parameters(section)}
    if last not in known:
        raise UserError(f"experiment.yaml: {key}: unknown torchtune key. {suggestion(last, sorted(known))}")
    if value is None:
        section.pop(last, None)
    else:
        section[last] = value


def _sections(config: dict[str, Any]) -> list[str]:
    return [name for name, value in config.items() if isinstance(value, dict)]


def _parameters(section: dict[str, Any]) -> list[str]:
    """The keyword parameters of a section's component."""
    if "_component_" not in section:
        return []
    return _component_parameters(section["_component_"])


@functools.cache
def _component_parameters(dotpath: str) -> list[str]:
    import torchtune.config

    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    assert torchtune.config is not None
    return [n for n, p in inspect.signature(component_at(dotpath)).parameters.items() if p.kind in kinds]


def escape_interpolation(value: Any) -> Any:
    """Escape `${` in a text of the user's, which OmegaConf would read as a reference to another key."""
    if isinstance(value, list):
        return [escape_interpolation(item) for item in value]
    if isinstance(value, str):
        # Twice: torchtune 0.6.1's `instantiate` resolves a section twice; n backslashes become 2n + 1 each time.
        return re.sub(r"(\\*)\$\{", lambda match: 4 * match[1] + r"\\\${", value)
    return value
