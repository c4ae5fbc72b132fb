"""The face of a trainer: what everything else asks of one. A second trainer is a folder whose `trainer` module has these."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ftexp.design.run import Run
from ftexp.trainers.training_row import TrainingRow

if TYPE_CHECKING:
    import torch

Config = dict[str, Any]


@dataclass(frozen=True)
class Lack:
    """Something that a run asks of a trainer which does not have it.

    Attributes:
        trainer: What the trainer is called in a sentence.
        asked: The key of experiment.yaml that asks for it, or `model`.
        why: The rest of a sentence that begins with the trainer's name.
    """

    trainer: str
    asked: str
    why: str

    def __str__(self) -> str:
        """The sentence."""
        return f"{self.trainer} {self.why}"


@dataclass(frozen=True)
class Sizes:
    """A model as a config builds it.

    Attributes:
        parameters: Of the base model.
        lora_per_rank: Of its LoRA matrices, per rank; None where all parameters are trained.
        magnitudes: DoRA's, one for each row of an adapted matrix, whatever the rank.
    """

    parameters: int
    lora_per_rank: int | None
    magnitudes: int = 0

    def trained(self, rank: int) -> int:
        """Parameters that are trained."""
        return self.parameters if self.lora_per_rank is None else self.lora_per_rank * rank + self.magnitudes


@dataclass(frozen=True)
class AdapterSize:
    """A run's LoRA matrices beside the model that they adapt, by its config.json.

    Attributes:
        narrowest: The smallest side of a matrix that is adapted: no change of it needs a higher rank.
        module: That matrix, as `lora_modules` names it.
        parameters: Of the LoRA matrices; base_parameters of the model.
    """

    narrowest: int
    module: str
    parameters: int
    base_parameters: int


@dataclass(frozen=True)
class ModelCheck:
    """What is wrong with a config's model, what with the files of its base, and how large it is, if it can be built."""

    folder: str
    of_model: list[str]
    of_files: list[str]
    sizes: Sizes | None


class Trainer(Protocol):
    """What a trainer's `trainer` module offers. A config is the content of its finetune.yaml."""

    def lack_of(self, run: Run) -> Lack | None:
        """What of a run it does not have; None where it has all, or nobody knows because the model's folder is not usable."""

    def config(self, run: Run) -> Config:
        """The complete config of a run, without what depends on the machine."""

    def command(self, run: Run) -> str:
        """How the config is started by hand."""

    def expected_keys(self, run: Run, name: str, value: Any) -> Config:
        """The config's dotted keys that a setting decides, with the values they must have; not by the code that makes configs."""

    def resolved(self, config: Config) -> Config:
        """A config as the trainer reads it: with its references to other keys replaced, if it has any."""

    def check_configs(self, runs: Sequence[Run], configs: Mapping[str, Config]) -> dict[str, list[str]]:
        """Per run what is wrong with its config."""

    def check_models(self, configs: Mapping[str, Config]) -> dict[str, ModelCheck]:
        """Per run its model and the files of its base; what is alike is looked at once."""

    def training_rows(self, run: Run, most: int | None = None) -> Iterator[TrainingRow]:
        """The rows of a run as its config's own data set makes them, in its order; of the split's first `most` where given."""

    def base_logits(self, config: Config, rows: Sequence[Sequence[int]]) -> "list[torch.Tensor]":
        """Per row of tokens the logits [length, vocabulary] of the base that a training begins with, in fp32 on the CPU."""

    def longest_row(self, config: Config) -> int:
        """Most tokens of a row that a config's model takes."""

    def longest_text(self, model_dir: Path) -> int:
        """Most tokens that a base model takes."""

    def train(self, run: Run, *, is_resumed: bool, processes: int, device: str) -> int:
        """Train by the run's finetune.yaml; the exit status, negative for a signal."""

    def finished_epochs(self, scratch: Path) -> int:
        """Epochs from which an interrupted training can go on."""

    def product_dir(self, scratch: Path, epochs: int) -> Path:
        """What a training of so many epochs that has ended keeps, in Hugging Face layout."""

    def objection_to_cpu(self, settings: dict[str, Any]) -> str | None:
        """Why a run cannot be trained without a GPU, and what to do; None where it can."""
