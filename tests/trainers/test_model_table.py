"""docs/models.md: families by recipes, what is proved of each, and what is refused with the reason."""

from pathlib import Path

import pytest
from ftexp.design.settings import check_setting
from ftexp.ground.errors import UserError
from ftexp.models.config_json import parse_config, require_tested
from ftexp.trainers.torchtune.checks.support import refusals
from helpers.marks import slow_but
from helpers.model_table import DISTRIBUTED, FAMILIES, NEWER, WAYS, checked_row, trainers_of
from helpers.tiny_models import make_experiment
from helpers.written_tables import promise, tell

REFUSED_MODELS = {"vision models": {"model_type": "mllama"}, "Mixtral": {"model_type": "mixtral"}}
SIZES = {
    "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 4096,
}
REFUSED_RECIPES = {"QAT": "qat_distributed", "DPO": "lora_dpo_single_device", "PPO": "ppo_full_finetune_single_device"}
DORA = {"model": {"_component_": "torchtune.models.llama3.lora_llama3", "use_dora": True}}
NONE = ["no", "no", ""]
NO_FAMILY = "torchtune has not the family"

promise("models", [
    *(f"{family} {kind}" for family in (*FAMILIES, *NEWER) for kind in (*WAYS, *DISTRIBUTED) if trainers_of(family, kind)),
    *REFUSED_MODELS, *REFUSED_RECIPES,
])


@pytest.mark.parametrize("family", slow_but([*FAMILIES, *NEWER], "qwen2", "gpt2"))
@pytest.mark.parametrize("kind", DISTRIBUTED)
def test_a_config_of_a_distributed_recipe_is_checked(
    kind: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_experiment(
        tmp_path / "tiny", family, {**FAMILIES, **NEWER}[family], constants={"recipe": DISTRIBUTED[kind]},
        factors={"trainer": trainers_of(family, kind)}, evaluation={"max_tokens": 24},
    )
    monkeypatch.chdir(experiment.root)
    row, _ = checked_row(family, kind)
    tell("models", f"{family} {kind}", [*row, "", "torchtune wants a GPU for it" if family in FAMILIES else NO_FAMILY])


@pytest.mark.parametrize("name", REFUSED_MODELS)
def test_a_model_of_another_kind_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(UserError) as refused:
        require_tested(parse_config({**SIZES, **REFUSED_MODELS[name]}, Path("config.json")), {})
    tell("models", name, [name, "any", *NONE, str(refused.value).removeprefix("config.json: ")])


@pytest.mark.parametrize("name", REFUSED_RECIPES)
def test_a_recipe_of_another_kind_is_refused_with_the_reason(name: str) -> None:
    said = check_setting("recipe", REFUSED_RECIPES[name])
    assert said and said.startswith("is refused, because ")
    assert refusals({}, REFUSED_RECIPES[name])
    tell("models", name, ["any", name, *NONE, f"recipe: {said}"])


def test_dora_is_refused_in_a_config_of_torchtunes_with_the_reason() -> None:
    [said] = refusals(DORA, "lora_finetune_single_device")
    assert said.startswith("model.use_dora: is refused: torchtune 0.6.1 exports a DoRA adapter wrongly")
