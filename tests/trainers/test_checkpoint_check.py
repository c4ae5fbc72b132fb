"""A base model's files against the model that its config.json describes, from their headers alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchao.dtypes.nf4tensor
from ftexp.checks.read_back import check_read_back
from ftexp.ground import paths
from ftexp.ground.yamlfile import load_yaml
from ftexp.trainers.torchtune.checks.checkpoint_check import check_checkpoint as check_against
from ftexp.trainers.torchtune.checks.config_check import check_config
from ftexp.trainers.torchtune.checks.trial import build_model
from helpers.tiny_models import TinyExperiment, make_experiment
from safetensors.torch import load_file, save_file


def check_checkpoint(config: dict[str, Any]) -> list[str]:
    built, problems = build_model(config)
    assert not problems
    return check_against(config, built)


OTHERS = ("llama3", "llama3_1", "llama3_2", "mistral", "phi3", "gemma", "gemma2")
FAMILIES = [("qwen2", "chatml"), *((name, "llama3") for name in OTHERS)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """A Qwen2-shaped model in several files."""
    return make_experiment(tmp_path_factory.mktemp("made") / "tiny", "qwen2", "chatml", is_sharded=True)


@pytest.fixture
def config(made: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The config of a run of a copy of it, which is the working folder."""
    shutil.copytree(made.root, tmp_path / "tiny", symlinks=True)
    monkeypatch.chdir(tmp_path / "tiny")
    return dict(load_yaml(paths.RunPaths(made.run).finetune_yaml))


@pytest.mark.parametrize(("family", "template"), FAMILIES, ids=[family for family, _ in FAMILIES])
@pytest.mark.parametrize("recipe", ["lora_finetune_single_device", "full_finetune_single_device"])
@pytest.mark.parametrize("is_sharded", [False, True])
def test_every_tensor_of_a_whole_checkpoint_is_accounted_for(
    family: str, template: str, recipe: str, is_sharded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_experiment(tmp_path / "tiny", family, template, recipe=recipe, is_sharded=is_sharded)
    monkeypatch.chdir(made.root)
    config = load_yaml(paths.RunPaths(made.run).finetune_yaml)
    assert (len(config["checkpointer"]["checkpoint_files"]) > 1) == is_sharded
    assert check_checkpoint(config) == []
    assert check_config(config, recipe) == []


def test_a_quantized_model_is_checked_unquantized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built quantised a model of 8 B takes a minute."""
    quantized = make_experiment(tmp_path / "tiny", "qwen2", "chatml", constants={"quantize_base": True}, is_wide=True)
    monkeypatch.chdir(quantized.root)
    config = load_yaml(paths.RunPaths(quantized.run).finetune_yaml)
    assert config["model"]["quantize_base"] is True
    monkeypatch.setattr(torchao.dtypes.nf4tensor.NF4Tensor, "from_tensor", None)
    assert check_checkpoint(config) == []
    assert check_config(config, "lora_finetune_single_device") == []
    assert check_read_back(quantized.document(), config) == []
    config["model"].pop("quantize_base")
    [message] = check_read_back(quantized.document(), config)
    assert message == "finetune.yaml: model.quantize_base: is None, but quantize_base was declared as True. Run `make stamp`"


def shards() -> list[Path]:
    return sorted(Path("models/tiny").glob("*.safetensors"))


def holding(name: str) -> Path:
    """The shard that holds a tensor."""
    index = json.loads(Path("models/tiny/model.safetensors.index.json").read_text())
    return Path("models/tiny") / str(index["weight_map"][name])


def change(name: str, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    path = holding(name)
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


def truncate() -> None:
    shards()[0].write_bytes(shards()[0].read_bytes()[:-10])


def cut_to_nothing() -> None:
    shards()[0].write_bytes(b"abc")


def garble() -> None:
    shards()[0].write_bytes(shards()[0].read_bytes().replace(b'"dtype"', b'"dtype"}', 1)[:-1])


def drop_a_tensor() -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    change(name, lambda tensors: tensors.__delitem__(name))


def add_a_layer() -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    change(name, lambda tensors: tensors.update({name.replace(".0.", ".7."): tensors[name].clone()}))


def add_a_stranger() -> None:
    change("model.norm.weight", lambda tensors: tensors.update({"model.vision.weight": torch.zeros(2)}))


def describe_another_width() -> None:
    path = Path("models/tiny/config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "intermediate_size": 24}))


MISTAKES: list[tuple[Callable[[], None], str]] = [
    (truncate, "and its header says"),
    (cut_to_nothing, "is no safetensors file, or cut short: it has 3 bytes. Copy the model again"),
    (garble, "its header is not readable"),
    (drop_a_tensor, "parameters of the model without a tensor: 1 (layers.0.mlp.w3.weight)"),
    (add_a_layer, "tensors without a place in the model that is built: 1 (layers.7.mlp.w3.weight)"),
    (add_a_stranger, "holds a tensor that a Qwen2 does not have: model.vision.weight"),
]


@pytest.mark.parametrize(("break_it", "message"), MISTAKES, ids=[mistake.__name__ for mistake, _ in MISTAKES])
def test_a_broken_checkpoint_is_named(config: dict[str, Any], break_it: Callable[[], None], message: str) -> None:
    assert check_checkpoint(config) == []
    break_it()
    found = check_checkpoint(config)
    assert len(found) == 1 and message in found[0] and found[0].startswith("models/tiny"), found


def test_weights_that_are_not_those_of_config_json_are_named(config: dict[str, Any]) -> None:
    describe_another_width()
    config["model"]["intermediate_dim"] = 24
    [message] = check_checkpoint(config)
    assert "has the shape [96, 64] in the checkpoint and [24, 64] in the model. Take config.json and the weights" in message
