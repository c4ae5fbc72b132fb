"""The two proofs: the model that is evaluated is the model that was trained, and it sees the tokens of its training."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import inspect_ai
import pytest
import torch
from ftexp.evaluation.tuned_model import load_model
from ftexp.ground import paths
from ftexp.models.chat import Chat
from ftexp.models.config_json import read_model_config
from ftexp.trainers.torchtune.families import FAMILIES as MODEL_FAMILIES
from ftexp.trainers.torchtune.weight_layout import to_trainer
from helpers.marks import slow_but
from helpers.model_table import FAMILIES
from helpers.tiny_models import ROWS, TinyExperiment, enter, make_experiment, set_up_recipe
from helpers.trained_models import Trained, agreement, assert_another_model, assert_same_model, publish, train_and_publish
from torchao.dtypes.nf4tensor import NF4Tensor
from transformers import PreTrainedModel
from transformers.generation.utils import GenerationMixin

STOCK_CHECKPOINTER = "helpers.trained_models.StockCheckpointer"
EPOCHS = 8
# Seven in each of two layers.
MATRICES = 14
SYSTEM = "Answer ${output_dir} in {one} word. 日本"


# The model that is evaluated is the model that was trained: of every family and recipe in test_both_trainers.


def train_and_load(
    root: Path, family: str, *, checkpointer: str | None = None, model_dtype: str = "float32", **constants: Any
) -> tuple[Trained, PreTrainedModel]:
    """Train by the stock recipe and publish; and the base, each as evaluation loads it."""
    constants = {"epochs": EPOCHS, "lr": 1e-2, "dtype": "fp32", **constants}
    is_quantized = constants.get("quantize_base", False)
    experiment = make_experiment(
        root, family, FAMILIES[family], constants=constants, is_wide=is_quantized, model_dtype=model_dtype,
        evaluation={"max_tokens": 24},
    )
    changes = {"checkpointer___component_": checkpointer} if checkpointer else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        trained = train_and_publish(experiment, **changes)
        return trained, load_model(Path("models/tiny"), None, constants["dtype"], "cpu", quantize_base=is_quantized)


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    """Random sequences, long enough that scaled RoPE turns otherwise than unscaled."""
    return torch.randint(0, 256, (4, 512), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", slow_but(["qwen2", "phi3", "llama3_1", "gemma"], "qwen2"))
def test_a_base_is_quantized_whole_from_files_of_another_precision(family: str, tmp_path: Path, tokens: torch.Tensor) -> None:
    """Matrices without LoRA matrices too, which torchtune's Qwen2 would leave; by the numbers of the files, here bf16."""
    trained, base = train_and_load(tmp_path, family, quantize_base=True, lora_modules=["q", "v"], model_dtype="bfloat16")
    assert len(quantized_matrices(trained.model)) == MATRICES
    assert_same_model(trained, base, tokens)
    [checkpoint] = tmp_path.glob("runs/*/checkpoint")
    assert_another_model(trained, load_model(tmp_path / "models/tiny", checkpoint, "fp32", "cpu"), tokens)


@pytest.mark.parametrize("family", slow_but(["phi3", "qwen2", "llama3_2", "gemma2"], "phi3"))
def test_in_bf16_the_quantized_matrices_are_those_of_training_bit_by_bit(family: str, tmp_path: Path) -> None:
    """The logits in bf16 differ by rounding in what follows, quantised or not: 93 to 95 % of the most likely tokens agree."""
    trained, base = train_and_load(tmp_path, family, quantize_base=True, dtype="bf16")
    config = read_model_config(tmp_path / "models/tiny")
    evaluated = to_trainer(base.state_dict(), MODEL_FAMILIES[family].model_type, config)
    matrices = quantized_matrices(trained.model)
    assert len(matrices) == MATRICES
    assert not [name for name, matrix in matrices.items() if not torch.equal(matrix.to(torch.bfloat16), evaluated[name])]


