"""The configs that are stamped say what was declared, all of it, and nothing else."""

import json
import re
import shutil
from typing import Any

import pytest
import split as split_stage
import stamp as stamp_stage
from ftexp.checks.design_check import check_differences, check_distinct
from ftexp.checks.read_back import check_read_back
from ftexp.design.runs import derive_steps, expand
from ftexp.design.settings import TRAINERS
from ftexp.design.spec import read_experiment
from ftexp.ground import paths
from ftexp.ground.nested import value_at
from ftexp.ground.yamlfile import load_yaml, parse_yaml
from ftexp.jobs.site import Site
from ftexp.jobs.stamping import generate_files
from helpers.stamped import RUNS, config_of, edit_experiment, resolved, set_factors, trained_runs
from omegaconf import OmegaConf

ALL_FACTORS = """{lora_rank: [4, 16], lora_alpha: [8, 3.5], lr: [1e-4, 0.02], seed: [0, 7], warmup_steps: [0, 3],
 loss: [completion, full], weight_decay: [0, 0.5], max_grad_norm: [1.0, null], lora_modules: [[q, v], [mlp, o, q]],
 lora_dropout: [0, 0.05], schedule: [linear, constant], optimizer.eps: [1e-6, 1e-5],
 max_seq_len: [64, null], train_size: [64, 128], gradient_accumulation_steps: [1, 2], dtype: [fp32, bf16],
 wording: {bare: {prompt.user: '{input}'}, told: {prompt.system: 'Be ${brief}.', prompt.user: 'Do {input}'}}}"""


@pytest.mark.usefixtures("experiment")
@pytest.mark.parametrize("trainer", TRAINERS)
def test_every_factor_is_read_back_from_the_config(trainer: str) -> None:
    edit_experiment(", dtype: fp32", f", trainer: {trainer}")
    keys = {
        "lora_rank": "model.lora_rank",
        "lora_alpha": "model.lora_alpha",
        "lr": "optimizer.lr",
        "seed": "dataset.seed",
        "warmup_steps": "lr_scheduler.num_warmup_steps",
        "loss": "dataset.loss",
        "weight_decay": "optimizer.weight_decay",
        "max_grad_norm": "clip_grad_norm",
        "lora_dropout": "model.lora_dropout",
        "optimizer.eps": "optimizer.eps",
        "max_seq_len": "dataset.max_seq_len",
        "train_size": "dataset.rows",
        "dtype": "dtype",
        "gradient_accumulation_steps": "gradient_accumulation_steps",
    }
    every = parse_yaml(ALL_FACTORS, "factors")
    for which in (0, 1):
        one = {
            name: [levels[which]] if isinstance(levels, list) else dict([list(levels.items())[which]])
            for name, levels in every.items()
        }
        set_factors(json.dumps(one))
        experiment = read_experiment(paths.EXPERIMENT_YAML)
        (run,) = [run for run in expand(experiment) if run.kind == "trained"]
        derive_steps(run, 2000)
        text = generate_files([run], Site()).files[paths.RunPaths(run.id).finetune_yaml]
        loaded: Any = OmegaConf.create(text)
        config = resolved(loaded) if trainer == "torchtune" else parse_yaml(text, "finetune.yaml")
        assert check_read_back(run, parse_yaml(text, "finetune.yaml")) == []
        for name, key in keys.items():
            if name in one:
                assert value_at(config, key) == one[name][0], name
        if trainer == "torchtune":
            modules = {"q": "q_proj", "v": "v_proj", "o": "output_proj"}
            assert value_at(config, "model.lora_attn_modules") == [
                modules[m] for m in ("q", "v", "o") if m in one["lora_modules"][0]
            ]
            assert value_at(config, "model.apply_lora_to_mlp") == ("mlp" in one["lora_modules"][0])
        (wording,) = dict(one["wording"]).values()
        assert value_at(config, "dataset.user") == wording["prompt.user"]
        assert value_at(config, "dataset.system") == wording.get("prompt.system")


