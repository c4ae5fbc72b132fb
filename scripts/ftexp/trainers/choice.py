"""Which trainer a run has: the one that is set, else torchtune, where it has what is asked. A further one is a row here."""

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ftexp.design.run import Run
from ftexp.design.settings import TORCHTUNE, TRANSFORMERS
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import identity
from ftexp.models.config_json import read_model_config
from ftexp.trainers.interface import Trainer
from ftexp.trainers.torchtune import trainer as torchtune
from ftexp.trainers.torchtune.families import NotInTorchtune, family_of
from ftexp.trainers.torchtune.lacks import lack_of
from ftexp.trainers.transformers import trainer as transformers

if TYPE_CHECKING:
    import torch

_TRAINERS: Mapping[str, Trainer] = {TORCHTUNE: torchtune, TRANSFORMERS: transformers}


def trainer_of(run: Run) -> Trainer:
    """The trainer of a run."""
    return _TRAINERS[name_of_trainer(run)]


def name_of_trainer(run: Run) -> str:
    """`torchtune` or `transformers`."""
    return run.settings.get("trainer") or (TRANSFORMERS if why_not_torchtune(run) else TORCHTUNE)


def why_not_torchtune(run: Run) -> str | None:
    """What of a run torchtune does not have, as the rest of a sentence; None where it has all, or the model is not known."""
    file = paths.model_dir(run.settings["model"]) / "config.json"
    return lack_of(run) or (_lack_of_model(file.absolute(), tuple(identity(file))) if file.is_file() else None)


@functools.cache
def _lack_of_model(file: Path, as_it_is: tuple[int, ...]) -> str | None:
    """What torchtune lacks for a base model; None too where its folder is not usable, which is a message of its own.

    Args:
        file: Its config.json.
        as_it_is: The file's identity, because it may change.
    """
    try:
        family_of(read_model_config(file.parent))
    except NotInTorchtune as lack:
        return lack.lacks
    except UserError:
        return None
    return None


def trainers_in_words(runs: Iterable[Run]) -> list[str]:
    """Where nobody says who trains, and it is not torchtune: who does, for which model, and why; a line each."""
    found = {
        f"trainer: transformers for {run.settings['model']}: torchtune 0.6.1 {why_not_torchtune(run)}"
        for run in runs if not run.settings.get("trainer") and why_not_torchtune(run)
    }
    return sorted(found)


def quantize_matrices(model: "torch.nn.Module", base_dir: Path, dtype: "torch.dtype", device: str) -> None:
    """Put into a loaded base the numbers that a training on a quantised base computes with; torchtune alone has any."""
    torchtune.quantize_matrices(model, base_dir, dtype, device)


def runs_by_trainer(runs: Iterable[Run]) -> list[tuple[Trainer, list[Run]]]:
    """The runs of each trainer, in their order."""
    found: dict[int, tuple[Trainer, list[Run]]] = {}
    for run in runs:
        trainer = trainer_of(run)
        found.setdefault(id(trainer), (trainer, []))[1].append(run)
    return list(found.values())