def quantized_matrices(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The matrices that the recipe's model holds in NF4, by name, activation checkpointing left out of it."""
    wrapper = "_checkpoint_wrapped_module."
    return {name.replace(wrapper, ""): p.data for name, p in model.named_parameters() if isinstance(p.data, NF4Tensor)}


def test_the_stock_qwen_export_is_wrong(tmp_path: Path, tokens: torch.Tensor) -> None:
    """torchtune 0.6.1 reorders lora_B of q and k for RoPE, which Qwen's weights never were: it is why ours exists."""
    trained, _ = train_and_load(tmp_path, "qwen2", checkpointer=STOCK_CHECKPOINTER)
    same, _ = agreement(trained.logits, trained.evaluated, tokens)
    assert same < 0.9, f"torchtune's own Qwen export is right ({same:.3f} agree): the mending in checkpointer.py must go"


# The tokens in evaluation are those of training.


@dataclass
class Captured:
    """What entered the engines.

    Attributes:
        rows: In training, per row its tokens and labels, the padding cut off.
        prompts: In evaluation, per prompt the tokens that entered generate, the padding cut off.
        stop_ids: The tokens at which generate stops.
    """

    rows: list[tuple[list[int], list[int]]] = field(default_factory=list)
    prompts: list[list[int]] = field(default_factory=list)
    stop_ids: set[int] = field(default_factory=set)

    @property
    def training_prompts(self) -> list[list[int]]:
        """Per row of the training the tokens before the first one that is trained."""
        return [tokens[: next(i for i, label in enumerate(labels) if label >= 0)] for tokens, labels in self.rows]


def capture_training(experiment: TinyExperiment, captured: Captured) -> None:
    """Train on the test rows: a split never has a row on both sides, and the comparison needs the same ones."""
    file = paths.split_part(experiment.document().asked[0].test_set, "test")
    count = len(file.read_text(encoding="utf-8").splitlines())
    assert count == len(ROWS) // 2
    recipe = set_up_recipe(experiment.config(dataset__file=str(file), dataset__rows=count))
    labels: list[torch.Tensor] = []
    entered: list[torch.Tensor] = []
    step = recipe._loss_step

    def spy(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        labels.append(batch["labels"].clone())
        loss: torch.Tensor = step(batch)
        return loss

    recipe._loss_step = spy

    def enter(model: torch.nn.Module, _: Any, kwargs: dict[str, torch.Tensor]) -> None:
        if model.training:  # else it is looked whether its adapter does anything
            entered.append(kwargs["tokens"].clone())

    recipe._model.register_forward_pre_hook(enter, with_kwargs=True)
    recipe.train()
    recipe.cleanup()
    for batch, batch_labels in zip(entered, labels, strict=True):
        for row, row_labels in zip(batch.tolist(), batch_labels.tolist(), strict=True):
            end = max(i for i, label in enumerate(row_labels) if label >= 0) + 1
            captured.rows.append((row[:end], row_labels[:end]))


def capture_evaluation(experiment: TinyExperiment, captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluate by the run's own eval.py."""
    original = GenerationMixin.generate

    def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        for row, mask in zip(kwargs["input_ids"].tolist(), kwargs["attention_mask"].tolist(), strict=True):
            assert mask == sorted(mask), "the padding does not stand before the prompt"
            captured.prompts.append(row[mask.index(1):])
        captured.stop_ids |= set(kwargs["generation_config"].eos_token_id)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(GenerationMixin, "generate", spy)
    logs = inspect_ai.eval(str(paths.RunPaths(experiment.run).eval_py), log_dir="logs", display="none")
    assert logs[0].status == "success", logs[0].error


KINDS = ["chatml", "llama3", "none", "chatml with system", "llama3 with system", "mistral-v0.3 with system"]


@pytest.fixture(scope="module", params=KINDS)
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Captured, Chat]]:
    """What entered training and generate for the same rows, by kind of template, and the chat they were made by."""
    template, _, has_system = request.param.partition(" with ")
    family = {"chatml": "qwen2", "mistral-v0.3": "mistral"}.get(template, "llama3_2")
    captured = Captured()
    with pytest.MonkeyPatch.context() as patch:
        experiment = make_experiment(
            tmp_path_factory.mktemp("tokens"), family, None if template == "none" else template,
            prompt={"system": SYSTEM if has_system else None},
        )
        enter(experiment, patch)
        capture_training(experiment, captured)
        publish(experiment.document())
        capture_evaluation(experiment, captured, patch)
        yield request.param, captured, Chat("models/tiny", "1999-12-31")


def test_tokens_in_evaluation_are_those_of_training(engines: tuple[str, Captured, Chat]) -> None:
    _, captured, _ = engines
    assert len(captured.prompts) == len({tuple(prompt) for prompt in captured.prompts}) == len(ROWS) // 2
    assert sorted(captured.prompts) == sorted(captured.training_prompts)


def test_bos_is_there_as_often_as_the_template_gives_it(engines: tuple[str, Captured, Chat]) -> None:
    kind, captured, chat = engines
    bos = chat.tokenizer.bos_token_id
    wanted = 0 if kind.startswith("chatml") else 1
    assert {prompt.count(bos) for prompt in captured.prompts} == {wanted}
    assert all(prompt[0] == bos for prompt in captured.prompts) or not wanted


def test_the_prompt_holds_the_date_of_the_experiment_and_not_todays(engines: tuple[str, Captured, Chat]) -> None:
    kind, captured, chat = engines
    today = datetime.date.today().strftime("%d %b %Y")
    for text in map(chat.render, captured.prompts):
        assert today not in text
        assert ("Today Date: 03 Feb 2001" in text) == kind.startswith("llama3")


def test_the_token_that_stops_generation_is_trained(engines: tuple[str, Captured, Chat]) -> None:
    _, captured, _ = engines
    for tokens, labels in captured.rows:
        assert labels[-1] == tokens[-1]
        assert tokens[-1] in captured.stop_ids
        assert not captured.stop_ids & set(label for label in labels[:-1] if label >= 0)


def test_the_system_prompt_is_in_every_prompt_and_null_means_no_system_turn(engines: tuple[str, Captured, Chat]) -> None:
    kind, captured, chat = engines
    for text in map(chat.render, captured.prompts):
        assert (SYSTEM in text) == kind.endswith("with system")
        if kind == "chatml":
            assert "<|im_start|>system" not in text
