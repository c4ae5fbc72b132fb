"""The shipped config that fits a model: by what the builders build and what config.json says, never by a name."""

import dataclasses
import functools
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import REPOSITORY
from ftexp.design.settings import RECIPES
from ftexp.ground.errors import UserError
from ftexp.trainers.recipes import is_lora
from ftexp.trainers.torchtune.config import training_config
from ftexp.trainers.torchtune.shipped_configs import (
    Builder,
    ModelShape,
    builders,
    catalogue,
    nearest_configs,
    read_as_torchtune,
    shipped_configs_dir,
)
from helpers.runs import a_run

BUILDERS = builders()
LORA, FULL = "lora_finetune_single_device", "full_finetune_single_device"
LORA_ARGUMENTS = {"lora_attn_modules": ["q_proj"], "lora_rank": 2, "lora_alpha": 4}
SCALED = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
# What config.json says of a family besides the dimensions.
WORDS: dict[str, dict[str, Any]] = {
    "llama3": {"model_type": "llama"}, "llama3_1": {"model_type": "llama", "rope_scaling": SCALED},
    "llama3_2": {"model_type": "llama", "rope_scaling": SCALED, "tie_word_embeddings": True},
    "qwen2": {"model_type": "qwen2"}, "mistral": {"model_type": "mistral"}, "phi3": {"model_type": "phi3"},
    "gemma": {"model_type": "gemma"},
    "gemma2": {
        "model_type": "gemma2", "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "sliding_window": 4096,
        "query_pre_attn_scalar": 144,
    },
}


def component(name: str) -> Any:
    """A builder of torchtune's, in whichever package of text models it lies."""
    for path in sorted(shipped_configs_dir().parents[1].glob("torchtune/models/*/_model_builders.py")):
        if not any(word in path.parent.name for word in ("vision", "clip", "flux", "t5")):
            module = importlib.import_module(f"torchtune.models.{path.parent.name}._model_builders")
            if hasattr(module, name):
                return getattr(module, name)
    raise AssertionError(f"torchtune has no builder {name}")


