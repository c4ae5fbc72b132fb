"""Every supervised config that torchtune ships, pointed at a tiny model of its family: it passes, or is refused by name."""

import functools
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from ftexp.models.config_json import read_model_config
from ftexp.trainers.torchtune.checks.bare_config import check_file
from ftexp.trainers.torchtune.checks.config_check import component_family, module_of
from ftexp.trainers.torchtune.families import dimensions
from ftexp.trainers.torchtune.shipped_configs import shipped_configs_dir
from helpers.tiny_models import make_tiny_model
from helpers.written_tables import promise, tell
from omegaconf import OmegaConf
from torchtune.config._utils import _get_component_from_path

# Family of the tiny model, per module of torchtune's builders.
FAMILY_OF = {
    "llama2": "llama3", "code_llama2": "llama3", "llama3": "llama3", "llama3_1": "llama3_1", "llama3_3": "llama3_1",
    "llama3_2": "llama3_2", "mistral": "mistral", "gemma": "gemma", "gemma2": "gemma2", "qwen2": "qwen2", "qwen2_5": "qwen2",
    "phi3": "phi3", "phi4": "phi3",
}
TOKENIZER_FILES = {"path", "merges_file"}
# Why a config is refused, and how many are.
REFUSALS = {
    "model._component_: llama3_2_vision is refused": 10,
    "model.use_dora: is refused": 3,
    "recipe: qat_": 6,
    "optimizer._component_: there is no module bitsandbytes.optim": 14,
    "is not read by the recipe": 4,
}


def recipe_of(path: Path) -> str:
    """The recipe in the file's own comments (of two the one that is no supervised one), or the one that fits it."""
    named = re.findall(r"tune run (?:--\S+ \S+ )*(\w+) --config", path.read_text(encoding="utf-8"))
    return min(named) if named else check_file(path).recipe


def supervised() -> list[Path]:
    """Those that fine-tune on answers."""
    paths = sorted(path for path in shipped_configs_dir().rglob("*.yaml") if "\noptimizer:" in path.read_text(encoding="utf-8"))
    return [path for path in paths if re.match(r"full_finetune|lora_finetune|qat", recipe_of(path))]


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


promise("shipped-configs", [name_of(path) for path in supervised()])


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of every family, with the tokenizer files that torchtune's own tokenizers want."""
    root = tmp_path_factory.mktemp("models")
    for family in set(FAMILY_OF.values()):
        make_tiny_model(root / family, family, "chatml" if family == "qwen2" else "llama3")
    return root


def pointed_at(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same config for the model in a folder."""
    generic = component_family(str(module_of(config.get("model"))))
    kind = config["model"]["_component_"].rpartition(".")[2]
    builder = f"torchtune.models.{generic}.{'lora_' if 'lora_' in kind else ''}{generic}"
    taken = inspect.signature(_get_component_from_path(builder)).parameters
    shape = dimensions(folder.name, read_model_config(folder))
    model = {**config["model"], "_component_": builder, **{key: value for key, value in shape.items() if key in taken}}
    if kind.startswith("qlora_"):
        model["quantize_base"] = True
    tokenizer = dict(config["tokenizer"])
    for key in TOKENIZER_FILES & tokenizer.keys():
        tokenizer[key] = str(folder / Path(tokenizer[key]).name)
        Path(tokenizer[key]).touch()
    files = {"checkpoint_dir": str(folder), "checkpoint_files": ["model.safetensors"]}
    return {**config, "model": model, "tokenizer": tokenizer, "checkpointer": {**config["checkpointer"], **files}}


@functools.cache
def outcome_of(path: Path, models: Path) -> tuple[str, str, str]:
    """Family, what is said, and the warning."""
    config = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(config, dict)
    family = FAMILY_OF.get(str(module_of(config.get("model"))), "")
    if family:
        config = pointed_at(config, models / family)
    target = models / f"{path.parent.name}-{path.name}"
    target.write_text(OmegaConf.to_yaml(OmegaConf.create(config)), encoding="utf-8")
    verdict = check_file(target, recipe_of(path))
    said = "refused: " + verdict.errors[0] if verdict.errors else "passes"
    return family or str(module_of(config.get("model"))), said, " ".join(verdict.warnings)


@pytest.mark.parametrize("path", supervised(), ids=name_of)
def test_a_shipped_config_passes_or_is_refused_with_the_reason(path: Path, models: Path) -> None:
    family, said, warning = outcome_of(path, models)
    assert said == "passes" or any(reason in said for reason in REFUSALS), said
    tell("shipped-configs", name_of(path), [name_of(path), recipe_of(path), family, said, warning])


def test_no_more_is_refused_than_there_is_reason_for(models: Path) -> None:
    outcomes = [outcome_of(path, models)[1] for path in supervised()]
    assert len(outcomes) == 129
    assert {reason: sum(reason in said for said in outcomes) for reason in REFUSALS} == REFUSALS
    assert sum(said == "passes" for said in outcomes) == len(outcomes) - sum(REFUSALS.values())
