"""Configs of torchtune's checked: mistakes that cost a job in the queue, or silently train something else, and no false alarm."""

import copy
from pathlib import Path
from typing import Any

import pytest
import validate
from ftexp.design.settings import RECIPES
from ftexp.ground.errors import UserError
from ftexp.trainers.torchtune.checks.bare_config import check_file
from ftexp.trainers.torchtune.checks.component_arguments import fits
from ftexp.trainers.torchtune.checks.config_check import check_config, check_paths
from ftexp.trainers.torchtune.checks.recipe_keys import recipe_keys
from ftexp.trainers.torchtune.shipped_configs import shipped_configs_dir
from helpers.config_mistakes import MISTAKES
from helpers.torchtune_verdict import ACCEPTED, torchtune_verdict
from helpers.written_tables import tell
from omegaconf import OmegaConf

Config = dict[str, Any]
LORA = "lora_finetune_single_device"


def read(path: Path) -> Config:
    config = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(config, dict)
    return config  # type: ignore[return-value]


@pytest.fixture(scope="module")
def good() -> Config:
    """The config that torchtune ships for Qwen2.5 0.5B, LoRA on one device."""
    return read(shipped_configs_dir() / "qwen2_5/0.5B_lora_single_device.yaml")


def shipped() -> list[tuple[Path, str]]:
    """Every config that torchtune ships for supervised fine-tuning of a text model by a supported recipe, and the recipe."""
    left_out = ("vision", "generation", "_KD_", "/dev/")
    configs = [path for path in sorted(shipped_configs_dir().rglob("*.yaml")) if not any(word in str(path) for word in left_out)]
    pairs = [(path, check_file(path).recipe) for path in configs]
    return [(path, recipe) for path, recipe in pairs if recipe in RECIPES and "model" in read(path)]


# What is wrong with shipped configs indeed: a package that is not in the lock, keys that no recipe reads, a null that the
# recipe divides by.
TRUE_ALARMS = (
    "optimizer._component_: there is no module bitsandbytes.optim", "memory_efficient_fsdp_wrap: is not read by the recipe",
    "fsdp: is not read by the recipe", "log_every_n_steps: must be a whole number, got None",
)


@pytest.mark.slow
def test_no_shipped_config_raises_a_false_alarm() -> None:
    pairs = shipped()
    assert len(pairs) > 100 and {recipe for _, recipe in pairs} == set(RECIPES)
    alarms = {f"{path.parent.name}/{path.name}": check_config(read(path), recipe) for path, recipe in pairs}
    assert sum(not messages for messages in alarms.values()) > 80
    false = {name: [m for m in messages if not m.startswith(TRUE_ALARMS)] for name, messages in alarms.items()}
    assert not {name: messages for name, messages in false.items() if messages}


def test_the_recipe_is_that_of_the_files_comments_or_the_one_that_fits(good: Config, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = OmegaConf.to_yaml(OmegaConf.create(good))
    path.write_text(text)
    assert check_file(path).recipe == LORA
    path.write_text("# tune run --nproc_per_node 2 lora_finetune_distributed --config mine.yaml\n" + text)
    assert check_file(path).recipe == "lora_finetune_distributed"
    full = read(shipped_configs_dir() / "qwen2_5/0.5B_full_single_device.yaml")
    path.write_text(OmegaConf.to_yaml(OmegaConf.create(full)))
    assert check_file(path).recipe == "full_finetune_single_device"


def changed(good: Config, changes: dict[str, Any]) -> Config:
    """A config with dotted keys set, or removed where the value is None."""
    config = copy.deepcopy(good)
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = config
        for parent in parents:
            section = section[parent]
        if value is None:
            del section[last]
        else:
            section[last] = value
    return config


@pytest.mark.parametrize(("name", "changes", "message", "is_seen_by_torchtune"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_named_with_its_key(
    good: Config, name: str, changes: dict[str, Any], message: str, is_seen_by_torchtune: bool
) -> None:
    assert check_config(good, LORA) == []
    config = changed(good, changes)
    found = [line for line in check_config(config, LORA) if line.startswith(message)]
    assert found, check_config(config, LORA)
    verdict = torchtune_verdict(config)
    assert (verdict != ACCEPTED) == is_seen_by_torchtune
    tell("mistakes", f"config: {name}", ["config", name, found[0], verdict])


def test_files_that_are_not_there_are_named(good: Config, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    config = changed(good, {"checkpointer.checkpoint_dir": str(folder), "checkpointer.checkpoint_files": ["model.safetensors"]})
    messages = check_paths(config)
    cure = "Correct the list, or copy the model again, whole"
    assert f"checkpointer.checkpoint_files: {folder} has no file 'model.safetensors'. {cure}" in messages
    assert any(message.startswith("tokenizer.path: there is no such file or folder") for message in messages)
    assert not [m for m in check_paths(changed(config, {"tokenizer": {}, "checkpointer": {}})) if m]


def test_a_bare_config_is_checked_from_the_command_line(good: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(OmegaConf.to_yaml(OmegaConf.create(changed(good, {"epochs": None, "epoch": 3}))))
    assert validate.main([str(path)]) == 1
    out = capsys.readouterr()
    assert f"{path}: epoch: is not read by the recipe {LORA}" in out.err and f"as read by {LORA}" in out.out
    assert validate.main([str(path), "full_finetune_single_device"]) == 1
    assert "optimizer_in_bwd: is missing" in capsys.readouterr().err
    absent = str(tmp_path / "absent.yaml")
    for arguments, message in (([absent], "there is no such file"), ([str(path), "lora_finetune"], "Did you mean 'lora_fi")):
        with pytest.raises(UserError, match=message):
            validate.main(arguments)
    for text, message in (("a: [1, 2", "not readable as a config"), ("- a", "must be a mapping of"), ("a: ${b", "not readable")):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            validate.main([str(path)])


def test_what_a_recipe_reads_is_what_its_source_says() -> None:
    keys = recipe_keys(LORA)
    assert {"epochs", "model", "tokenizer", "lr_scheduler"} <= keys.required
    assert {"clip_grad_norm", "profiler", "model.lora_rank", "dataset.packed"} <= keys.read
    assert "optimizer_in_bwd" not in keys.read
    assert "clip_grad_norm" not in keys.required and "profiler" not in keys.required
    assert keys.built["optimizer"].positional == 1 and "num_training_steps" in keys.built["lr_scheduler"].keywords
    assert "optimizer_in_bwd" in recipe_keys("full_finetune_single_device").required


@pytest.mark.parametrize(("value", "hint", "expected"), [
    (1, int, True), (True, int, False), (1, float, True), ("1", float, False), (None, int, False), (None, int | None, True),
    ([1, "a"], list[int], False), ({}, dict[str, Any], True), ("${x}", int, True), ("a", Any, True), ("a", Path, True),
])
def test_a_value_fits_a_type(value: Any, hint: Any, expected: bool) -> None:
    assert fits(value, hint) is expected
