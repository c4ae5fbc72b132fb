"""Trainings of tiny experiments in the test's own process, by either trainer; and whether two models are one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ftexp.design.run import Run
from ftexp.design.settings import TORCHTUNE
from ftexp.evaluation.tuned_model import load_model
from ftexp.ground import paths
from ftexp.ground.yamlfile import load_yaml
from ftexp.state.publishing import publish_checkpoint
from ftexp.trainers.choice import name_of_trainer, trainer_of
from ftexp.trainers.transformers import train as transformers_training
from torchtune.training import FullModelHFCheckpointer
from transformers import PreTrainedModel

from helpers.tiny_models import TinyExperiment, train

Logits = Callable[[torch.Tensor], torch.Tensor]
# Families whose output layer is no embedding.
WITH_OUTPUT = ("llama3_1", "llama3", "mistral", "phi3", "olmo2")
# Float error of fp32 on logits of about 10.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Trained:
    """A run that was trained in the working folder: the model as its trainer holds it, and as published.

    Attributes:
        logits: Of the model as trained, [rows, length, vocabulary].
        evaluated: The model as evaluation loads it.
        model: The model as the trainer holds it.
    """

    logits: Logits
    evaluated: PreTrainedModel
    model: torch.nn.Module


class StockCheckpointer(FullModelHFCheckpointer):
    """torchtune's own, under the arguments of a config of ours."""

    def __init__(self, *args: Any, initial_lora: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


def train_and_publish(experiment: TinyExperiment, name: str | None = None, **changes: Any) -> Trained:
    """Train a run by its own finetune.yaml, publish, and load as evaluation does.

    Args:
        changes: Keys of the config, `__` for a dot.
    """
    run = experiment.document(name)
    model = trained_model(experiment, run.id, **changes)
    publish(run)
    settings = run.settings
    evaluated = load_model(
        Path("models/tiny"), paths.RunPaths(run.id).checkpoint_dir, settings["dtype"], "cpu",
        quantize_base=bool(settings.get("quantize_base")),
    )
    return Trained(logits_of(model), evaluated, model)


def trained_model(experiment: TinyExperiment, name: str, **changes: Any) -> torch.nn.Module:
    """The model of a run as its trainer leaves it."""
    if name_of_trainer(experiment.document(name)) == TORCHTUNE:
        recipe: torch.nn.Module = train(experiment.config(name, **changes))._model
        return recipe
    model: torch.nn.Module = train_by_transformers(name, **changes).model
    return model


def train_by_transformers(name: str, **changes: Any) -> Any:
    """Train a run of the working folder; give the library's trainer."""
    path = paths.RunPaths(name).finetune_yaml
    config = {**load_yaml(path, str(path)), "device": "cpu"}
    for key, value in changes.items():
        section, _, last = key.rpartition("__")
        (config[section] if section else config)[last] = value
    return transformers_training.train(config)


def publish(run: Run) -> None:
    """What a job does when a training has ended."""
    scratch = paths.RunPaths(run.id).scratch_dir("train")
    publish_checkpoint(run, trainer_of(run).product_dir(scratch, run.settings["epochs"]))


def logits_of(model: torch.nn.Module) -> Logits:
    """Logits of a torchtune model, which may give them in chunks, or of one of transformers'."""
    model.eval()

    def logits(tokens: torch.Tensor) -> torch.Tensor:
        output = model(tokens)
        chunks = output if isinstance(output, list) else [getattr(output, "logits", output)]
        return torch.cat(chunks, dim=1)

    return logits


@torch.no_grad()
def agreement(first: Logits, second: torch.nn.Module, tokens: torch.Tensor) -> tuple[float, float]:
    """Share of positions with the same most likely token, and the largest difference of two logits.

    Positions at which the two most likely tokens are closer than rounding may move them are left out: they are few, and another
    CPU's sums decide them otherwise.
    """
    a, b = first(tokens), logits_of(second)(tokens)
    best, next_best = a.topk(2).values.unbind(-1)
    is_clear = best - next_best > 2 * TOLERANCE
    assert is_clear.float().mean() > 0.99
    return (a.argmax(-1) == b.argmax(-1))[is_clear].float().mean().item(), (a - b).abs().max().item()


def assert_same_model(trained: Trained, base: torch.nn.Module, tokens: torch.Tensor) -> None:
    """What is evaluated is what was trained, and the base is another."""
    same, difference = agreement(trained.logits, trained.evaluated, tokens)
    assert same == 1.0
    assert difference < TOLERANCE
    same_as_base, _ = agreement(trained.logits, base, tokens)
    assert same_as_base < 0.9, "the training changed too little for this test to tell anything"


def assert_another_model(trained: Trained, other: torch.nn.Module, tokens: torch.Tensor) -> None:
    """As on a plain base, where a quantised one was trained on."""
    same, difference = agreement(trained.logits, other, tokens)
    assert same < 0.9 and difference > 100 * TOLERANCE, "the two are too alike for this test to tell anything"
