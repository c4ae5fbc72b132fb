"""Which trainer a run has. A second one is a row here, and a folder beside torchtune's."""

from collections.abc import Iterable, Mapping
from typing import Any

from ftexp.design.run import Run
from ftexp.trainers.interface import Trainer
from ftexp.trainers.torchtune import trainer as torchtune


def trainer_of(settings: Mapping[str, Any]) -> Trainer:
    """The trainer of a run with these settings: torchtune, as long as there is no other."""
    return torchtune


def quantizing_trainer() -> Trainer:
    """The one whose runs may have a quantised base."""
    return torchtune


def runs_by_trainer(runs: Iterable[Run]) -> list[tuple[Trainer, list[Run]]]:
    """The runs of each trainer, in their order."""
    found: dict[int, tuple[Trainer, list[Run]]] = {}
    for run in runs:
        trainer = trainer_of(run.settings)
        found.setdefault(id(trainer), (trainer, []))[1].append(run)
    return list(found.values())
