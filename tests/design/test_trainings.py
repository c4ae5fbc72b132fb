"""Which runs share a training: those that differ in nothing but their test."""

import json
from pathlib import Path
from typing import Any

import pytest
from ftexp.data.held_out import training_items
from ftexp.data.splits import Sources
from ftexp.design.in_words import design_in_words
from ftexp.design.planning import make_plan, read_run, write_plan
from ftexp.design.run import Run
from ftexp.design.trainings import training_sets
from ftexp.ground import paths
from ftexp.ground.yamlfile import dump_yaml

FILES = {"a": (0, 20), "b": (10, 30), "a_test": (18, 24), "b_test": (28, 36)}
AA, AB, BB = ({"data.train": f"{train}.json", "data.test": f"{test}_test.json"} for train, test in ("aa", "ab", "bb"))


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, (first, last) in FILES.items():
        rows = [{"input": f"word{i}", "output": f"WORD{i}", "topic": f"t{i % 13}"} for i in range(first, last)]
        Path(f"{name}.json").write_text(json.dumps(rows))


def planned(factors: dict[str, Any], data: dict[str, Any] | None = None, **constants: Any) -> dict[str, Run]:
    """The runs of a design by id, written down as `make plan` does."""
    document = {
        "experiment": "e", "question": "q?", "data": data or {}, "factors": factors,
        "constants": {"model": "tiny", "batch_size": 2, **constants},
    }
    paths.EXPERIMENT_YAML.write_text(dump_yaml(document))
    experiment, runs = make_plan()
    write_plan(experiment, runs)
    assert [read_run(run.id) for run in runs] == runs
    return {run.id: run for run in runs}


def trainings(runs: dict[str, Run]) -> dict[str, str]:
    return {run.id: run.training for run in runs.values() if not run.is_control}


def test_a_factor_of_tests_makes_evaluations_and_no_trainings() -> None:
    tests = {"a": {"data.test": "a_test.json"}, "b": {"data.test": "b_test.json"}}
    runs = planned({"on": tests, "lora_rank": [2, 4], "seed": [1, 2]}, {"train": "a.json"})
    shared = {name: name.replace("on-b", "on-a") for name in trainings(runs)}
    assert len(shared) == 8 and trainings(runs) == shared
    assert {name: run.stages for name, run in runs.items()} == {
        name: ("eval",) if name.startswith(("base", "on-b")) else ("train", "eval") for name in runs
    }
    assert [name for name in runs if name.startswith("base")] == ["base_on-a", "base_on-b"]
    experiment, listed = make_plan()
    assert design_in_words(experiment, listed).startswith("8 runs, 4 trainings (2 on x 2 lora_rank x 2 seed) and 2 controls")


@pytest.mark.parametrize("levels", [
    {"AA": AA, "AB": AB, "BB": BB}, {"BB": BB, "AB": AB, "AA": AA}, {"AB": AB, "BB": BB},
])
def test_levels_that_set_both_halves_share_where_they_train_on_the_same(levels: dict[str, Any]) -> None:
    first = next(name for name in levels if name.startswith("A"))
    assert trainings(planned({"on": levels})) == {
        f"on-{name}": f"on-{first if name.startswith('A') else name}" for name in levels
    }


def test_a_tested_on_b_trains_on_the_rows_of_a_tested_on_a() -> None:
    for on in ({"AA": AA, "AB": AB, "BB": BB}, {"AB": AB, "BB": BB, "AA": AA}):
        runs = planned({"on": on})
        sets = training_sets(list(runs.values()))
        assert runs["on-AA"].training_set == runs["on-AB"].training_set
        rows = training_items(Sources(), sets[runs["on-AA"].training_set]).items
        assert sorted(item["row"]["input"] for item in rows) == sorted(f"word{i}" for i in range(18))
        assert {run.steps["train_rows"] for run in (runs["on-AA"], runs["on-AB"])} == {18}


@pytest.mark.parametrize("factors", [
    {"lora_rank": [2, 4]}, {"seed": [1, 2]}, {"train_size": [4, 8]},
    {"wording": {"a": {"prompt.user": "{input}"}, "b": {"prompt.user": "Say {input}"}}},
    {"told": {"a": {"prompt.system": "Say."}, "b": {"prompt.system": None}}},
    {"on": {"a": {"data.train": "a.json"}, "b": {"data.train": "b.json"}}},
    {"by": {"a": {"data.output": "output"}, "b": {"data.output": "topic"}}},
    {"optimizer.weight_decay": [0, 0.1]},
])
def test_whatever_trains_has_a_training_of_its_own(factors: dict[str, Any]) -> None:
    names = trainings(planned(factors, {"train": "a.json", "test": "b_test.json"}))
    assert len(names) == 2 and all(name == training for name, training in names.items())


def test_where_prompts_are_compared_all_train_on_the_same_rows() -> None:
    data = {"train": "a.json", "test": "a_test.json"}
    wordings = {"plain": {"prompt.user": "{input}"}, "topic": {"prompt.user": "{topic}: {input}"}}
    alone = planned({"wording": wordings}, data)
    both = planned({"wording": {**wordings, "few": {"prompt.user": "{topic}"}}}, data)
    assert {run.steps["train_rows"] for run in alone.values() if not run.is_control} == {18}
    rows = {run.steps["train_rows"] for run in both.values() if not run.is_control}
    assert len(rows) == 1 and rows < set(range(18)), "what one prompt cannot tell from a test row is trained by none"


def test_the_run_that_trained_keeps_the_training() -> None:
    tests = {"a": {"data.test": "a_test.json"}, "b": {"data.test": "b_test.json"}}
    runs = planned({"on": tests}, {"train": "a.json"})
    assert trainings(runs) == {"on-a": "on-a", "on-b": "on-a"}
    assert set(trainings(planned({"on": dict(reversed(tests.items()))}, {"train": "a.json"})).values()) == {"on-b"}
    paths.RunPaths("on-b").job("train").write_text("{}")
    assert set(trainings(planned({"on": tests}, {"train": "a.json"})).values()) == {"on-b"}, "it was begun"
    paths.RunPaths("on-a").manifest("train").write_text("{}")
    assert set(trainings(planned({"on": dict(reversed(tests.items()))}, {"train": "a.json"})).values()) == {"on-a"}


def test_a_run_that_has_a_training_of_its_own_says_nothing_of_other_runs() -> None:
    alone = planned({"on": {"AA": AA}})["on-AA"]
    assert planned({"on": {"AA": AA, "BB": {**BB, "data.test": "a_test.json"}}})["on-AA"] == alone
