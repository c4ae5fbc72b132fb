"""Which run is asked what: the matrix, controls, existing checkpoints, tasks with files of their own."""

import json
from pathlib import Path
from typing import Any

import pytest
from ftexp.design.controls import base_of, controls_of, others_of
from ftexp.design.planning import make_plan, read_run, write_plan
from ftexp.design.run import Run, row_sets_of
from ftexp.design.runs import expand
from ftexp.design.spec import check_experiment
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import write_json
from ftexp.ground.yamlfile import dump_yaml

CORPORA = {"A": {"data.source": "a.json"}, "B": {"data.source": "b.json"}}
TWO = {"test": {}, "other": {"data": "o.json"}}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def runs_of(evaluation: dict[str, Any], **sections: Any) -> dict[str, Run]:
    """The runs of a design by id; the data is one source where nothing else is said."""
    document = {
        "experiment": "e", "question": "q?", "data": {"source": "a.json"}, "constants": {"model": "tiny"},
        "evaluation": evaluation, **sections,
    }
    return {run.id: run for run in expand(check_experiment(document, "experiment.yaml"))}


def asked(runs: dict[str, Run]) -> dict[str, str]:
    return {name: "+".join(run.tasks) for name, run in runs.items()}


def refusal(evaluation: dict[str, Any], **sections: Any) -> list[str]:
    with pytest.raises(UserError) as refused:
        runs_of(evaluation, **sections)
    return str(refused.value).splitlines()


def test_without_a_matrix_every_run_is_asked_every_task() -> None:
    assert asked(runs_of({"tasks": TWO}, factors={"lora_rank": [2, 4]})) == dict.fromkeys(("base", "r2", "r4"), "test+other")


def test_a_run_is_asked_the_tasks_of_all_entries_that_it_matches_and_everything_where_it_matches_none() -> None:
    matrix = [
        {"runs": {"corpus": "A"}, "tasks": ["other"]}, {"runs": {"corpus": ["A", "B"], "lora_rank": 4}, "tasks": ["test"]},
    ]
    found = runs_of({"tasks": TWO, "matrix": matrix}, factors={"corpus": CORPORA, "lora_rank": [2, 4]})
    assert asked(found) == {
        "base_corpus-A": "test+other", "base_corpus-B": "test+other",
        "corpus-A_r2": "other", "corpus-A_r4": "test+other", "corpus-B_r2": "test+other", "corpus-B_r4": "test",
    }
    assert controls_of(found.values()) == {name: f"base_{name[:8]}" for name in found if not name.startswith("base")}


def test_a_control_is_asked_no_task_that_none_of_its_runs_is() -> None:
    matrix = [{"runs": {"corpus": "A"}, "tasks": ["test"]}, {"runs": {"corpus": "B"}, "tasks": ["other"]}]
    found = asked(runs_of({"tasks": TWO, "matrix": matrix}, factors={"corpus": CORPORA}))
    assert found == {"base_corpus-A": "test", "base_corpus-B": "other", "corpus-A": "test", "corpus-B": "other"}
    matrix = [{"runs": {"lora_rank": 2}, "tasks": ["test"]}, {"runs": {"lora_rank": 4}, "tasks": ["other"]}]
    found = asked(runs_of({"tasks": TWO, "matrix": matrix}, factors={"lora_rank": [2, 4]}))
    assert found == {"base": "test+other", "r2": "test", "r4": "other"}


def test_the_matrix_names_runs_that_there_are_and_leaves_no_task_out() -> None:
    factors = {"corpus": CORPORA, "lora_rank": [2, 4]}
    design = [{"corpus": "A", "lora_rank": 2}, {"corpus": "B", "lora_rank": 4}]
    evaluation = {"tasks": TWO, "matrix": [{"runs": {"corpus": "A", "lora_rank": 4}, "tasks": ["test"]}]}
    assert refusal(evaluation, factors=factors, design=design) == [
        "experiment.yaml: evaluation.matrix, entry 1: runs: no run has these levels, got {'corpus': ['A'], 'lora_rank': ['4']}. "
        "Remove the entry."
    ]
    assert refusal({"tasks": TWO, "matrix": [{"runs": {}, "tasks": ["test"]}]}) == [
        "experiment.yaml: evaluation.tasks.other: no run is asked it, by evaluation.matrix. Name it there, or remove it."
    ]


