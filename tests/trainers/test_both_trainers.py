"""The two trainers beside each other, in every family and way of training: one training of each, and all that is asked of it.

Who trains makes no difference: the losses of the steps and the logits in the end are the same. What is evaluated is what was
trained. The rows of docs/models.md are told here.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from ftexp.design.run import Run
from ftexp.design.settings import TORCHTUNE, TRANSFORMERS
from ftexp.evaluation.tuned_model import load_model
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.trainers.choice import config_of
from ftexp.trainers.sizes import adapter_size
from ftexp.trainers.torchtune import trainer as torchtune_trainer
from helpers.model_table import FAMILIES, NEWER, WAYS, checked_row, trainers_of, tried
from helpers.tiny_models import TinyExperiment, make_experiment, read_train_csv
from helpers.trained_models import (
    WITH_OUTPUT,
    Trained,
    agreement,
    assert_another_model,
    assert_same_model,
    logits_of,
    train_and_publish,
)
from helpers.written_tables import tell
from safetensors.torch import load_file

# 14 training rows in 7 steps an epoch.
EPOCHS, STEPS = 8, 56
# Between the trainers, in fp32: two programs add up in other orders.
LOSSES_ALIKE, LOGITS_ALIKE = 1e-5, 1e-4
# Of the sequences on which they are compared; rows of the training have 30 tokens.
LENGTH = 128
# Tried by `make test` too: plain matrices, fused ones, other norms, and one that torchtune has not.
QUICK = {
    ("qwen2", "LoRA"), ("qwen2", "full"), ("qwen2", "QLoRA"), ("phi3", "DoRA"), ("gemma2", "LoRA"), ("qwen3", "LoRA"),
}


def make(root: Path, family: str, kind: str) -> TinyExperiment:
    """A training by each trainer that has the family, LoRA on every layer that can have some."""
    lr = 1e-3 if kind == "full" else 1e-2  # a larger one makes more of rounding with every step
    if family == "granite":  # which divides its logits
        lr *= 60 if kind == "full" else 5
    constants: dict[str, Any] = {"epochs": EPOCHS, "lr": lr, "dtype": "fp32", **WAYS[kind]}
    if family in WITH_OUTPUT and kind == "LoRA":
        constants["lora_modules"] = ["q", "k", "v", "o", "mlp", "output"]
    return make_experiment(
        root, family, {**FAMILIES, **NEWER}[family], constants=constants, is_sharded=family == "llama3_1",
        is_wide=kind == "QLoRA", factors={"trainer": trainers_of(family, kind)}, evaluation={"max_tokens": 24},
    )


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    """Random sequences, long enough that scaled RoPE turns otherwise than unscaled."""
    return torch.randint(0, 250, (4, 512), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("family", "kind"), [
    pytest.param(*pair, id=" ".join(pair), marks=[] if pair in QUICK else pytest.mark.slow) for pair in tried()
])
def test_a_model_is_checked_and_trained_alike_by_both_and_the_evaluated_one_gives_its_logits(
    family: str, kind: str, tmp_path: Path, tokens: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make(tmp_path, family, kind)
    monkeypatch.chdir(tmp_path)
    row, costs = checked_row(family, kind)
    runs = {experiment.document(name).settings["trainer"]: experiment.document(name) for name in experiment.runs[1:]}
    assert set(runs) == set(trainers_of(family, kind))
    base = load_model(Path("models/tiny"), None, "fp32", "cpu", quantize_base=kind == "QLoRA")
    trained = {}
    for trainer, run in runs.items():
        trained[trainer] = train_and_publish(experiment, run.id)
        assert bool(list(paths.RunPaths(run.id).checkpoint_dir.glob("adapter*"))) == (kind != "full")
        assert_same_model(trained[trainer], base, tokens)
        assert_cost(costs[run.id], run, trained[trainer], has_blocks=family in ("phi3", "phi4_mini", "gpt2"))
    if kind == "QLoRA":
        checkpoint = paths.RunPaths(runs[TORCHTUNE].id).checkpoint_dir
        assert_another_model(trained[TORCHTUNE], load_model(Path("models/tiny"), checkpoint, "fp32", "cpu"), tokens)
    if len(runs) == 2:
        assert_alike(runs, trained, tokens)
    tell("models", f"{family} {kind}", [*row, "yes" if len(runs) == 2 else "", why_not_both(kind, runs)])


def assert_cost(cost: Any, run: Run, trained: Trained, *, has_blocks: bool) -> None:
    """What was foretold; LoRA matrices side by side have blocks of zeros between them, which are not counted."""
    assert (cost.steps, cost.rows, cost.rows_left_out) == (STEPS, 14, 0)
    assert cost.parameters == load_model(Path("models/tiny"), None, "fp32", "cpu").num_parameters()
    assert cost.trained_parameters == sum(matrix.numel() for matrix in trained.model.parameters() if matrix.requires_grad)
    size = adapter_size(run.settings)
    assert size is None or size.parameters == cost.trained_parameters
    if not has_blocks or not run.settings["recipe"].startswith("lora"):
        files = paths.RunPaths(run.id).checkpoint_dir.glob("*.safetensors")
        kept = sum(matrix.nbytes for path in files for matrix in load_file(path).values())
        assert cost.disk_mb * 1e6 == pytest.approx(kept, abs=501)


def assert_alike(runs: dict[str, Run], trained: dict[str, Trained], tokens: torch.Tensor) -> None:
    """Step by step the losses and rates, and the adapters that are published."""
    mine, theirs = (
        [tuple(map(float, row)) for row in read_train_csv(paths.RunPaths(runs[name].id).train_csv)]
        for name in (TORCHTUNE, TRANSFORMERS)
    )
    assert [row[:2] for row in mine] == [row[:2] for row in theirs] and len(mine) == STEPS
    assert [row[3] for row in mine] == pytest.approx([row[3] for row in theirs], abs=1e-15)
    assert max(abs(one[2] - other[2]) for one, other in zip(mine, theirs, strict=True)) < LOSSES_ALIKE
    evaluated = logits_of(trained[TORCHTUNE].evaluated)
    same, difference = agreement(evaluated, trained[TRANSFORMERS].evaluated, tokens[:, :LENGTH])
    assert same == 1.0 and difference < LOGITS_ALIKE


def why_not_both(kind: str, runs: dict[str, Run]) -> str:
    """What one of the trainers says of it."""
    if TORCHTUNE not in runs:
        return str(torchtune_trainer.lack_of(runs[TRANSFORMERS]))
    if TRANSFORMERS in runs:
        return ""
    runs[TORCHTUNE].settings["trainer"] = TRANSFORMERS
    with pytest.raises(UserError) as refused:
        config_of(runs[TORCHTUNE])
    return str(refused.value).removeprefix("experiment.yaml: ")
