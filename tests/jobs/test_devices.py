"""A GPU that was given and cannot be used is an error; a CPU computes only where no GPU was given, or it was asked for."""

from pathlib import Path

import pytest
import torch
from ftexp.evaluation.tuned_model import chosen_device
from ftexp.ground.errors import UserError
from ftexp.ground.gpus import gpu_ids
from ftexp.ground.torch_device import name_of, usable_device
from ftexp.jobs.stages import require_device
from ftexp.trainers.device_file import device_used
from ftexp.trainers.torchtune.components.metric_logger import CsvLogger
from omegaconf import OmegaConf

LISTED = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1b2c)"


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Torch finds none, whatever this machine has, and no driver answers."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CUDA_VISIBLE_DEVICES", "FTEXP_DEVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def driver(tmp_path: Path) -> None:
    """An nvidia-smi that lists a GPU."""
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho '{LISTED}'\n", encoding="utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)


@pytest.mark.usefixtures("driver")
def test_a_gpu_that_the_driver_lists_and_torch_cannot_use_is_an_error_of_training_and_evaluation() -> None:
    for asked in (require_device, chosen_device, lambda: usable_device("auto")):
        with pytest.raises(UserError, match=r"device: is auto, and a GPU was given \(nvidia-smi lists NVIDIA H100 80GB HBM3\)"):
            asked()


@pytest.mark.parametrize("visible", ["7", "0,1", "GPU-1b2c", "MIG-1"])
def test_a_gpu_that_is_named_and_cannot_be_used_is_an_error(visible: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(UserError, match=f"CUDA_VISIBLE_DEVICES is {visible!r}.*but torch cannot use it: .*set device: cpu"):
        require_device()


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("visible", ["", "-1", "NoDevFiles"])
def test_where_no_gpu_is_given_on_purpose_the_cpu_computes(visible: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_ids() == []
    assert require_device() == chosen_device() == "cpu"


def test_without_a_driver_the_cpu_computes_and_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert require_device() == "cpu"
    monkeypatch.setenv("FTEXP_DEVICE", "cuda")
    with pytest.raises(UserError, match="device: is cuda, but torch finds no GPU here"):
        require_device()


@pytest.mark.usefixtures("driver")
def test_a_cpu_that_is_asked_for_computes_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTEXP_DEVICE", "cpu")
    assert require_device() == chosen_device() == "cpu"


def test_a_gpu_that_torch_can_use_is_named_as_torch_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100")
    assert require_device() == "cuda" and name_of("cuda") == "NVIDIA A100" and name_of("cpu") == "cpu"


@pytest.mark.usefixtures("driver")
def test_the_training_itself_says_what_it_computes_on_not_what_the_driver_lists(tmp_path: Path) -> None:
    logger = CsvLogger(str(tmp_path), steps_per_epoch=1)
    rows = {"file": "train.jsonl", "rows": 2, "seed": 0}
    config = {"device": "cpu", "batch_size": 2, "gradient_accumulation_steps": 1, "dataset": rows}
    logger.log_config(OmegaConf.create({**config, "resume_from_checkpoint": False}))
    assert device_used(tmp_path) == "cpu"
    (tmp_path / "device.txt").write_text("NVIDIA A100\n", encoding="utf-8")
    logger.log_config(OmegaConf.create({**config, "resume_from_checkpoint": True}))
    logger.close()
    assert device_used(tmp_path) == "NVIDIA A100, then cpu"