def test_where_every_task_has_its_own_file_what_trains_is_enough_and_one_control_answers_for_all() -> None:
    tasks = {"a": {"data": "a_test.json"}, "b": {"data": "b_test.json"}}
    corpora = {"A": {"data.train": "a.json"}, "B": {"data.train": "b.json"}}
    found = runs_of({"tasks": tasks}, data={}, factors={"corpus": corpora})
    assert asked(found) == dict.fromkeys(("base", "corpus-A", "corpus-B"), "a+b")
    assert controls_of(found.values()) == {"corpus-A": "base", "corpus-B": "base"}
    assert found["base"].row_sets == tuple((task.test_set, "test") for task in found["base"].asked)
    assert len(row_sets_of(found.values())) == 4
    assert refusal({"tasks": {**tasks, "test": {}}}, data={}, factors={"corpus": corpora}) == [
        "experiment.yaml: data.source: is missing. Name a file, or both data.train and data.test."
    ]


def test_columns_of_a_task_are_the_runs_where_it_names_none() -> None:
    tasks = {"a": {"data": "t.json"}, "b": {"data": "t.json", "output": "label"}, "c": {"data": "t.json", "document": "text"}}
    levels = {"x": {"data.input": "x"}, "y": {"data.input": "y"}}
    found = runs_of({"tasks": tasks}, factors={"column": levels})
    assert [task.data for task in found["column-y"].asked] == [
        {"test": "t.json", "input": "y", "output": "output"}, {"test": "t.json", "input": "y", "output": "label"},
        {"test": "t.json", "document": "text"},
    ]
    assert controls_of(found.values()) == {"column-x": "base_column-x", "column-y": "base_column-y"}


def test_a_run_reads_back_what_run_yaml_says_whatever_it_is_asked() -> None:
    Path("a.json").write_text(json.dumps([{"input": f"w{i}", "output": "ab"[i % 2], "text": "t"} for i in range(20)]))
    Path("o.json").write_text(Path("a.json").read_text())
    write_json(Path("older/adapter_config.json"), {"base_model_name_or_path": "models/tiny"})
    tasks = {
        "test": {}, "polite": {"prompt.user": "Please: {input}"}, "options": {"choices": ["a", "b"], "metrics": ["brier"]},
        "own": {"data": "o.json", "scorers": ["perplexity"]}, "text": {"document": "text", "data": "o.json"},
        "arc": {"inspect": "inspect_evals/arc_easy", "args": {"limit": 2}}, "drawn": {"temperature": 0.5},
    }
    document = {
        "experiment": "e", "question": "q?", "data": {"source": "a.json"}, "evaluation": {"tasks": tasks},
        "constants": {"model": "tiny", "batch_size": 2}, "controls": {"others": {"older": "older"}},
    }
    paths.EXPERIMENT_YAML.write_text(dump_yaml(document))
    experiment, runs = make_plan()
    write_plan(experiment, runs)
    assert [run.id for run in runs] == ["base", "older", "run"]
    for run in runs:
        assert Run.from_yaml(run.to_yaml()) == run == read_run(run.id)
        assert run.askings == ("test", "polite", "options", "own", "own.reference", "text", "arc", "drawn")
    assert {task.name: task.prompt["user"] for task in runs[0].asked if task.prompt["user"] != "{input}"} == {
        "polite": "Please: {input}"
    }
    older = read_run("older")
    assert (older.is_other, older.checkpoint, older.adapter_or_weights) == (True, "older", Path("older"))


def adapter(folder: str, **config: Any) -> str:
    write_json(Path(folder) / "adapter_config.json", config)
    return folder


def test_an_existing_checkpoint_is_a_control_beside_the_base_models() -> None:
    adapter("older", base_model_name_or_path="/elsewhere/models/small")
    others = {"published": "models/merged", "older": "older"}
    factors = {"model": ["small", "large"], "lora_rank": [2, 4]}
    found = runs_of({"tasks": TWO}, controls={"others": others}, factors=factors, constants={})
    controls = {name: run for name, run in found.items() if run.is_control}
    assert list(controls) == ["base_small", "base_large", "published", "older"]
    assert {name: (run.settings["model"], run.checkpoint, run.is_other) for name, run in controls.items()} == {
        "base_small": ("small", "", False), "base_large": ("large", "", False),
        "published": ("merged", "", True), "older": ("small", "older", True),
    }
    assert all(run.stages == ("eval",) and list(run.tasks) == ["test", "other"] and not run.problems for run in controls.values())
    assert controls["published"].adapter_or_weights is None, "a whole model is loaded as a base model is"
    trained = [name for name in found if name not in controls]
    assert controls_of(found.values()) == {name: "base_" + name.split("_")[0] for name in trained}
    assert others_of(found.values(), "older") == dict.fromkeys(trained, "older")


