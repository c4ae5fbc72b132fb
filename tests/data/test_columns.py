"""Which columns a prompt may show: Alpaca's three with an empty input, and a column that is called input and is not the input."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake
from ftexp.data.prompts import prompt_turns, says_nothing
from ftexp.design.planning import make_plan, plan_runs
from ftexp.design.spec import check_experiment, read_experiment
from ftexp.ground.errors import UserError

ALPACA = [
    {"instruction": f"Write w{number} in capitals" if number % 3 else "Write it in capitals",
     "input": "" if number % 3 else f"w{number}", "output": f"W{number}"}
    for number in range(300)
]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("alpaca.json").write_text(json.dumps(ALPACA))


def planned(data: dict[str, Any], user: str) -> None:
    document = {
        "experiment": "e", "question": "Why?", "data": data, "prompt": {"user": user},
        "constants": {"model": "tiny", "batch_size": 4},
    }
    plan_runs(check_experiment(document, "experiment.yaml"))


def test_alpacas_columns_are_known_at_the_stamping_and_show_instruction_and_input(bake: Bake) -> None:
    experiment = read_experiment(bake(data="alpaca.json", factors="{seed: [1]}") / "experiment.yaml")
    assert experiment.prompt["user"] == "{instruction}\n{input}"
    assert (experiment.data["input"], experiment.data["output"]) == ("input", "output")
    assert prompt_turns(experiment.prompt, "input", ALPACA[0])[0]["content"] == "Write it in capitals\nw0"
    assert prompt_turns(experiment.prompt, "input", ALPACA[1])[0]["content"] == "Write w1 in capitals\n"


def test_an_empty_input_beside_an_instruction_is_no_empty_question() -> None:
    blank = {"instruction": " ", "input": "", "output": "x"}
    assert [says_nothing("{instruction}\n{input}", "input", row) for row in (ALPACA[0], ALPACA[1], blank)] == [False, False, True]
    assert says_nothing("Say: {input}", "input", ALPACA[1])


def test_input_in_a_prompt_is_refused_where_two_columns_could_be_meant_and_both_ways_to_say_it_are_named() -> None:
    columns = {"source": "alpaca.json", "input": "instruction"}
    with pytest.raises(UserError) as error:
        planned(columns, "{instruction}\n{input}")
    assert str(error.value) == (
        "experiment.yaml: prompt.user: {input}: stands for data.input, which is the column 'instruction', and the data has a "
        "column 'input' too. Write {instruction} for the one; to mean the other, set data.input: input."
    )
    planned(columns, "{instruction}")
    planned({"source": "alpaca.json"}, "{instruction}\n{input}")


def test_a_named_column_beside_one_called_input_is_what_the_prompt_shows(bake: Bake, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bake(data="alpaca.json:instruction:output", factors="{seed: [1]}")
    assert read_experiment(folder / "experiment.yaml").prompt["user"] == "{instruction}"
    monkeypatch.chdir(folder)
    assert len(make_plan()[1]) == 2
