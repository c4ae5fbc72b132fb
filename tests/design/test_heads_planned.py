"""What a plan says of runs with a head: their labels, what they make no use of, what their data and tasks must be."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ftexp.design.asking_words import asked_in_words
from ftexp.design.heads import labels_in_words, untrained_answers
from ftexp.design.in_words import design_in_words
from ftexp.design.planning import plan_with_answers
from ftexp.design.run import Run
from ftexp.design.spec import Experiment, check_experiment
from ftexp.design.unused import of_controls_alone
from ftexp.ground.errors import UserError

HEAD = {"model": "tiny", "head": "classification"}
BASE: dict[str, Any] = {
    "experiment": "heads", "data": {"train": "train.json", "test": "test.json"}, "factors": {"lr": [1e-4, 1e-3]},
    "constants": HEAD, "evaluation": {"max_tokens": 16},
}
MIXED = {"constants": {"model": "tiny"}, "factors": {"way": {"text": {"head": None}, "head": {"head": "classification"}}}}
ALONE = {"controls": {"base": False}}
CHOICES = {"choices": ["even", "odd"]}


def rows(count: int, *answers: str) -> list[dict[str, str]]:
    return [{"input": f"{answers} {n}", "output": answers[n % len(answers)]} for n in range(count)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(train=rows(20, "odd", "even"), test=rows(10, "even", "odd"))


def write(**files: list[dict[str, str]]) -> None:
    for name, content in files.items():
        content = [{**row, "input": f"{name} {row['input']}"} for row in content]
        Path(f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def planned(**changes: Any) -> tuple[Experiment, list[Run], Any]:
    document = yaml.safe_load(yaml.safe_dump({**BASE, **changes}, sort_keys=False))
    experiment = check_experiment(document, "experiment.yaml")
    return experiment, *plan_with_answers(experiment)


def asks(**changes: Any) -> str:
    experiment, runs, _ = planned(**changes)
    return asked_in_words(experiment.evaluation, runs)[0].partition("; ")[2].partition("; judged")[0]


def mistakes(**changes: Any) -> list[str]:
    with pytest.raises(UserError) as refused:
        planned(**changes)
    return [line.removeprefix("experiment.yaml: ") for line in str(refused.value).splitlines()]


def test_how_is_asked_is_said_of_heads_and_of_the_others() -> None:
    greedy, label = "greedy, at most 16 new tokens", "the most probable label by a head"
    assert asks() == f"of 2 runs {label}, of 1 control {greedy}"
    assert asks(**MIXED) == f"of 1 run {label}, of 2 runs and controls {greedy}"
    assert asks(**ALONE, evaluation={}) == label
    assert asks(**ALONE, evaluation={"tasks": {"test": CHOICES}}) == "the most probable of its options by a head"
    assert asks(**MIXED, **ALONE) == f"of 1 run {label}, of 1 run {greedy}"
    assert asks(constants={"model": "tiny"}) == greedy


def test_what_no_run_makes_use_of_is_not_among_what_is_constant() -> None:
    said = [design_in_words(*planned(**changes)[:2]).splitlines()[-1] for changes in ({}, MIXED)]
    assert [" loss=completion" in line for line in said] == [False, True]


def test_labels_are_listed_once_for_all_runs_that_share_them() -> None:
    assert labels_in_words(planned()[1]) == ["head: chooses from 2 labels: 'even', 'odd'"]
    write(other=rows(20, *"abcdefghi"))
    corpora = {"corpus": {"a": {"data.train": "train.json"}, "b": {"data.train": "other.json"}}, "lr": [1e-4, 1e-3]}
    write(test=[*rows(10, "even", "odd"), *rows(10, *"abcdefghi")])
    _, runs, _ = planned(factors=corpora, data={"test": "test.json"})
    assert labels_in_words(runs) == [
        "head: chooses from 2 labels (corpus-a_lr1e-4 and 1 more): 'even', 'odd'",
        "head: chooses from 9 labels (corpus-b_lr1e-4 and 1 more): 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' and 1 more",
    ]
    assert labels_in_words(planned(constants={"model": "tiny"})[1]) == []


@pytest.mark.parametrize(("training", "wanted"), [
    (rows(20, "one"), "has 1 different answers in 20 training rows, and head: classification chooses from 2 to 1000. Name a"),
    (rows(20, *map(str, range(11))), "has 11 different answers in 20 training rows, e.g. '0', which are no labels (head: "),
    (rows(20, "odd", "odd "), "has 'odd ' and the same without its blanks, which would be two labels of one answer. Write it"),
])
@pytest.mark.parametrize("mixed", [{}, MIXED], ids=["all", "mixed"])
def test_answers_that_are_no_labels_are_one_line(training: list[dict[str, str]], wanted: str, mixed: dict[str, Any]) -> None:
    write(train=training)
    [line] = mistakes(**mixed)
    assert line.startswith(f"data.output: column 'output': {wanted}")


def test_half_as_many_labels_as_rows_are_labels() -> None:
    write(train=rows(20, *map(str, range(10))), test=rows(10, *map(str, range(10))))
    assert len(planned()[1][-1].labels) == 10


def test_test_answers_that_no_training_row_has_are_a_warning_if_few_and_an_error_if_most() -> None:
    write(test=[*rows(8, "even", "odd"), {"input": "x", "output": "none"}, {"input": "y", "output": " even"}])
    _, runs, answers = planned()
    what = "experiment.yaml: data.output: 1 of 10 test items have an answer that no training row has ('none'), and there a"
    [warning] = untrained_answers(runs, answers)
    assert warning == f"{what} head is never right. Train on such rows too, or take these items out of the test"
    _, runs, answers = planned(constants={"model": "tiny"})
    assert untrained_answers(runs, answers) == []
    write(own=rows(9, "none", "even", "nought"))
    [line] = mistakes(evaluation={"tasks": {"test": {}, "own": {"data": "own.json"}}})
    assert line.startswith("evaluation.tasks.own.data: 6 of 9 test items have an answer that no training row has ('none', 'nou")


def test_an_option_that_is_no_label_is_refused_where_a_head_is_asked() -> None:
    tasks = {"tasks": {"test": {"choices": ["even", "odd", "neither"]}}}
    for changes in ({}, MIXED):
        [line] = mistakes(**changes, evaluation=tasks)
        assert line.startswith("evaluation.tasks.test.choices: must be out of the labels of the training rows, of which ")
        assert line.endswith(" has a head, got 'neither'. The labels: 'even', 'odd'.")
    assert planned(constants={"model": "tiny"}, evaluation=tasks)
    matrix = [{"runs": {"way": "head"}, "tasks": ["free"]}, {"runs": {"way": "text"}, "tasks": "all"}]
    assert planned(**MIXED, evaluation={"tasks": {**tasks["tasks"], "free": {}}, "matrix": matrix})


@pytest.mark.parametrize(("changes", "wanted"), [
    ({"constants": {**HEAD, "loss": "full"}}, "constants.loss: changes nothing, as all runs have a head, and a head is trained"),
    ({"factors": {"loss": "all"}}, "factors.loss: sets loss, which changes nothing, as all runs there have a head, and a head"),
    ({**MIXED, "factors": {**MIXED["factors"], "loss": "all"}},
     "factors.loss: changes nothing in runs with a head, as a head is trained on the label, and on no token: way-head_completion "
     "and way-head_full are the same run. Take one of them away by exclude."),
    ({**MIXED, "factors": {"way": {"text": {"head": None}, "head": {"head": "classification", "loss": "full"}}}},
     "factors.way: sets loss at head, which changes nothing"),
    ({**ALONE, "evaluation": {"temperature": 0.7, "epochs": 3}},
     "evaluation.temperature and evaluation.epochs: change nothing, as all runs that are asked have a head, and a head writes no "
     "text. Remove them."),
    ({**ALONE, "evaluation": {"max_tokens": 9, "tasks": {"test": CHOICES}}}, "evaluation.max_tokens: changes nothing, as all"),
    ({**ALONE, "evaluation": {"tasks": {"test": {**CHOICES, "normalization": "bytes"}}}},
     "evaluation.tasks.test.normalization: changes nothing, as all runs that are asked have a head, and a head gives a label"),
    ({"evaluation": {"scorers": ["exact", "perplexity"]}},
     "evaluation.scorers: rates the tokens of a text, got perplexity, and a head chooses a label, as that of lr1e-4 and 1 more "
     "does. Leave it out."),
    ({**MIXED, "evaluation": {"tasks": {"whole": {"document": "input"}}}},
     "evaluation.tasks.whole: is of documents, and a head chooses a label, as that of way-head does. Leave it out, or ask it in"),
    ({"data": {**BASE["data"], "text": "input"}, "evaluation": {}},
     "data.text: names documents, which have no label that a head could choose (head: classification). Name data.output"),
], ids=str)
def test_what_has_no_meaning_for_a_head_is_one_line(changes: dict[str, Any], wanted: str) -> None:
    [line] = mistakes(**changes)
    assert line.startswith(wanted)


def test_what_others_make_use_of_may_stand_beside_heads() -> None:
    loss = {**MIXED["constants"], "loss": "full"}
    drawn = {"temperature": 0.7, "epochs": 2}
    experiment, runs, _ = planned(**{**MIXED, "constants": loss}, **ALONE, evaluation=drawn)
    assert of_controls_alone(experiment, runs) == []
    factors = {**MIXED["factors"], "loss": ["completion", "full"]}
    assert len(planned(**{**MIXED, "factors": factors}, exclude=[{"way": "head", "loss": "full"}])[1]) == 4
    experiment, runs, _ = planned(evaluation={**drawn, "max_tokens": 9})
    what = "concern the controls alone, as all other runs that are asked have a head, and a head writes no text."
    cure = "Leave them out, or compare with the controls in mind"
    assert of_controls_alone(experiment, runs) == [
        f"experiment.yaml: evaluation.temperature and evaluation.epochs: {what} {cure}"
    ]
