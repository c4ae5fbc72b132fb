"""The lines that `make cite` prints load the evaluated model: the same logits, for every family."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ftexp.evaluation.tuned_model import load_model
from ftexp.ground import paths
from ftexp.results.loading_lines import loading_lines
from ftexp.state.publishing import publish_checkpoint
from ftexp.trainers.torchtune.components.resume import epoch_dirs
from helpers.model_table import FAMILIES
from helpers.tiny_models import make_experiment, train

FULL = {"recipe": "full_finetune_single_device"}
WAYS = [
    *(pytest.param(family, {"dtype": "bf16"}, marks=[pytest.mark.slow] if family not in ("qwen2", "gemma2") else [])
      for family in FAMILIES),
    ("qwen2", {"dtype": "fp32"}), ("gemma2", {**FULL, "dtype": "fp32"}), ("llama3_2", {**FULL, "dtype": "bf16"}),
]


def as_transformers_5(file: Path) -> None:
    """The config with its RoPE under the key that transformers 5 writes, and that 4.57 does not read."""
    said = json.loads(file.read_text(encoding="utf-8"))
    said["rope_parameters"] = {"rope_type": "default", "rope_theta": said.pop("rope_theta")}
    said.pop("rope_scaling", None)
    file.write_text(json.dumps(said), encoding="utf-8")


def assert_same(root: Path, constants: dict[str, Any], experiment: Any) -> None:
    run = experiment.document()
    lines = loading_lines(run)
    found: dict[str, Any] = {}
    exec("\n".join(lines), found)
    evaluated = load_model(Path("models/tiny"), paths.RunPaths(run.id).checkpoint_dir, constants["dtype"], "cpu")
    tokens = torch.randint(0, 250, (2, 100), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(found["model"](tokens).logits, evaluated(tokens).logits), lines
    assert len(found["tokenizer"]) > 250


@pytest.mark.parametrize(("family", "constants"), WAYS)
def test_the_lines_of_a_run_give_the_logits_of_its_evaluation(
    family: str, constants: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_experiment(tmp_path, family, FAMILIES[family], constants=constants, model_dtype="bfloat16")
    monkeypatch.chdir(tmp_path)
    train(experiment.config())
    run = experiment.document()
    publish_checkpoint(run, epoch_dirs(paths.RunPaths(run.id).scratch_dir("train"))[0])
    assert_same(tmp_path, constants, experiment)
    if family == "qwen2":
        file = Path("models/tiny/config.json")
        said = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps({**said, "rope_theta": 1e6}), encoding="utf-8")
        as_transformers_5(file)
        assert_same(tmp_path, constants, experiment)
        assert "'rope_theta': 1000000" in " ".join(loading_lines(run))
