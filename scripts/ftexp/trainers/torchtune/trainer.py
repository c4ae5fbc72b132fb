"""torchtune's face: see `ftexp.trainers.interface`. What needs torch is imported when it is asked for."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.models.config_json import read_model_config
from ftexp.trainers import recipes
from ftexp.trainers.interface import Config, Lack, ModelCheck
from ftexp.trainers.shares import share_of_batch
from ftexp.trainers.torchtune import lacks
from ftexp.trainers.torchtune.config import training_config
from ftexp.trainers.torchtune.expected_keys import config_keys_of
from ftexp.trainers.torchtune.families import family_of, longest_text_of
from ftexp.trainers.training_row import TrainingRow

if TYPE_CHECKING:
    import torch


def lack_of(run: Run) -> Lack | None:
    """What of a run torchtune does not have."""
    return lacks.lack_of(run)


def config(run: Run) -> Config:
    """The complete config of a run: see `training_config`."""
    return training_config(run)


def expected_keys(run: Run, name: str, value: Any) -> Config:
    """The config's keys that a setting decides: see `config_keys_of`."""
    return config_keys_of(run, name, value)


def command(run: Run) -> str:
    """`tune run` on the run's config."""
    return f"tune run {run.settings['recipe']} --config {paths.RunPaths(run.id).finetune_yaml}"


def resolved(config: Config) -> Config:
    """With every `${...}` replaced, twice, as torchtune's `instantiate` does."""
    from omegaconf import OmegaConf

    once = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    plain: Any = OmegaConf.to_container(OmegaConf.create(once), resolve=True)
    return dict(plain)


def check_configs(runs: Sequence[Run], configs: Mapping[str, Config]) -> dict[str, list[str]]:
    """Per run what is wrong with its config."""
    from ftexp.trainers.torchtune.checks import run_check

    return run_check.check_configs(runs, configs)


def check_models(configs: Mapping[str, Config]) -> dict[str, ModelCheck]:
    """Per run its model and the files of its base."""
    from ftexp.trainers.torchtune.checks import run_check

    return run_check.check_models(configs)


def base_logits(config: Config, rows: Sequence[Sequence[int]]) -> "list[torch.Tensor]":
    """The base by the config's own builder and checkpointer."""
    from ftexp.trainers.torchtune import base_model

    return base_model.base_logits(config, rows)


def training_rows(run: Run, most: int | None = None) -> Iterator[TrainingRow]:
    """The rows as the config's data set and tokenizer make them."""
    from omegaconf import OmegaConf
    from torchtune.config import instantiate

    from ftexp.trainers.prompted_rows import training_rows_of

    content: Any = OmegaConf.load(paths.RunPaths(run.training).finetune_yaml)
    if most is not None:
        content.dataset.rows = min(most, content.dataset.rows)
    return training_rows_of(instantiate(content.dataset, instantiate(content.tokenizer)))


def longest_row(config: Config) -> int:
    """Most tokens of a row that a config's model takes."""
    return int(config["model"]["max_seq_len"])


def longest_text(model_dir: Path) -> int:
    """Most tokens that a base model takes."""
    of_model = read_model_config(model_dir)
    return longest_text_of(family_of(of_model), of_model)


def train(run: Run, *, is_resumed: bool, processes: int, device: str) -> int:
    """Run the recipe on finetune.yaml, with what depends on the machine as overrides."""
    from ftexp.trainers.torchtune.process import run_recipe

    settings = run.settings
    overrides = [f"resume_from_checkpoint={is_resumed}", *([] if device == "auto" else [f"device={device}"])]
    overrides += [f"batch_size={share_of_batch(settings, processes)}"] if processes > 1 else []
    return run_recipe(settings["recipe"], paths.RunPaths(run.id).finetune_yaml, overrides, processes=processes)


def finished_epochs(scratch: Path) -> int:
    """Epochs whose adapter and optimizer state are whole."""
    from ftexp.trainers.torchtune.components.resume import finished_epochs

    return finished_epochs(scratch)


def product_dir(scratch: Path, epochs: int) -> Path:
    """The checkpoint folder of the last epoch; torchtune counts from 0."""
    from ftexp.trainers.torchtune.components.resume import epoch_dirs

    return epoch_dirs(scratch)[epochs - 1]


def objection_to_cpu(settings: dict[str, Any]) -> str | None:
    """Distributed recipes of torchtune 0.6.1 do not start on a CPU."""
    recipe = settings["recipe"]
    if not recipes.is_distributed(recipe):
        return None
    counterpart = recipes.on_one_device(recipe)
    return f"this leaves {recipe} on a CPU, where torchtune 0.6.1 does not start it. Use {counterpart}, or a site with GPUs"


def quantize_matrices(model: "torch.nn.Module", base_dir: Path, dtype: "torch.dtype", device: str) -> None:
    """Put the quantised matrices, as plain ones, into a base model that is loaded already."""
    from ftexp.trainers.torchtune import quantized_base

    quantized_base.quantize_matrices(model, base_dir, dtype, device)
