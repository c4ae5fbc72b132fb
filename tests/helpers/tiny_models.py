"""Minute random models in Hugging Face layout, and stamped experiments around them, made in the test's own process."""

import csv
import functools
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import split as split_stage
import stamp as stamp_stage
import torch
import yaml
from ftexp.design.planning import planned_runs
from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.trainers.torchtune.shipped_configs import shipped_configs_dir
from omegaconf import DictConfig, OmegaConf
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from helpers.formula_weights import NORMS
from helpers.tiny_newer_models import NEWER, newer_model
from helpers.tiny_tokenizers import generation_config, save_tokenizer

SCRIPTS = Path(split_stage.__file__).resolve().parent
DATE = "2001-02-03"
WORDS = [first + second for first in ("apple", "brick", "chalk", "drum", "eel", "fig") for second in ("s", "pot", "wire", "öl")]
# For texts that go wrong easily: outer blanks (templates trim), other scripts, line ends, braces, template words.
ROWS = [{"input": word, "output": word.title()} for word in (*WORDS, " blanks ", "twö\nlines", "日本", "{braces} {{ x }}")]
torch.set_num_threads(1)  # on so small matrices two threads only wait for each other

_ROPE_SCALING = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def make_tiny_model(
    folder: Path, family: str, template: str | None, *, is_sharded: bool = False, is_wide: bool = False, dtype: str = "float32"
) -> None:
    """Write a random model with a tiny tokenizer into `folder`.

    Args:
        family: qwen2 (biases, tied), llama3_2 (tied, scaled RoPE), llama3_1 (untied, scaled RoPE), llama3 (untied), mistral
            (untied), phi3 (untied, fused matrices), gemma or gemma2 (tied, heads wider than hidden_size / heads; gemma2 with a
            window of 64 tokens), or one of `tiny_newer_models`.
        template: A key of TOKENIZERS: chatml (no BOS), llama3 (begins with BOS, prints a date, trims), None (no chat
            template; the tokenizer itself puts BOS before a text), or one with a real model's template.
        is_sharded: Whether the weights lie in several files with an index.
        is_wide: Whether every matrix of a layer is of a multiple of 16384 numbers, as NF4 wants it. NF4 takes 64 rows of q and k
            together then, and a head has 128, so that their order matters.
        dtype: Precision of the files.
    """
    folder.mkdir(parents=True)
    tokenizer = save_tokenizer(folder, template)
    torch.manual_seed(1)
    model = _model(family, tokenizer, is_wide).to(getattr(torch, dtype))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.5)
        if name.endswith(NORMS):  # all alike in a new model, so that no exchange of two would be seen
            parameter.data += torch.randn_like(parameter) / 5
    model.generation_config = generation_config(tokenizer, template)
    model.save_pretrained(folder, max_shard_size=f"{2000 if is_wide else 100}KB" if is_sharded else "1GB")


def _model(family: str, tokenizer: PreTrainedTokenizerFast, is_wide: bool) -> PreTrainedModel:
    heads = 2 if is_wide and not family.startswith("gemma") else 4
    shape = {
        "vocab_size": len(tokenizer), "hidden_size": 256 if is_wide else 64, "intermediate_size": 320 if is_wide else 96,
        "num_hidden_layers": 2, "initializer_range": 0.04 if is_wide and family == "gemma2" else 0.15,
        "num_attention_heads": heads, "num_key_value_heads": heads // 2, "max_position_embeddings": 16384,
        "tie_word_embeddings": family in ("qwen2", "llama3_2", "gemma", "gemma2"), "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "dtype": "float32",
    }
    if family in NEWER:
        return newer_model(family, shape)
    head_dim = 128 if is_wide else 32
    if family == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**shape, rms_norm_eps=1e-6, rope_theta=1e4))
    if family == "mistral":
        return MistralForCausalLM(MistralConfig(**shape, rms_norm_eps=1e-5, rope_theta=1e4, sliding_window=None))
    if family == "phi3":
        return Phi3ForCausalLM(Phi3Config(**shape, rms_norm_eps=1e-5, rope_theta=1e4))
    if family == "gemma":
        return GemmaForCausalLM(GemmaConfig(**shape, head_dim=head_dim, rms_norm_eps=1e-6, rope_theta=1e4))
    if family == "gemma2":
        window = {"sliding_window": 64, "query_pre_attn_scalar": 16}
        return Gemma2ForCausalLM(Gemma2Config(**shape, **window, head_dim=head_dim, rms_norm_eps=1e-6, rope_theta=1e4))
    scaling = None if family == "llama3" else _ROPE_SCALING
    return LlamaForCausalLM(LlamaConfig(**shape, rms_norm_eps=1e-5, rope_theta=5e4, rope_scaling=scaling))


