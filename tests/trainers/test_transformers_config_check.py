"""Configs of transformers trainings checked: what a hand can get wrong is one message each, with its key; and no false alarm."""

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import load_yaml
from ftexp.trainers.choice import config_of, name_of_trainer
from ftexp.trainers.torchtune.trainer import lack_of
from ftexp.trainers.transformers.checks import check_configs, check_models
from ftexp.trainers.transformers.config import training_config
from helpers.tiny_models import TinyExperiment, make_experiment

GONE = object()
Config = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    return make_experiment(tmp_path_factory.mktemp("made"), "phi3", "llama3", constants={"trainer": "transformers"})


@pytest.fixture
def experiment(made: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> TinyExperiment:
    monkeypatch.chdir(made.root)
    return made


def changed(config: Config, key: str, value: Any) -> Config:
    """With a dotted key set, or taken away."""
    config = copy.deepcopy(config)
    section, _, last = key.rpartition(".")
    inner = config[section] if section else config
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    return config


def messages(experiment: TinyExperiment, key: str = "", value: Any = None) -> list[str]:
    run = experiment.document()
    path = paths.RunPaths(run.id).finetune_yaml
    config = load_yaml(path, str(path))
    return check_configs([run], {run.id: changed(config, key, value) if key else config})[run.id]


def test_a_config_as_it_is_stamped_raises_no_alarm(experiment: TinyExperiment) -> None:
    assert messages(experiment) == []
    assert training_config(experiment.document())["lr_scheduler"]["schedule"] == "cosine"


@pytest.mark.parametrize(("key", "value", "message"), [
    ("epoch", 3, "epoch: is not read, so it would do nothing. Did you mean 'epochs'?"),
    ("epochs", "3", "epochs: must be a whole number, got '3'"),
    ("epochs", 0, "epochs: must be 1 or more, got 0"),
    ("epochs", GONE, "epochs: is missing"),
    ("seed", True, "seed: must be a whole number, got True"),
    ("trainer", "torchtune", "trainer: must be transformers, got 'torchtune'"),
    ("dtype", "fp16", "dtype: must be fp32 or bf16, got 'fp16'"),
    ("compile", "no", "compile: must be true or false, got 'no'"),
    ("clip_grad_norm", "one", "clip_grad_norm: must be a whole number or a number or null, got 'one'"),
    ("model.path", "models/tinny", "model.path: there is no such file or folder, got 'models/tinny'. Correct the path"),
    ("model.lora_alfa", 8, "model.lora_alfa: is not read, so it would do nothing. Did you mean"),
    ("model.lora_rank", 0, "model.lora_rank: must be 1 or more, got 0"),
    ("model.use_dora", "yes", "model.use_dora: must be true or false, got 'yes'"),
    ("dataset.file", "data/train.jsonl", "dataset.file: there is no such file or folder, got 'data/train.jsonl'. Correct"),
    ("dataset.rowz", 3, "dataset.rowz: is not read, so it would do nothing. Did you mean 'rows'?"),
    ("dataset.rows", GONE, "dataset.rows: is missing"),
    ("optimizer._component_", "torch.optim.Adamm", "optimizer._component_: there is no torch.optim.Adamm. Name a class"),
    ("optimizer._component_", "torchh.optim.Adam", "optimizer._component_: there is no torchh.optim.Adam. Name a class"),
    ("optimizer.weight_decy", 0.1, "optimizer.weight_decy: is not read, so it would do nothing. Did you mean 'weight_decay'?"),
    ("optimizer.weight_decay", -1, "optimizer: cannot be built: Invalid weight_decay value: -1. Correct its values"),
    ("lr_scheduler.schedule", "cosin", "lr_scheduler.schedule: must be cosine or linear or constant, got 'cosin'"),
    ("lr_scheduler.num_warmup_steps", 0.5, "lr_scheduler.num_warmup_steps: must be a whole number, got 0.5"),
])
def test_a_mistake_is_one_message_with_its_key(experiment: TinyExperiment, key: str, value: Any, message: str) -> None:
    [said] = messages(experiment, key, value)
    assert said.startswith(f"finetune.yaml: {message}"), said


def test_weights_that_are_not_of_config_json_are_a_message(experiment: TinyExperiment, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree("models/tiny", folder)
    text = (folder / "config.json").read_text(encoding="utf-8")
    (folder / "config.json").write_text(text.replace('"intermediate_size": 96', '"intermediate_size": 128'), encoding="utf-8")
    config = changed(training_config(experiment.document()), "model.path", str(folder))
    found = check_models({"a": config})["a"]
    assert any("has the shape" in message and message.startswith(str(folder)) for message in found.of_files), found


# Who trains, and what it lacks.


@pytest.mark.parametrize(("settings", "trainer", "why"), [
    ({}, "torchtune", None), ({"trainer": "transformers"}, "transformers", None),
    ({"use_dora": True}, "transformers", "exports DoRA adapters wrongly"),
])
def test_who_trains_is_said_or_follows_from_what_torchtune_lacks(
    experiment: TinyExperiment, settings: Config, trainer: str, why: str | None
) -> None:
    run = experiment.document()
    del run.settings["trainer"]
    run.settings |= settings
    assert name_of_trainer(run) == trainer
    lack = lack_of(run)
    assert (lack.why if lack else "").startswith(why or "") and bool(lack) == bool(why)


@pytest.mark.parametrize(("settings", "message"), [
    ({"quantize_base": True}, "quantize_base: is torchtune's"),
    ({"dtype": "bf16", "master_weights": True}, "master_weights: is for full fine-tunes in bf16"),
    ({"use_dora": True, "recipe": "full_finetune_single_device"}, "use_dora: is a kind of LoRA, got recipe full_finetune_single"),
    ({"use_dora": True, "lora_modules": ["q", "v"]}, "lora_modules: q and k and v are one matrix of this model, which DoRA"),
])
def test_what_transformers_lacks_is_refused_with_the_setting(experiment: TinyExperiment, settings: Config, message: str) -> None:
    run = experiment.document()
    run.settings |= settings
    with pytest.raises(UserError) as refused:
        config_of(run)
    assert str(refused.value).startswith(f"experiment.yaml: {message}")


@pytest.mark.parametrize(("key", "message"), [
    ("optimizer.weight_decy", "optimizer.weight_decy: no key that can be set where transformers trains. Did you mean"),
    ("optimizer.lr", "optimizer.lr: no key that can be set where transformers trains. Set 'lr' instead."),
    ("model.lora_rank", "model.lora_rank: no key that can be set where transformers trains. Set 'lora_rank' instead."),
    ("checkpointer.output_dir", "checkpointer.output_dir: no key that can be set where transformers trains."),
])
def test_a_key_that_only_torchtune_has_is_refused(experiment: TinyExperiment, key: str, message: str) -> None:
    run = experiment.document()
    run.overrides = {key: 1}
    with pytest.raises(UserError) as refused:
        training_config(run)
    assert str(refused.value).startswith(f"experiment.yaml: {message}")


def test_torchtune_asked_for_what_it_lacks_says_so(experiment: TinyExperiment) -> None:
    run = experiment.document()
    run.settings |= {"trainer": "torchtune", "use_dora": True}
    with pytest.raises(UserError, match=r"^experiment.yaml: trainer: torchtune 0.6.1 exports DoRA adapters wrongly, .* Set "):
        config_of(run)
