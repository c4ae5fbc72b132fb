"""A key of LoRA's that no run makes use of is an error of that key; beside runs that do it stands, and no run comes twice."""

from typing import Any

import pytest
from ftexp.design.in_words import design_in_words
from ftexp.design.run import Run
from ftexp.design.runs import expand
from ftexp.design.spec import Experiment, check_experiment
from ftexp.design.torchtune_keys import OF_LORA
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import dump_yaml, parse_yaml

LORA, FULL = "lora_finetune_single_device", "full_finetune_single_device"
NO_MATRICES = "a recipe that trains the whole model, and there are no LoRA matrices then"
VALUES: dict[str, Any] = {
    "lora_rank": 4, "lora_alpha": 8, "lora_dropout": 0.1, "lora_modules": ["q"], "use_dora": True, "model.lora_dropout": 0.1,
}


def planned(**sections: Any) -> tuple[Experiment, list[Run]]:
    document = {"experiment": "e", "question": "Why?", "data": {"source": "a.json"}, "factors": {"seed": [1]}, **sections}
    document["constants"] = {"model": "tiny", **document.get("constants", {})}
    experiment = check_experiment(parse_yaml(dump_yaml(document), "experiment.yaml"), "experiment.yaml")
    return experiment, [run for run in expand(experiment) if run.kind == "trained"]


def refused(**sections: Any) -> str:
    with pytest.raises(UserError) as error:
        planned(**sections)
    [line] = str(error.value).splitlines()
    return line.removeprefix("experiment.yaml: ")


def test_every_key_of_loras_is_one() -> None:
    assert set(VALUES) == set(OF_LORA)


@pytest.mark.parametrize("key", VALUES)
def test_a_key_that_no_run_makes_use_of_is_an_error_and_beside_one_that_does_it_is_none(key: str) -> None:
    constants = {key: VALUES[key]}
    message = f"constants.{key}: changes nothing, as all runs have {NO_MATRICES}. Remove it."
    assert refused(recipe=FULL, constants=constants) == message
    assert len(planned(factors={"recipe": [LORA, FULL]}, constants=constants)[1]) == 2


@pytest.mark.parametrize(("sections", "message"), [
    ({"recipe": FULL, "factors": {"lora_rank": [4, 8]}},
     f"factors.lora_rank: sets lora_rank, which changes nothing, as all runs there have {NO_MATRICES}. Remove it."),
    ({"factors": {"way": {"lora": {"recipe": LORA, "lora_rank": 4}, "full": {"recipe": FULL, "lora_rank": 8}}}},
     f"factors.way: sets lora_rank at full, which changes nothing, as all runs there have {NO_MATRICES}. Remove it."),
    ({"factors": {"recipe": [LORA, FULL], "lora_rank": [4, 8]}},
     "factors.lora_rank: changes nothing in runs with a recipe that trains the whole model, as there are no LoRA matrices then: "
     f"{FULL.replace('_', '-')}_r4 and {FULL.replace('_', '-')}_r8 are the same run. Take one of them away by exclude."),
], ids=["all full", "a full level", "crossed"])
def test_a_level_that_no_run_makes_use_of_is_an_error(sections: dict[str, Any], message: str) -> None:
    assert refused(**sections) == message


@pytest.mark.parametrize("sections", [
    {"factors": {"recipe": [LORA, FULL], "lora_rank": [4, 8]}, "exclude": [{"recipe": FULL, "lora_rank": 8}]},
    {"factors": {"way": {"r4": {"lora_rank": 4}, "r8": {"lora_rank": 8}, "full": {"recipe": FULL}}}},
    {"factors": {"recipe": [LORA, FULL], "lora_rank": [4, 8]}, "design": "one_at_a_time"},
    {"factors": {"recipe": [LORA, FULL], "lora_rank": [4, 8]},
     "design": [{"lora_rank": 4}, {"lora_rank": 8}, {"recipe": FULL}]},
], ids=["excluded", "named levels", "one at a time", "listed"])
def test_ranks_are_compared_with_one_full_fine_tune(sections: dict[str, Any]) -> None:
    runs = planned(**sections)[1]
    assert [run.settings["recipe"] for run in runs].count(FULL) == 1 and len(runs) == 3


def test_of_full_fine_tunes_no_rank_is_told() -> None:
    assert "lora" not in design_in_words(*planned(recipe=FULL))
    assert "lora_rank=8" in design_in_words(*planned())