@dataclass(frozen=True)
class TinyExperiment:
    """A stamped and split experiment.

    Attributes:
        runs: Ids of its runs, the control first.
    """

    root: Path
    runs: list[str]

    @property
    def run(self) -> str:
        """The first run that is trained."""
        return next(run for run in self.runs if not run.startswith("base"))

    def config(self, run: str | None = None, **changes: Any) -> DictConfig:
        """A run's finetune.yaml, on the CPU; `changes` are dotted keys with `__` for a dot."""
        config = OmegaConf.load(self.root / paths.RunPaths(run or self.run).finetune_yaml)
        assert isinstance(config, DictConfig)
        for key, value in {"device": "cpu", **changes}.items():
            OmegaConf.update(config, key.replace("__", "."), value)
        return config

    def document(self, run: str | None = None) -> Run:
        """A run's run.yaml."""
        path = self.root / paths.RunPaths(run or self.run).run_yaml
        return Run.from_yaml(yaml.safe_load(path.read_text(encoding="utf-8")))


def make_experiment(root: Path, model_family: str, template: str | None, **overrides: Any) -> TinyExperiment:
    """Stamp and split an experiment around a tiny model, with its own copy of scripts/.

    Args:
        overrides: Sections of experiment.yaml (a mapping is laid over the default one), and `rows`, the data;
            `is_sharded`, `is_wide` and `model_dtype`, what the model is like.
    """
    rows = overrides.pop("rows", ROWS)
    with pytest.MonkeyPatch.context() as patch:
        root.mkdir(parents=True, exist_ok=True)
        patch.chdir(root)
        shape = {"is_sharded": overrides.pop("is_sharded", False), "is_wide": overrides.pop("is_wide", False)}
        make_tiny_model(Path("models/tiny"), model_family, template, **shape, dtype=overrides.pop("model_dtype", "float32"))
        shutil.copy(SCRIPTS.parent / "{{cookiecutter.experiment_name}}" / paths.JOB_TEMPLATE, paths.JOB_TEMPLATE)
        shutil.copytree(SCRIPTS, "scripts", ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        Path("data/raw").mkdir(parents=True)
        Path("data/raw/rows.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        text = yaml.safe_dump(_experiment(overrides), allow_unicode=True, sort_keys=False)
        Path("experiment.yaml").write_text(text, encoding="utf-8")
        Path("site.yaml").write_text("backend: local\nmodels: models\ndevice: cpu\n", encoding="utf-8")
        return TinyExperiment(root, _stamp())


def _experiment(overrides: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "experiment": "tiny", "question": "Does it work?",
        "data": {"source": "data/raw/rows.json", "split": {"train": 0.5, "test": 0.5, "seed": 0}},
        "prompt": {"system": None, "user": "say: {input}", "date": DATE},
        "factors": {"seed": [1]},
        "constants": {"model": "tiny", "lora_rank": 4, "lr": 1e-2, "epochs": 1, "batch_size": 2, "dtype": "fp32"},
        "evaluation": {"max_tokens": 8},
    }
    for key, value in overrides.items():
        is_laid_over = isinstance(value, dict) and key != "factors"
        document[key] = {**document.get(key, {}), **value} if is_laid_over else value
    recipe = document.get("recipe") or document["constants"].get("recipe") or ""
    if recipe.startswith("full") and "lora_rank" not in overrides.get("constants", {}):
        del document["constants"]["lora_rank"]
    return document


def _stamp() -> list[str]:
    assert stamp_stage.main([]) == 0, "a run cannot be stamped"
    assert split_stage.main([]) == 0
    return [run.id for run in planned_runs()]


def set_up_recipe(config: DictConfig) -> Any:
    """The stock recipe for this config, set up in the working folder; call `train()` on it, then `cleanup()`."""
    if "lora_rank" in config.model:
        recipe = _recipe("lora_finetune_single_device").LoRAFinetuneRecipeSingleDevice(config)
    else:
        recipe = _recipe("full_finetune_single_device").FullFinetuneRecipeSingleDevice(config)
    recipe.setup(config)
    return recipe


@functools.cache
def _recipe(name: str) -> Any:
    """A recipe of torchtune, from its file, as `tune run` runs it: the folder refuses to be imported."""
    spec = importlib.util.spec_from_file_location(f"stock_{name}", shipped_configs_dir().parent / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def train(config: DictConfig) -> Any:
    """Train by the stock recipe in the working folder; return it, its model as trained."""
    recipe = set_up_recipe(config)
    try:
        recipe.train()
    finally:
        recipe.cleanup()
    return recipe


def enter(experiment: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> TinyExperiment:
    """Make the experiment's root the working folder, and what evaluation takes for the root, for one test."""
    monkeypatch.chdir(experiment.root)
    monkeypatch.setattr(sys, "path", list(sys.path))  # eval.py puts its scripts/ first
    for module in ("evaluation.provider", "evaluation.samples", "evaluation.inspect_task", "scoring.inspect_scorers"):
        monkeypatch.setattr(f"ftexp.{module}.from_root", lambda path: experiment.root / path)
    return experiment


def read_train_csv(path: Path, columns: Iterable[str] = ("step", "epoch", "loss", "lr")) -> list[tuple[str, ...]]:
    """Rows of train.csv, without what depends on the clock."""
    with path.open(encoding="utf-8", newline="") as file:
        return [tuple(row[name] for name in columns) for row in csv.DictReader(file)]
