"""Trainings by transformers: seeds, kills and resumes, precision, and what changes no number.

Beside torchtune's: test_both_trainers. In several processes, and killed with everything around it: test_transformers_processes.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from ftexp.evaluation.tuned_model import load_model
from ftexp.ground import paths
from ftexp.trainers.train_csv import FAILURE_FILE, NO_EFFECT, TrainingFailed
from ftexp.trainers.transformers import train as training
from ftexp.trainers.transformers import training as steps
from ftexp.trainers.transformers.progress import StepLog
from ftexp.trainers.transformers.resume import PRODUCT, epoch_dirs, finished_epochs
from ftexp.trainers.transformers.training import RowTrainer
from helpers.marks import slow_but
from helpers.model_table import FAMILIES
from helpers.tiny_models import TinyExperiment, make_experiment, read_train_csv
from helpers.trained_models import logits_of, publish, train_by_transformers
from safetensors.torch import load_file

# 14 training rows in batches of 2, two of which make a step: 3 steps an epoch, and a tail of 2 rows.
EPOCHS, STEPS_PER_EPOCH = 3, 3
STEPS = EPOCHS * STEPS_PER_EPOCH
# Rounding in bf16, through two layers, of logits as a share of their standard deviation.
ROUNDING = 0.03
Products = tuple[bytes, list[tuple[str, ...]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    constants = {"trainer": "transformers", "epochs": EPOCHS, "gradient_accumulation_steps": 2, "warmup_steps": 2}
    return make_experiment(tmp_path_factory.mktemp("made"), "qwen2", "chatml", factors={"seed": [1, 2]}, constants=constants)


@pytest.fixture
def experiment(made: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> TinyExperiment:
    """An experiment with one run per seed; the working folder is its root."""
    monkeypatch.chdir(made.root)
    return made


def products(output_dir: Path) -> Products:
    """What a training gives, the clock aside: the last epoch's adapter, and the rows of train.csv."""
    adapter = epoch_dirs(output_dir)[EPOCHS] / PRODUCT / "adapter_model.safetensors"
    return adapter.read_bytes(), read_train_csv(output_dir / "train.csv")


def train_into(output_dir: Path, run: str = "s1", **changes: Any) -> Products:
    train_by_transformers(run, output_dir=str(output_dir), **changes)
    return products(output_dir)


def losses(output_dir: Path) -> list[float]:
    return [float(loss) for [loss] in read_train_csv(output_dir / "train.csv", ["loss"])]


@pytest.fixture(scope="module")
def uninterrupted(made: TinyExperiment, tmp_path_factory: pytest.TempPathFactory) -> Products:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made.root)
        return train_into(tmp_path_factory.mktemp("uninterrupted"))


def test_same_seed_gives_same_bytes_and_another_one_others(
    experiment: TinyExperiment, uninterrupted: Products, tmp_path: Path
) -> None:
    assert train_into(tmp_path / "again") == uninterrupted
    other = train_into(tmp_path / "other", run="s2")
    assert other[0] != uninterrupted[0] and other[1] != uninterrupted[1]