def test_what_a_level_sets_beside_the_model_an_existing_checkpoint_is_asked_too() -> None:
    setups = {"small": {"model": "s", "prompt.user": "{input}"}, "large": {"model": "l", "prompt.user": "Q: {input}"}}
    found = runs_of({}, controls={"others": {"merged": "models/m"}}, factors={"setup": setups}, constants={})
    assert others_of(found.values(), "merged") == {f"setup-{name}": f"merged_setup-{name}" for name in setups}
    assert {run.settings["model"] for run in found.values() if run.is_other} == {"m"}


def test_without_base_models_the_existing_ones_are_the_only_controls() -> None:
    found = runs_of({}, controls={"base": False, "others": {"published": "models/merged"}})
    assert list(found) == ["published", "run"] and controls_of(found.values()) == {"run": None}


def test_an_existing_checkpoint_is_asked_under_every_prompt_and_of_every_test() -> None:
    wordings = {"plain": {"prompt.user": "{input}"}, "told": {"prompt.user": "Say {input}"}}
    others = {"merged": "models/m", "merged_once": "models/n"}
    found = runs_of({}, controls={"others": others}, factors={"wording": wordings, "corpus": CORPORA})
    mine = [name for name, run in found.items() if run.is_other and run.settings["model"] == "m"]
    assert mine == [f"merged_wording-{wording}_corpus-{corpus}" for wording in wordings for corpus in CORPORA]
    for name in others:
        assert others_of(found.values(), name) == {run.id: f"{name}_{run.id}" for run in found.values() if not run.is_control}


def test_a_quantised_base_is_no_precision_of_an_existing_checkpoint() -> None:
    found = runs_of({}, controls={"others": {"merged": "models/m"}}, factors={"quantize_base": [False, True]})
    assert [name for name in found if not name.startswith("nf4")] == ["base_nf4-false", "base_nf4-true", "merged"]
    assert "quantize_base" not in found["merged"].settings


@pytest.mark.parametrize(("config", "problem"), [
    (None, "controls.others: older is neither a folder of models/ nor an adapter, as it has no adapter_config.json; link"),
    ("{", "controls.others: older/adapter_config.json names no base model; set base_model_name_or_path to"),
    ("[]", "controls.others: older/adapter_config.json names no base model; set base_model_name_or_path to"),
    ('{"base_model_name_or_path": null}', "controls.others: older/adapter_config.json names no base model; set base_model"),
    ('{"base_model_name_or_path": 5}', "controls.others: older/adapter_config.json names no base model; set base_model"),
    (b"\xff\xfe", "controls.others: older/adapter_config.json names no base model; set base_model"),
])
def test_a_checkpoint_that_is_none_is_a_problem_of_its_own_run(config: Any, problem: str) -> None:
    if config is not None:
        Path("older").mkdir()
        Path("older/adapter_config.json").write_bytes(config if isinstance(config, bytes) else config.encode())
    found = runs_of({}, controls={"others": {"older": "older"}})
    assert [len(run.problems) for run in found.values()] == [0, 1, 0]
    assert found["older"].problems[0].startswith(problem)


def test_a_folder_in_models_is_a_whole_model_and_its_name_the_folders() -> None:
    assert base_of("models/merged") == ("merged", "", "")
    adapter("runs/x/checkpoint", base_model_name_or_path="tiny")
    assert base_of("runs/x/checkpoint") == ("tiny", "runs/x/checkpoint", "")


@pytest.mark.parametrize(("others", "message"), [
    (["a"], "controls.others: must be a mapping of names to folders, got ['a']."),
    ({"a b": "x"}, "controls.others.a b: must have a name of letters, digits and '._+-', at most 40, got 'a b'."),
    ({1: "x"}, "controls.others.1: must have a name of letters, digits and '._+-', at most 40, got 1."),
    ({"a": 5}, "controls.others.a: must be a text, got 5."),
    ({"a": "/x"}, "controls.others.a: must be a folder of the experiment, got '/x'. Link it there, or into models/."),
    ({"a": "~/x"}, "controls.others.a: must be a folder of the experiment, got '~/x'. Link it there, or into models/."),
    ({"run": "x"}, "factors: two runs would share the folder 'run'"),
])
def test_a_wrong_mapping_of_checkpoints_is_one_message(others: Any, message: str) -> None:
    found = refusal({}, controls={"others": others})
    assert len(found) == 1 and found[0].startswith(f"experiment.yaml: {message}"), found