def _configs(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {run.id: load_yaml(paths.RunPaths(run.id).finetune_yaml) for run in runs}


def undeclared(runs: list[dict[str, Any]], configs: dict[str, Any]) -> list[tuple[str, str]]:
    return check_differences(runs, configs, read_experiment(paths.EXPERIMENT_YAML).factors)


def _set(config: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        config = config[parent]
    config[last] = value


@pytest.mark.usefixtures("stamped_once")
def test_two_configs_differ_in_declared_factors_only() -> None:
    runs = trained_runs()
    configs = _configs(runs)
    assert undeclared(runs, configs) == []
    texts = {run: paths.RunPaths(run).finetune_yaml.read_text().replace(run, "RUN").splitlines() for run in RUNS[1:]}
    changed = {
        line.split(":")[0].strip()
        for a in texts.values()
        for b in texts.values()
        for line, other in zip(a, b, strict=True)
        if line != other
    }
    assert changed == {"lora_rank", "lora_alpha", "lr"}


@pytest.mark.usefixtures("stamped_once")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer.weight_decay", 0.02),
        ("seed", 9),
        ("dataset.user", "{input}!"),
        ("model.num_layers", 2),
        ("new_key", 1),
        ("loss._component_", "x.y"),
    ],
)
@pytest.mark.parametrize("position", [0, 2])
def test_a_difference_that_no_factor_declares_is_found(key: str, value: Any, position: int) -> None:
    runs = trained_runs()
    configs = _configs(runs)
    _set(configs[runs[position].id], key, value)
    assert any(f"finetune.yaml: {key}: differs from run" in message for _, message in undeclared(runs, configs))


@pytest.mark.usefixtures("stamped_once")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer.lr", 0.5),
        ("model.lora_rank", 5),
        ("model.lora_alpha", 1),
        ("batch_size", 33),
        ("dataset.rows", 1),
        ("dtype", "bf16"),
        ("checkpointer.checkpoint_dir", "models/other"),
        ("model.apply_lora_to_mlp", False),
        ("lr_scheduler.num_warmup_steps", 0),
        ("lr_scheduler._component_", "ftexp.trainers.torchtune.components.schedule.linear_with_warmup"),
        ("dataset.user", "{input}!"),
        ("dataset.system", "Be brief."),
        ("dataset.file", "data/splits/other/train.jsonl"),
        ("dataset.output_column", "input"),
        ("tokenizer.date", "2025-12-31"),
    ],
)
def test_a_value_that_was_not_declared_is_found(key: str, value: Any) -> None:
    run = trained_runs()[1]
    config = load_yaml(paths.RunPaths(run.id).finetune_yaml)
    assert check_read_back(run, config) == []
    _set(config, key, value)
    assert any(message.startswith(f"finetune.yaml: {key}: is {value!r}, but ") for message in check_read_back(run, config))


@pytest.mark.usefixtures("experiment")
@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize(("name", "levels", "key", "values"), [
    ("lora_dropout", "[null, 0.05]", "model.lora_dropout", [0.0, 0.05]),
    ("weight_decay", "[null, 0.1]", "optimizer.weight_decay", [0.01, 0.1]),
    ("max_grad_norm", "[null, 0.5]", "clip_grad_norm", [None, 0.5]),
    ("warmup_ratio", "[null, 0.25]", "lr_scheduler.num_warmup_steps", [12, 31]),
    ("schedule", "[cosine, linear]", "lr_scheduler.schedule", ["cosine", "linear"]),
])
def test_a_level_of_null_is_the_default_and_another_one_is_read_back(
    name: str, levels: str, key: str, values: list[Any], trainer: str
) -> None:
    edit_experiment(", dtype: fp32", f", dtype: fp32, trainer: {trainer}")
    assert stamp_stage.main([]) == 0
    if (name, trainer) == ("schedule", "torchtune"):
        key = "lr_scheduler._component_"
        values = [f"ftexp.trainers.torchtune.components.schedule.{value}_with_warmup" for value in values]
    assert value_at(config_of("r4_lr1e-4"), key) == values[0]
    set_factors(f"{{{name}: {levels}}}")
    assert stamp_stage.main([]) == 0
    runs = trained_runs()
    configs = _configs(runs)
    assert [value_at(config, key) for config in configs.values()] == values
    assert not undeclared(runs, configs)
    assert [check_read_back(run, configs[run.id]) for run in runs] == [[], []]
    _set(configs[runs[1].id], key, values[0])
    (message, *_) = check_read_back(runs[1], configs[runs[1].id])
    said = "warmup_steps" if name == "warmup_ratio" else name
    assert message.startswith(f"finetune.yaml: {key}: is {values[0]!r}, but {said} was declared as ")