def test_variables_of_the_librarys_change_nothing(
    experiment: TinyExperiment, uninterrupted: Products, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"ACCELERATE_MIXED_PRECISION": "bf16", "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "8"}
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert train_into(tmp_path) == uninterrupted


def test_train_csv_has_one_row_per_step_with_all_that_is_known_of_it(uninterrupted: Products, experiment: TinyExperiment) -> None:
    rows = uninterrupted[1]
    assert [(int(step), int(epoch)) for step, epoch, _, _ in rows] == [(n + 1, n // STEPS_PER_EPOCH + 1) for n in range(STEPS)]
    assert all(float(loss) > 0 for _, _, loss, _ in rows)
    assert [float(rate) for _, _, _, rate in rows][:2] == pytest.approx([5e-3, 1e-2]) and float(rows[-1][3]) == 0


# Kill and resume.


class Killed(Exception):
    """Stands for kill -9: nothing of ours handles it."""


def kill_before(owner: Any, name: str, call: int, patch: pytest.MonkeyPatch) -> None:
    """Die where a function of `owner` is called for the `call`th time (from 1)."""
    original, calls = getattr(owner, name), []

    def dying(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == call:
            raise Killed(name)
        return original(*args, **kwargs)

    patch.setattr(owner, name, dying)


KILLS: dict[str, tuple[Any, str, int, int]] = {
    "in the first epoch": (StepLog, "on_step_end", 2, 0),
    "before the first epoch is written": (RowTrainer, "_write_state", 1, 0),
    "in the midst of writing the second epoch": (RowTrainer, "_save_optimizer_and_scheduler", 2, 1),
    "before the second epoch is in place": (steps, "put_in_place", 2, 1),
    "before the epoch before it is removed": (steps, "remove_before", 2, 2),
    "in the middle of the second epoch": (StepLog, "on_step_end", STEPS_PER_EPOCH + 2, 1),
    "while the product is written": (RowTrainer, "_write_product", 1, EPOCHS - 1),
    "after the last epoch": (training, "require_effect", 1, EPOCHS),
}


# In the midst of each kind of file; `make test-slow` at all other moments.
TRIED = ("in the midst of writing the second epoch", "while the product is written", "after the last epoch")


@pytest.mark.parametrize("when", slow_but(KILLS, *TRIED))
def test_a_killed_training_ends_with_the_bytes_losses_and_rates_of_an_uninterrupted_one(
    when: str, experiment: TinyExperiment, uninterrupted: Products, tmp_path: Path
) -> None:
    owner, name, call, finished = KILLS[when]
    with pytest.MonkeyPatch.context() as patch:
        kill_before(owner, name, call, patch)
        with pytest.raises(Killed):
            train_into(tmp_path)
    assert finished_epochs(tmp_path) == finished
    assert train_into(tmp_path, resume_from_checkpoint=bool(finished)) == uninterrupted
    assert list(epoch_dirs(tmp_path)) == [EPOCHS]


def test_dropout_goes_on_after_a_kill_as_it_would_have(
    experiment: TinyExperiment, uninterrupted: Products, tmp_path: Path
) -> None:
    whole = train_into(tmp_path / "whole", model__lora_dropout=0.3)
    assert whole[1] != uninterrupted[1]
    with pytest.MonkeyPatch.context() as patch:
        kill_before(StepLog, "on_step_end", STEPS_PER_EPOCH + 2, patch)
        with pytest.raises(Killed):
            train_into(tmp_path / "killed", model__lora_dropout=0.3)
    assert train_into(tmp_path / "killed", model__lora_dropout=0.3, resume_from_checkpoint=True) == whole


# What changes how it is computed, and no number; what ends it.


def test_two_batches_of_a_step_are_one_of_twice_the_rows_and_checkpoints_of_activations_none(
    experiment: TinyExperiment, uninterrupted: Products, tmp_path: Path
) -> None:
    """Where the rows of a step have answers of different lengths, so that batches' means could not be averaged."""
    whole = [float(loss) for _, _, loss, _ in uninterrupted[1]]
    train_into(tmp_path / "big", batch_size=4, gradient_accumulation_steps=1)
    assert losses(tmp_path / "big") == pytest.approx(whole, abs=1e-5)
    train_into(tmp_path / "checkpointed", enable_activation_checkpointing=True)
    assert losses(tmp_path / "checkpointed") == pytest.approx(whole, abs=1e-6)


def test_a_loss_that_is_none_and_an_adapter_without_effect_end_the_training_with_the_reason(
    experiment: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrainingFailed, match=r"^step 3: the loss is nan, .* on rows \d+, \d+, \d+, \d+ of data/splits/"):
        train_into(tmp_path / "nan", optimizer__lr=1e30)
    assert (tmp_path / "nan" / FAILURE_FILE).read_text(encoding="utf-8").startswith("step 3: ")
    with pytest.raises(TrainingFailed, match=f"^{NO_EFFECT}$"):
        train_into(tmp_path / "nothing", optimizer__lr=1e-30)
    monkeypatch.setattr("ftexp.trainers.prompted_rows.PromptedRows.__getitem__", without_labels)
    with pytest.raises(TrainingFailed, match="^step 1: the loss is nan"):
        train_into(tmp_path / "no token")


def without_labels(rows: Any, index: int) -> dict[str, list[int]]:
    tokens = list(rows._prompts[rows.order[index]])
    return {"tokens": tokens, "labels": [-100] * len(tokens)}


# Precision.


def precisions(tensors: Any) -> set[torch.dtype]:
    return {tensor.dtype for tensor in tensors}


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """Root mean square of the difference, as a share of the standard deviation."""
    return ((one.float() - other.float()).pow(2).mean().sqrt() / one.float().std()).item()


@pytest.mark.parametrize(("family", "more"), [
    ("qwen2", {}), ("phi3", {"use_dora": True}), pytest.param("gemma2", {}, marks=pytest.mark.slow),
], ids=["LoRA", "DoRA", "Gemma 2"])
def test_in_bf16_an_adapter_and_its_state_are_fp32_and_evaluated_as_trained(
    family: str, more: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = {"trainer": "transformers", "epochs": EPOCHS, "dtype": "bf16", "lr": 1e-3, **more}
    experiment = make_experiment(tmp_path, family, FAMILIES[family], constants=constants, model_dtype="bfloat16")
    monkeypatch.chdir(tmp_path)
    trainer = train_by_transformers(experiment.run)
    model = trainer.model
    of_adapter = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert of_adapter and all("lora_" in name for name in of_adapter)
    state = [value for held in trainer.optimizer.state.values() for value in held.values()]
    assert precisions(of_adapter.values()) == precisions(state) == {torch.float32}
    assert precisions(value for value in model.parameters() if not value.requires_grad) == {torch.bfloat16}
    publish(experiment.document())
    folder = paths.RunPaths(experiment.run).checkpoint_dir
    assert precisions(load_file(folder / "adapter_model.safetensors").values()) == {torch.float32}
    tokens = torch.randint(0, 250, (4, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        trained = logits_of(model)(tokens)
        evaluated, untuned = (
            logits_of(load_model(Path("models/tiny"), checkpoint, "bf16", "cpu"))(tokens) for checkpoint in (folder, None)
        )
    assert apart(trained, evaluated) < ROUNDING and apart(trained, evaluated) < apart(trained, untuned) / 1.2


@pytest.mark.parametrize("more", [{}, {"master_weights": True}], ids=["plain", "master weights"])
def test_all_weights_are_trained_in_bf16_with_fp32_ones_beside_where_that_is_asked(
    more: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = {"trainer": "transformers", "recipe": "full_finetune_single_device", "dtype": "bf16", "lr": 3e-5, "epochs": 8}
    experiment = make_experiment(tmp_path, "qwen2", "chatml", constants={**constants, **more}, model_dtype="bfloat16")
    monkeypatch.chdir(tmp_path)
    trainer = train_by_transformers(experiment.run)
    assert precisions(trainer.model.parameters()) == {torch.bfloat16}
    copies = [state.get("weight") for state in trainer.optimizer.state.values()]
    assert all(copy is not None and copy.dtype == torch.float32 for copy in copies) == bool(more)
    publish(experiment.document())
    evaluated = load_model(Path("models/tiny"), paths.RunPaths(experiment.run).checkpoint_dir, "bf16", "cpu")
    held = dict(evaluated.named_parameters())
    assert all(torch.equal(value, held[name]) for name, value in trainer.model.named_parameters())
    found = losses(paths.RunPaths(experiment.run).scratch_dir("train"))
    learned = sum(found[:7]) - sum(found[-7:])
    assert (learned > 0.5) == bool(more), learned  # steps of 3e-5 are lost in bf16
