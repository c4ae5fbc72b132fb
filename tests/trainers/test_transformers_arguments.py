"""What a training by transformers computes on and with, by its config alone."""

import os
from typing import Any

import pytest
from ftexp.ground import torch_device
from ftexp.ground.errors import UserError
from ftexp.trainers.transformers.checks import _check
from ftexp.trainers.transformers.train import training_arguments

CONFIG: dict[str, Any] = {
    "output_dir": "out", "device": None, "dtype": "fp32", "epochs": 1, "batch_size": 2, "gradient_accumulation_steps": 1,
    "clip_grad_norm": None, "compile": False, "enable_activation_checkpointing": False, "seed": 1, "optimizer": {"lr": 1e-3},
}


def test_no_variable_of_a_launcher_decides_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable left alone a training in fp32 would compute in bf16."""
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    arguments = training_arguments(CONFIG)
    assert os.environ["ACCELERATE_MIXED_PRECISION"] == "no"
    assert "ACCELERATE_USE_FSDP" not in os.environ
    assert (arguments.bf16, arguments.fp16) == (False, False)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_fp32_is_fp32_when_compiled(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would multiply in tf32 then, on a GPU that can."""
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "no")
    assert training_arguments({**CONFIG, "compile": True, "dtype": dtype}).tf32 is False


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="torch finds no GPU here"):
        training_arguments({**CONFIG, "device": "cuda"})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.setattr(torch_device, "gpu_ids", lambda: ["7"])
    with pytest.raises(UserError, match="a GPU was given"):
        training_arguments(CONFIG)


def test_one_gpu_of_several_is_not_named_in_a_config() -> None:
    """It would train on the first."""
    assert "finetune.yaml: device: must be cpu or cuda, or null, got 'cuda:1'" in _check({**CONFIG, "device": "cuda:1"})
