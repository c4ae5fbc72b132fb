"""A row of docs/models.md: what validate proves of the experiment in the working folder, for each trainer of its runs."""

from typing import Any

from ftexp.checks.cost import Cost
from ftexp.checks.preflight import check_runs
from ftexp.checks.verdicts import Verdicts
from ftexp.design.planning import planned_runs
from ftexp.design.settings import TORCHTUNE, TRANSFORMERS, is_quantized
from ftexp.ground import paths
from ftexp.models.config_json import read_model_config
from ftexp.trainers.choice import name_of_trainer
from ftexp.trainers.torchtune.families import dimensions, family_of
from ftexp.trainers.torchtune.shipped_configs import ModelShape, nearest_configs

# Per family its models' names.
MODELS = {
    "llama3": "Llama 2, Llama 3", "llama3_1": "Llama 3.1, Llama 3.3", "llama3_2": "Llama 3.2", "qwen2": "Qwen2, Qwen2.5",
    "mistral": "Mistral", "phi3": "Phi-3", "gemma": "Gemma", "gemma2": "Gemma 2",
    "qwen3": "Qwen3", "gemma3": "Gemma 3 (text)", "olmo2": "OLMo 2", "smollm3": "SmolLM3", "phi4_mini": "Phi-4-mini",
    "granite": "Granite 3", "gpt2": "GPT-2",
}
# Each family's tokenizer in the tests: those that both trainers know, and those that transformers alone does.
FAMILIES = {
    "qwen2": "chatml", "llama3_2": "llama3", "llama3_1": "llama3", "llama3": "llama3", "mistral": "llama3", "phi3": "llama3",
    "gemma": "llama3", "gemma2": "llama3",
}
NEWER = {
    "qwen3": "chatml", "gemma3": "llama3", "olmo2": "llama3", "smollm3": "chatml", "phi4_mini": "llama3", "granite": "llama3",
    "gpt2": None,
}
# How a model is trained, and by whom.
WAYS: dict[str, dict[str, Any]] = {
    "LoRA": {}, "DoRA": {"use_dora": True}, "QLoRA": {"quantize_base": True}, "full": {"recipe": "full_finetune_single_device"},
}
DISTRIBUTED = {"LoRA, distributed": "lora_finetune_distributed", "full, distributed": "full_finetune_distributed"}
_WITHOUT = {"DoRA": TORCHTUNE, "QLoRA": TRANSFORMERS}


def trainers_of(family: str, kind: str) -> list[str]:
    """Who trains a family in such a way."""
    known = [TORCHTUNE, TRANSFORMERS] if family in FAMILIES else [TRANSFORMERS]
    return [name for name in known if name != _WITHOUT.get(kind)]


def tried() -> list[tuple[str, str]]:
    """Families and ways that anybody trains."""
    return [(family, kind) for family in (*FAMILIES, *NEWER) for kind in WAYS if trainers_of(family, kind)]


def checked_row(family: str, kind: str) -> tuple[list[str], dict[str, Cost]]:
    """Check the experiment's trainings, one by each trainer that has the family, or fail.

    Returns:
        Models, kind, by which shipped config torchtune trains, whether transformers does; and per run what it will cost.
    """
    runs = planned_runs()
    verdicts = Verdicts.of(run.id for run in runs)
    found = check_runs(runs, verdicts)
    assert not any(verdicts.errors.values()), verdicts.errors
    trained = {name_of_trainer(run): run.settings for run in runs if run.kind == "trained"}
    by_torchtune = _shipped_config(family, trained[TORCHTUNE]) if TORCHTUNE in trained else "no"
    return [MODELS[family], kind, by_torchtune, "yes" if TRANSFORMERS in trained else "no"], found.costs


def _shipped_config(family: str, settings: dict[str, Any]) -> str:
    of_model = read_model_config(paths.model_dir(settings["model"]))
    assert family_of(of_model) == family
    shape = ModelShape.of(dimensions(family, of_model))
    config = nearest_configs(settings["recipe"], family, shape, is_quantized=is_quantized(settings))[0]
    return config.name
