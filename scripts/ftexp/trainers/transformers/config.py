"""The complete config of a training by transformers: its keys, where they mean the same, are called as in torchtune's configs.

Reads config.json of the model's folder, never a table of names.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from ftexp.data.splits import VALIDATION
from ftexp.design.run import Run
from ftexp.design.settings import MASTER_WEIGHTS, SETTINGS
from ftexp.design.validation_section import steps_between_looks
from ftexp.ground import paths
from ftexp.ground.components import component_at
from ftexp.ground.errors import UserError, suggestion
from ftexp.models.config_json import ModelConfig, read_model_config
from ftexp.trainers.asked import check_master_weights
from ftexp.trainers.dataset_section import dataset_section, tokenizer_section
from ftexp.trainers.lora_names import roles_of
from ftexp.trainers.recipes import is_lora
from ftexp.trainers.transformers.parts import parts_of

ADAM, MASTER_ADAM = "torch.optim.AdamW", "ftexp.trainers.master_weights.AdamW"
# What judges answers while a model is trained: by its path, because what judges is built upon what trains.
JUDGE = "ftexp.scoring.while_training.scores"
# Keys that may be set beside the optimizer's own: those that change how is trained, not what.
_OPEN_KEYS = ("clip_grad_norm", "compile", "enable_activation_checkpointing")


def training_config(run: Run) -> dict[str, Any]:
    """The complete config of a run, without what depends on the machine.

    Args:
        run: The content of its run.yaml; transformers has what it asks (see `lacks`).

    Raises:
        UserError: If what is asked does not go together.
    """
    settings = run.settings
    model_dir = paths.model_dir(settings["model"])
    of_model = read_model_config(model_dir)
    _check_asked(settings, of_model)
    config = {
        "trainer": "transformers",
        "output_dir": str(paths.RunPaths(run.id).scratch_dir("train")),
        "resume_from_checkpoint": False,
        "device": None,
        "seed": settings["seed"],
        "dtype": settings["dtype"],
        "epochs": settings["epochs"],
        "batch_size": settings["batch_size"],
        "gradient_accumulation_steps": settings["gradient_accumulation_steps"],
        "clip_grad_norm": settings.get("max_grad_norm"),
        "compile": False,
        "enable_activation_checkpointing": False,
        "model": _model_section(run, str(model_dir)),
        "tokenizer": tokenizer_section(run),
        "dataset": dataset_section(run),
        "optimizer": {
            "_component_": MASTER_ADAM if settings.get(MASTER_WEIGHTS) else ADAM, "lr": settings["lr"], "betas": [0.9, 0.999],
            "eps": 1e-8, "weight_decay": settings.get("weight_decay", 0.01), "fused": True,
        },
        "lr_scheduler": {"schedule": settings["schedule"], "num_warmup_steps": settings["warmup_steps"]},
        **({"validation": _validation_section(run)} if run.validation else {}),
    }
    for key, value in run.overrides.items():
        _override(config, key, value)
    return config


def _check_asked(settings: Mapping[str, Any], config: ModelConfig) -> None:
    """What is asked goes together.

    Raises:
        UserError: If not.
    """
    recipe = settings["recipe"]
    check_master_weights(settings)
    if settings.get("use_dora") and not is_lora(recipe):
        raise UserError(f"experiment.yaml: use_dora: is a kind of LoRA, got recipe {recipe}. Leave use_dora out.")
    if not is_lora(recipe):
        return
    modules = settings["lora_modules"]
    if "output" in modules and settings.get("head"):
        what = "a classifier has a last layer of its own, which is trained as a whole"
        raise UserError(f"experiment.yaml: lora_modules: {what}, got {modules}. Leave 'output' out.")
    if "output" in modules and config.is_tied:
        what = "the output layer of this model is the embedding again, which gets no LoRA matrices"
        raise UserError(f"experiment.yaml: lora_modules: {what}, got {modules}. Leave 'output' out.")
    roles = set(roles_of(modules))
    partly = [stacked for stacked in parts_of(config).fused.values() if roles & set(stacked) and not set(stacked) <= roles]
    if settings.get("use_dora") and partly:
        what = f"{' and '.join(partly[0])} are one matrix of this model, which DoRA adapts as a whole"
        raise UserError(f"experiment.yaml: lora_modules: {what}, got {modules}. Name all of them.")


def _model_section(run: Run, folder: str) -> dict[str, Any]:
    settings = run.settings
    of_head = {"head": settings["head"], "labels": run.labels} if settings.get("head") else {}
    if not is_lora(settings["recipe"]):
        return {"path": folder, **of_head}
    return {
        "path": folder, **of_head, "lora_modules": settings["lora_modules"], "lora_rank": settings["lora_rank"],
        "lora_alpha": settings["lora_alpha"], "lora_dropout": settings.get("lora_dropout", 0.0),
        "use_dora": bool(settings.get("use_dora")),
    }


def _validation_section(run: Run) -> dict[str, Any]:
    """How often, by which rows, by what; the rest of what makes rows tokens is the data set's."""
    asked = run.validation
    return {
        "file": str(paths.split_part(run.training_set, VALIDATION)), "every_steps": steps_between_looks(run),
        "metric": asked["metric"], "patience": asked["patience"], "threshold": asked["threshold"], "keep": asked["keep"],
        **({"scorer": {"_component_": JUDGE, **asked["scorer"]}, "max_tokens": asked["max_tokens"]} if "scorer" in asked else {}),
    }


def _override(config: dict[str, Any], key: str, value: Any) -> None:
    """Set a key that a person may set, or take it away by null where its component has a value of its own.

    Raises:
        UserError: If it is none.
    """
    section, _, last = key.rpartition(".")
    if key not in _OPEN_KEYS and not _is_of_optimizer(config["optimizer"], section, last):
        open_keys = [*_OPEN_KEYS, *(f"optimizer.{name}" for name in _parameters(config["optimizer"]["_component_"]))]
        own = [name for name in SETTINGS if name == last]
        advice = f"Set '{own[0]}' instead." if own else suggestion(key, open_keys)
        raise UserError(f"experiment.yaml: {key}: no key that can be set where transformers trains. {advice}")
    target = config[section] if section else config
    if value is None and section:
        target.pop(last, None)
    else:
        target[last] = value


def _is_of_optimizer(optimizer: Mapping[str, Any], section: str, last: str) -> bool:
    """Whether a key is one of the optimizer's that may be set; only where the config does not have it, torch is asked."""
    if section != "optimizer" or last in ("lr", "_component_"):
        return False
    return last in optimizer or last in _parameters(optimizer["_component_"])


def _parameters(dotpath: str) -> list[str]:
    """The keyword parameters of an optimizer."""
    return [name for name in inspect.signature(component_at(dotpath)).parameters if name not in ("self", "params", "lr")]
