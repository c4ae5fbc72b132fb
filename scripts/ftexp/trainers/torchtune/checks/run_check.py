"""The configs of an experiment's runs, and their models: what is alike is looked at once."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ftexp.design.run import Run
from ftexp.trainers.dataset_section import check_row_length
from ftexp.trainers.interface import Config, ModelCheck, Sizes
from ftexp.trainers.torchtune.checks.checkpoint_check import check_checkpoint
from ftexp.trainers.torchtune.checks.config_check import check_config, check_paths
from ftexp.trainers.torchtune.checks.trial import build_model, check_parts


def check_configs(runs: Sequence[Run], configs: Mapping[str, Config]) -> dict[str, list[str]]:
    """Per run its config by itself; optimizer and loss are built once per distinct one."""
    tried: dict[str, list[str]] = {}
    found = {}
    for run in runs:
        config = configs[run.id]
        messages = [*check_config(config, run.settings["recipe"]), *check_paths(config)]
        parts = repr((config.get("optimizer"), config.get("loss")))
        if not messages and parts not in tried:
            tried[parts] = check_parts(config)
        messages += tried.get(parts, [])
        too_long = check_row_length(run, config["model"].get("max_seq_len"))
        found[run.id] = [*(f"finetune.yaml: {message}" for message in messages), *too_long]
    return found


def check_models(configs: Mapping[str, Config]) -> dict[str, ModelCheck]:
    """Per run the base weights against the model that its config builds, once per model."""
    checked: dict[Hashable, ModelCheck] = {}
    found = {}
    for run, config in configs.items():
        folder, section = str(config["checkpointer"]["checkpoint_dir"]), _of_rank_1(config["model"])
        key = repr((folder, section))
        if key not in checked:
            checked[key] = _check_model(folder, {**config, "model": section})
        found[run] = checked[key]
    return found


def _check_model(folder: str, config: Config) -> ModelCheck:
    built, problems = build_model(config)
    if problems:
        return ModelCheck(folder, [f"finetune.yaml: {problem}" for problem in problems], [], None)
    return ModelCheck(folder, [], check_checkpoint(config, built), _sizes(built))


def _of_rank_1(section: Config) -> Config:
    """The same model with LoRA matrices of rank 1: what does not change the layers that have some is left out."""
    if "lora_rank" not in section:
        return section
    return {**section, "lora_rank": 1, "lora_alpha": 1}


def _sizes(built: dict[str, Any]) -> Sizes:
    lora = sum(value.numel() for name, value in built.items() if "lora_" in name)
    return Sizes(sum(value.numel() for value in built.values()) - lora, lora or None)
