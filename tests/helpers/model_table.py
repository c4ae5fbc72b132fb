"""A row of docs/models.md: what validate proves of the experiment in the working folder."""

from typing import Any

from ftexp.checks.cost import Cost
from ftexp.checks.preflight import check_runs
from ftexp.checks.verdicts import Verdicts
from ftexp.design.planning import planned_runs
from ftexp.design.settings import is_quantized
from ftexp.ground import paths
from ftexp.models.config_json import read_model_config
from ftexp.trainers.torchtune.families import dimensions, family_of
from ftexp.trainers.torchtune.shipped_configs import ModelShape, nearest_configs

# What each family of builders makes.
MODELS = {
    "llama3": "Llama 2, Llama 3", "llama3_1": "Llama 3.1, Llama 3.3", "llama3_2": "Llama 3.2", "qwen2": "Qwen2, Qwen2.5",
    "mistral": "Mistral", "phi3": "Phi-3", "gemma": "Gemma", "gemma2": "Gemma 2",
}
# How a family is trained, and its tokenizer in the tests.
WAYS: dict[str, dict[str, Any]] = {
    "LoRA": {}, "QLoRA": {"quantize_base": True}, "full": {"recipe": "full_finetune_single_device"},
}
FAMILIES = {
    "qwen2": "chatml", "llama3_2": "llama3", "llama3_1": "llama3", "llama3": "llama3", "mistral": "llama3", "phi3": "llama3",
    "gemma": "llama3", "gemma2": "llama3",
}


def checked_row(family: str, kind: str) -> tuple[list[str], Cost]:
    """Check the experiment's one training, or fail.

    Returns:
        Models, kind, the shipped config that was found, tensors accounted, tokens identical; and what it will cost.
    """
    runs = planned_runs()
    verdicts = Verdicts.of(run.id for run in runs)
    found = check_runs(runs, verdicts)
    assert not any(verdicts.errors.values()), verdicts.errors
    settings = next(run.settings for run in runs if run.kind == "trained")
    folder = paths.model_dir(settings["model"])
    of_model = read_model_config(folder)
    assert family_of(of_model) == family
    arguments = ModelShape.of(dimensions(family, of_model))
    config = nearest_configs(settings["recipe"], family, arguments, is_quantized=is_quantized(settings))[0]
    [cost] = found.costs.values()
    return [MODELS[family], kind, config.name, "yes", "yes"], cost