@pytest.mark.usefixtures("experiment")
def test_torchtunes_name_of_a_setting_makes_the_config_that_the_short_name_makes() -> None:
    texts = []
    for names in ("weight_decay: 0.1, lora_dropout: 0.05, max_grad_norm: 1.0",
                  "optimizer.weight_decay: 0.1, model.lora_dropout: 0.05, clip_grad_norm: 1.0"):
        edit_experiment("constants: {", f"constants: {{{names}, ")
        assert stamp_stage.main([]) == 0
        texts.append(paths.RunPaths("r4_lr1e-4").finetune_yaml.read_bytes())
        edit_experiment(f"{names}, ", "")
    assert texts[0] == texts[1] and b"weight_decay: 0.1" in texts[0]


@pytest.mark.usefixtures("stamped")
def test_a_factor_that_changes_nothing_is_found() -> None:
    """What torchtune ships for the recipe, said once more, is no level of its own."""
    assert split_stage.main([]) == 0
    assert check_distinct(trained_runs(), _configs(trained_runs())) == []
    set_factors("{weight_decay: [null, 0.01], lr: [1e-4, 1e-3]}")
    assert stamp_stage.main([]) == 0 and split_stage.main([]) == 0
    found = check_distinct(trained_runs(), _configs(trained_runs()))
    what = "experiment.yaml: factors.weight_decay: changes nothing here: it trains and evaluates exactly what run wdnone_lr1e-4 "
    what += "does. Remove the level, or let it set something else"
    assert ("wd0.01_lr1e-4", what) in found and len(found) == 2


@pytest.mark.usefixtures("experiment")
def test_the_same_rows_in_two_files_are_no_two_levels() -> None:
    shutil.copy("data/raw/words.json", "data/raw/again.json")
    set_factors("{of: {one: {data.source: data/raw/words.json}, other: {data.source: data/raw/again.json}}}")
    assert stamp_stage.main([]) == 0 and split_stage.main([]) == 0
    (name, message), *rest = check_distinct(trained_runs(), _configs(trained_runs()))
    assert (name, rest) == ("of-other", []) and "factors.of: changes nothing here: it trains and evaluates exactly" in message


@pytest.mark.usefixtures("experiment")
def test_a_torchtune_key_reaches_the_config_and_null_removes_it() -> None:
    set_factors("{optimizer.weight_decay: [0.25, null], optimizer.amsgrad: [true]}")
    assert stamp_stage.main([]) == 0
    first, second = (config_of(run.id)["optimizer"] for run in trained_runs())
    assert (first["weight_decay"], first["amsgrad"]) == (0.25, True)
    assert "weight_decay" not in second and second["amsgrad"] is True


@pytest.mark.usefixtures("stamped_once")
def test_a_config_is_complete_and_names_only_components_that_exist() -> None:
    import importlib

    from ftexp.trainers.torchtune.checks.config_check import check_config

    config = config_of("r4_lr1e-4")
    flat = json.dumps(config)
    for dotpath in re.findall(r'"_component_": "([^"]+)"', flat):
        module, _, name = dotpath.rpartition(".")
        assert hasattr(importlib.import_module(module), name)
    assert check_config(config, "lora_finetune_single_device") == []
    config["optimizer"]["_component_"] = "torch.optim.NoSuchThing"
    assert check_config(config, "lora_finetune_single_device") != []