def folder(root: Path, name: str, family: str, shape: ModelShape, **more: Any) -> str:
    """A model folder of this shape, its weights left out."""
    config = {
        **WORDS[family], "vocab_size": shape.vocab_size, "num_hidden_layers": shape.num_layers, "head_dim": shape.head_dim,
        "num_attention_heads": shape.num_heads, "num_key_value_heads": shape.num_kv_heads, "hidden_size": shape.embed_dim,
        "intermediate_size": shape.intermediate_dim, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, **more,
    }
    (root / "models" / name).mkdir(parents=True)
    (root / "models" / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (root / "models" / name / "model.safetensors").touch()
    return name


def config_of(model: str, recipe: str = LORA, *, overrides: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """The config of a run of this model."""
    return training_config(a_run("r1", overrides=overrides or {}, steps={"train_rows": 1, "steps_per_epoch": 1}, settings={
        "model": model, "recipe": recipe, "lora_modules": ["q"], "lora_rank": 2, "lora_alpha": 4, "lr": 1e-4, "epochs": 1,
        "batch_size": 1, "gradient_accumulation_steps": 1, "warmup_steps": 0, "max_seq_len": None, "seed": 0,
        "schedule": "cosine",
        "loss": "full", "dtype": "fp32", **settings,
    }))


def shape_of(name: str) -> ModelShape:
    return BUILDERS[name].shape


def test_every_builder_of_a_text_model_is_in_the_catalogue() -> None:
    assert {"llama2_70b", "lora_llama3_3_70b", "qwen2_5_72b_instruct", "phi4_14b", "qlora_gemma2_27b"} <= set(BUILDERS)
    assert len(BUILDERS) > 90
    text = [path for path in shipped_configs_dir().glob("*/*.yaml") if path.parent.name not in ("llama3_2_vision", "dev")]
    registered = {config.path for recipe in RECIPES for config in catalogue(recipe)}
    left_out = {path.stem for path in text if path not in registered}
    words = ("evaluation", "generation", "dpo", "qat", "KD", "ppo", "dora")
    assert all(any(word in stem for word in words) for stem in left_out), left_out


@pytest.mark.parametrize("name", [name for name, builder in BUILDERS.items() if not builder.is_quantized])
def test_the_source_says_what_the_builder_builds(name: str) -> None:
    builder = BUILDERS[name]
    with torch.device("meta"):
        model = component(name)(**LORA_ARGUMENTS if builder.has_lora else {})
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    shape, prefix = builder.shape, "layers.0."
    assert len(model.layers) == shape.num_layers
    assert shapes["tok_embeddings.weight"] == (shape.vocab_size, shape.embed_dim)
    assert shapes[f"{prefix}attn.q_proj.weight"] == (shape.num_heads * shape.head_dim, shape.embed_dim)
    assert shapes[f"{prefix}attn.k_proj.weight"] == (shape.num_kv_heads * shape.head_dim, shape.embed_dim)
    assert shapes[f"{prefix}mlp.w1.weight"] == (shape.intermediate_dim, shape.embed_dim)
    assert (model.num_heads, model.head_dim) == (shape.num_heads, shape.head_dim)
    assert any("lora_" in key for key in shapes) == builder.has_lora
    matrices = sum(value.numel() for key, value in model.state_dict().items() if value.dim() == 2 and "lora_" not in key)
    assert matrices in (shape.parameters, shape.parameters + shape.vocab_size * shape.embed_dim)


@pytest.mark.parametrize("name", [name for name, builder in BUILDERS.items() if builder.is_quantized])
def test_a_quantized_builder_is_its_plain_one_with_that_one_argument(name: str) -> None:
    found = component(name)
    assert isinstance(found, functools.partial) and found.keywords == {"quantize_base": True} and not found.args
    assert dataclasses.replace(BUILDERS[found.func.__name__], is_quantized=True) == BUILDERS[name]


def test_nothing_heavy_is_imported_for_it() -> None:
    code = (
        "import sys; from ftexp.trainers.torchtune.shipped_configs import catalogue; assert len(catalogue(sys.argv[1])) > 30;"
        "assert not {'torch', 'torchtune', 'torchao', 'recipes'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, LORA], cwd=REPOSITORY / "scripts", check=True)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", [name for name, one in BUILDERS.items() if not one.is_quantized and not one.has_lora])
def test_every_shape_that_torchtune_knows_has_one_answer(
    name: str, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a config that is shipped for this very shape is that answer."""
    monkeypatch.chdir(tmp_path)
    family, shape = BUILDERS[name].family, BUILDERS[name].shape
    assert config_of(folder(tmp_path, "any", family, shape), recipe)["model"]["num_layers"] == shape.num_layers
    exact = {one.path for one in catalogue(recipe) if one.builder == Builder(family, is_lora(recipe), False, shape)}
    found = nearest_configs(recipe, family, shape)
    assert {one.path for one in found} == exact or not exact
    assert all(one.builder.has_lora == is_lora(recipe) for one in found)


@pytest.mark.parametrize(("name", "is_quantized", "recipe", "shipped"), [
    ("llama2_7b", False, LORA, "llama2/7B_lora_single_device"),
    ("llama2_7b", True, LORA, "llama2/7B_qlora_single_device"),
    ("code_llama2_7b", False, LORA, "code_llama2/7B_lora_single_device"),
    ("llama3_8b", True, LORA, "llama3/8B_qlora_single_device"),
    ("llama3_1_70b", False, "full_finetune_distributed", "llama3_3/70B_full"),
    ("phi4_14b", False, LORA, "phi4/14B_lora_single_device"),
    ("mistral_7b", False, FULL, "mistral/7B_full_low_memory"),
    ("gemma2_27b", True, LORA, "gemma2/27B_qlora_single_device"),
    ("gemma_2b", False, FULL, "llama2/7B_full_low_memory"),
    ("qwen2_0_5b", False, LORA, "qwen2_5/0.5B_lora_single_device"),
    ("qwen2_5_72b_instruct", False, "lora_finetune_distributed", "qwen2_5/72B_lora"),
    ("qwen2_5_3b", True, LORA, "qwen2_5/3B_lora_single_device"),
])
def test_the_config_of_a_known_shape(name: str, is_quantized: bool, recipe: str, shipped: str) -> None:
    builder = BUILDERS[name]
    assert nearest_configs(recipe, builder.family, builder.shape, is_quantized=is_quantized)[0].name == shipped


def test_a_renamed_folder_has_the_same_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = (folder(tmp_path, name, "llama3", shape_of("llama3_8b")) for name in ("Meta-Llama-3-8B", "70B-mistral"))
    assert config_of(one) == json.loads(json.dumps(config_of(other)).replace(other, one))


def test_a_fine_tune_of_a_known_shape_has_its_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another context, other ends, and a few tokens more."""
    monkeypatch.chdir(tmp_path)
    known = shape_of("llama2_7b")
    other = dataclasses.replace(known, vocab_size=known.vocab_size + 7)
    more = {"rope_theta": 1e6, "eos_token_id": 9, "_name_or_path": "someone/else", "architectures": ["LlamaForCausalLM"]}
    tuned = folder(tmp_path, "tuned", "llama3", other, **more)
    first, second = config_of(folder(tmp_path, "known", "llama3", known)), config_of(tuned)
    for config in (first, second):
        for section in ("model", "tokenizer", "checkpointer"):
            config.pop(section)
    assert first == second
    assert nearest_configs(LORA, "llama3", other) == nearest_configs(LORA, "llama3", known)


def test_a_size_that_nobody_listed_has_the_config_of_the_nearest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    odd = ModelShape(
        vocab_size=9999, num_layers=30, num_heads=16, num_kv_heads=4, embed_dim=2048, intermediate_dim=9000, head_dim=128
    )
    assert config_of(folder(tmp_path, "odd", "qwen2", odd))["model"]["intermediate_dim"] == 9000
    [nearest] = {one.builder.shape for one in nearest_configs(LORA, "qwen2", odd)}
    assert nearest == shape_of("qwen2_1_5b")


@pytest.fixture
def two_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model for whose shape two configs are shipped that differ in the optimizer's decay and in how they compute."""
    monkeypatch.chdir(tmp_path)
    known = nearest_configs(LORA, "mistral", shape_of("mistral_7b"))[0]
    document = yaml.safe_load(known.path.read_text(encoding="utf-8"))
    document["optimizer"]["weight_decay"] = 0.5
    document["clip_grad_norm"] = 1.0
    document["enable_activation_checkpointing"] = False
    path = tmp_path / "mistral" / "8B_lora.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    pair = (known, dataclasses.replace(known, path=path))
    monkeypatch.setattr("ftexp.trainers.torchtune.config.nearest_configs", lambda *_, **__: pair)
    return folder(tmp_path, "any", "mistral", shape_of("mistral_7b"))


def test_two_that_compute_otherwise_are_named_with_what_decides(two_shipped: str) -> None:
    with pytest.raises(UserError) as refused:
        config_of(two_shipped)
    assert str(refused.value) == (
        "experiment.yaml: constants: torchtune ships mistral/7B_lora_single_device and mistral/8B_lora for a model of this "
        "shape, and in them clip_grad_norm is None or 1.0, optimizer.weight_decay is None or 0.5. Set clip_grad_norm and "
        "optimizer.weight_decay; null means none."
    )


def test_what_the_experiment_sets_is_decided(two_shipped: str) -> None:
    with pytest.raises(UserError, match=r"Set clip_grad_norm; null means none\.$"):
        config_of(two_shipped, overrides={"optimizer.weight_decay": 0.1})
    config = config_of(two_shipped, overrides={"optimizer.weight_decay": 0.1, "clip_grad_norm": 2.0})
    assert (config["optimizer"]["weight_decay"], config["clip_grad_norm"]) == (0.1, 2.0)
    config = config_of(two_shipped, overrides={"optimizer.weight_decay": None, "clip_grad_norm": None})
    assert "weight_decay" not in config["optimizer"] and "clip_grad_norm" not in config
    config = config_of(two_shipped, weight_decay=0.1, max_grad_norm=2.0)
    assert (config["optimizer"]["weight_decay"], config["clip_grad_norm"]) == (0.1, 2.0)


def test_no_shipped_config_clips_gradients_or_drops_inputs_so_that_null_says_the_same() -> None:
    shipped = [read_as_torchtune(config.path) for recipe in RECIPES for config in catalogue(recipe)]
    assert len(shipped) > 50 and {config.get("clip_grad_norm") for config in shipped} == {None}
    assert {config["model"].get("lora_dropout", 0.0) for config in shipped} == {0.0}
