"""transformers' face: see `ftexp.trainers.interface`. What needs torch is imported when it is asked for."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.yamlfile import load_yaml
from ftexp.models.config_json import read_model_config
from ftexp.trainers.interface import Config, Lack, ModelCheck
from ftexp.trainers.recipes import is_distributed
from ftexp.trainers.shares import share_of_batch
from ftexp.trainers.training_row import TrainingRow
from ftexp.trainers.transformers import lacks
from ftexp.trainers.transformers.config import training_config
from ftexp.trainers.transformers.expected_keys import config_keys_of

if TYPE_CHECKING:
    import torch


def lack_of(run: Run) -> Lack | None:
    """What of a run a training by transformers does not have."""
    return lacks.lack_of(run)


def config(run: Run) -> Config:
    """The complete config of a run: see `training_config`."""
    return training_config(run)


def command(run: Run) -> str:
    """Python, or torchrun, on the run's config."""
    module = "-m ftexp.trainers.transformers.train"
    program = f"torchrun --nproc_per_node 1 {module}" if is_distributed(run.settings["recipe"]) else f"python {module}"
    return f"{program} {paths.RunPaths(run.id).finetune_yaml}"


def expected_keys(run: Run, name: str, value: Any) -> Config:
    """The config's keys that a setting decides: see `config_keys_of`."""
    return config_keys_of(run, name, value)


def resolved(config: Config) -> Config:
    """As it stands: `${` is a text like any other."""
    return config


def check_configs(runs: Sequence[Run], configs: Mapping[str, Config]) -> dict[str, list[str]]:
    """Per run what is wrong with its config."""
    from ftexp.trainers.transformers import checks

    return checks.check_configs(runs, configs)


def check_models(configs: Mapping[str, Config]) -> dict[str, ModelCheck]:
    """Per run its model and the files of its base."""
    from ftexp.trainers.transformers import checks

    return checks.check_models(configs)


def training_rows(run: Run, most: int | None = None) -> Iterator[TrainingRow]:
    """The rows as the config's data set and tokenizer make them."""
    from ftexp.trainers.prompted_rows import PromptedRows, chat_of, training_rows_of

    path = paths.RunPaths(run.training).finetune_yaml
    content = load_yaml(path, str(path))
    section = content["dataset"]
    if most is not None:
        section["rows"] = min(most, section["rows"])
    return training_rows_of(PromptedRows(chat_of(content["tokenizer"]), **section))


def base_logits(config: Config, rows: Sequence[Sequence[int]]) -> "list[torch.Tensor]":
    """The base as a training loads it, its LoRA matrices beginning."""
    from ftexp.trainers.transformers import model

    return model.base_logits(config, rows)


def longest_row(config: Config) -> int:
    """Most tokens of a row that a config's model takes."""
    return longest_text(Path(config["model"]["path"]))


def longest_text(model_dir: Path) -> int:
    """Most tokens that a base model takes."""
    return read_model_config(model_dir).longest


def train(run: Run, *, is_resumed: bool, processes: int, device: str) -> int:
    """Train by finetune.yaml, with what depends on the machine as overrides."""
    from ftexp.trainers.transformers.process import run_training

    overrides = [f"resume_from_checkpoint={str(is_resumed).lower()}", *([] if device == "auto" else [f"device={device}"])]
    share_of_batch(run.settings, processes)
    count = processes if is_distributed(run.settings["recipe"]) else None
    return run_training(paths.RunPaths(run.id).finetune_yaml, overrides, processes=count)


def finished_epochs(scratch: Path) -> int:
    """Epochs after which a training can go on."""
    from ftexp.trainers.transformers import resume

    return resume.finished_epochs(scratch)


def product_dir(scratch: Path, epochs: int) -> Path:
    """What the training kept: of its last epoch, or of the step that validation chose."""
    from ftexp.trainers.transformers.resume import kept_product

    return kept_product(scratch, epochs)


def objection_to_cpu(settings: dict[str, Any]) -> str | None:
    """Every training runs on a CPU too."""
    return None
