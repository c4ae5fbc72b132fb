"""Experiments on whole documents: what is planned, what a task of them is, and what may not stand beside data.text."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ftexp.design.asking_words import asking_in_words
from ftexp.design.evaluation_section import check_evaluation
from ftexp.design.judging import Scorer
from ftexp.design.planning import plan_runs
from ftexp.design.runs import expand
from ftexp.design.spec import Experiment, check_experiment
from ftexp.ground.errors import Findings, UserError

BASE: dict[str, Any] = {
    "experiment": "papers", "data": {"source": "papers.jsonl", "text": "abstract"}, "factors": {"lr": [1e-4, 1e-3]},
    "constants": {"model": "tiny"},
}
PROMPTED = {"source": "papers.jsonl"}
BESIDE = "data.text: makes each row a document, which is whole: no question, no answer, no prompt; beside it"
LEVELS = {"abstract": {"data.text": "abstract"}, "title": {"data.text": "title"}}


def read(**changes: Any) -> Experiment:
    document = {**BASE, **changes}
    return check_experiment(yaml.safe_load(yaml.safe_dump(document, sort_keys=False)), "experiment.yaml")


def mistakes(**changes: Any) -> list[str]:
    with pytest.raises(UserError) as refused:
        expand(read(**changes))
    return [line.removeprefix("experiment.yaml: ") for line in str(refused.value).splitlines()]


def test_documents_have_a_text_in_place_of_input_and_output_and_every_token_is_trained() -> None:
    base, *runs = expand(read())
    for run in runs:
        assert {key: value for key, value in run.data.items() if value} == {"source": "papers.jsonl", "text": "abstract"}
        assert run.settings["loss"] == "full"
        assert [task.column for task in run.asked] == ["abstract"] and not run.asked[0].is_prompted
    assert base.row_sets == runs[0].row_sets[1:]


def test_a_run_on_prompts_and_answers_says_nothing_of_texts() -> None:
    run = expand(read(data=PROMPTED))[-1]
    assert "text" not in run.data and run.settings["loss"] == "completion"
    assert not run.asked[0].is_of_documents and run.asked[0].column == ""


def test_a_task_that_says_nothing_is_of_documents_by_both_perplexities() -> None:
    evaluation = read().evaluation
    assert evaluation.tasks == {"test": {"kind": "document", "prompt": {}}}
    assert evaluation.judging["test"].names == ("perplexity", "item_perplexity")
    assert evaluation.primary == ("test", "perplexity")
    said = read(evaluation={"metrics": ["bits_per_byte"]}).evaluation
    assert said.judging["test"].names == ("perplexity", "bits_per_byte")


@pytest.mark.parametrize(("after", "words"), [
    ({"sentences": 0.5}, "0.5 of its sentences"), ({"words": 20}, "20 words"), ({"tokens": 1}, "1 token"),
])
def test_a_document_that_is_completed_is_generated_and_judged_as_a_text(after: dict[str, Any], words: str) -> None:
    evaluation = read(evaluation={"tasks": {"rest": {"complete": {"after": after}, "max_tokens": 9}}}).evaluation
    task = evaluation.tasks["rest"]
    assert task == {"kind": "answer", "prompt": {}, "complete": after, "max_tokens": 9}
    assert evaluation.judging["rest"].scorers == (Scorer("rouge_l", "rouge_l"),)
    assert asking_in_words(task) == f"each document completed after {words}, greedy, at most 9 new tokens"
    measured = read(evaluation={"tasks": {"rest": {"complete": {"after": after}}}, "scorers": ["chrf", "perplexity"]}).evaluation
    assert measured.tasks["rest"]["reference"] and measured.judging["rest"].names == ("chrf", "perplexity")


def test_a_file_of_its_own_has_the_column_of_the_data_unless_the_task_names_another() -> None:
    own = {"data": "own.json"}
    tasks = {"as_data": own, "other": {**own, "document": "body"}, "rest": {**own, "complete": {"after": {"words": 2}}},
             "asked": {**own, "prompt.user": "Who? {input}"}}
    asked = {task.name: task for task in expand(read(evaluation={"tasks": tasks}))[-1].asked}
    assert {name: task.data for name, task in asked.items()} == {
        "as_data": {"test": "own.json", "document": "abstract"}, "other": {"test": "own.json", "document": "body"},
        "rest": {"test": "own.json", "document": "abstract"}, "asked": {"test": "own.json", "input": "input", "output": "output"},
    }
    assert [name for name, task in asked.items() if task.is_prompted] == ["asked"]


def test_the_column_may_be_a_factor_with_a_control_for_each_of_its_levels() -> None:
    runs = expand(read(data=PROMPTED, factors={"on": LEVELS}))
    assert {run.id: run.data["text"] for run in runs} == {
        "base_on-abstract": "abstract", "base_on-title": "title", "on-abstract": "abstract", "on-title": "title",
    }
    assert [run.asked[0].kind for run in runs] == ["document"] * 4


def test_documents_beside_questions_are_asked_by_tasks_with_data_of_their_own() -> None:
    by = {"read": {"data.text": "abstract"}, "asked": {"data.input": "title", "data.output": "area"}}
    tasks = {"whole": {"data": "own.json", "document": "abstract"}, "area": {"data": "own.json", "input": "title"}}
    prompt = {"user": "{title}"}
    runs = expand(read(data=PROMPTED, prompt=prompt, factors={"by": by}, evaluation={"tasks": tasks}))
    trained = [run for run in runs if not run.is_control]
    assert [(run.data.get("text"), run.data["input"], run.settings["loss"]) for run in trained] == [
        ("abstract", None, "full"), (None, "title", "completion"),
    ]
    message = "evaluation.tasks.test: asks questions, and the data of by-read are documents. Give it data of its own"
    assert mistakes(data=PROMPTED, factors={"by": by})[0].startswith(message)
    message = "evaluation.tasks.rest: asks for documents, and the data of by-asked are questions with answers. Name the "
    assert f"{message}column: document: COLUMN." in mistakes(
        data=PROMPTED, factors={"by": by}, evaluation={"tasks": {"rest": {"complete": {"after": {"words": 2}}}}}
    )


def test_what_is_wrong_with_many_runs_is_one_line() -> None:
    rest = {"rest": {"complete": {"after": {"words": 2}}}}
    what = "evaluation.tasks.rest: asks for documents, and the data of lr1e-4 and 1 more are questions with answers."
    assert mistakes(data=PROMPTED, evaluation={"tasks": rest}) == [f"{what} Name the column: document: COLUMN."]


@pytest.mark.parametrize(("changes", "wanted"), [
    ({"data": {**BASE["data"], "input": "title"}}, f"{BESIDE} stands data.input. Remove it; a task that asks by a prompt"),
    ({"data": {**BASE["data"], "output": "title"}}, f"{BESIDE} stands data.output. Remove it"),
    ({"prompt": {"user": "{input}"}}, f"{BESIDE} stands prompt.user. Remove it"),
    ({"prompt": {"system": "Be kind."}}, f"{BESIDE} stands prompt.system. Remove it"),
    ({"data": {**BASE["data"], "input": "input", "output": "output"}, "prompt": {"system": None, "user": "{input}"}},
     f"{BESIDE} stand data.input, data.output and prompt.user. Remove them"),
    ({"constants": {"model": "tiny", "loss": "full"}},
     "constants.loss: stands beside data.text, and every token of a document is trained. Remove it."),
    ({"factors": {"loss": ["full", "completion"]}}, "factors.loss: sets loss beside data.text, and every token of a"),
    ({"factors": {"on": {"a": {"data.text": "a", "prompt.user": "{input}"}}}}, "factors.on.a.prompt.user: sets prompt.user"),
    ({"data": PROMPTED, "factors": {"on": LEVELS, "say": {"x": {"prompt.user": "{input}"}}}},
     "factors.say: sets prompt.user beside data.text"),
    ({"data": {"source": "a", "text": 3}}, "data.text: must be a text, got 3."),
    ({"data": {"source": "a", "texts": "a"}}, "data.texts: unknown key. Did you mean 'text'?"),
], ids=str)
def test_what_means_nothing_beside_documents_is_refused(changes: dict[str, Any], wanted: str) -> None:
    assert any(line.startswith(wanted) for line in mistakes(**changes)), mistakes(**changes)


@pytest.mark.parametrize(("task", "wanted"), [
    ({"complete": {"sentences": 0.5}}, "complete: must be {after: {UNIT: NUMBER}}, its unit one of sentences, words, tokens,"),
    ({"complete": {"after": {"lines": 2}}}, "complete: must be {after: {UNIT: NUMBER}}"),
    ({"complete": {"after": {"words": 2, "tokens": 2}}}, "complete: must be {after: {UNIT: NUMBER}}"),
    ({"complete": {"after": {"words": 1.0}}}, "complete.after.words: must be a share of the document between 0 and 1, or a"),
    ({"complete": {"after": {"words": 0}}}, "complete.after.words: must be a share"),
    ({"complete": {"after": {"words": True}}}, "complete.after.words: must be a share"),
    ({"complete": {"after": {"words": 2}}, "choices": ["a", "b"]}, ": is of several kinds: options, complete. Keep one of them."),
    ({"complete": {"after": {"words": 2}}, "prompt.user": "{input}"},
     "prompt.user: changes nothing, because a document is read as it stands, without a prompt. Remove it."),
    ({"document": "a", "max_tokens": 3}, "max_tokens: changes nothing, because nothing is generated. Remove it."),
], ids=str)
def test_every_mistake_of_a_task_of_documents_is_one_message(task: dict[str, Any], wanted: str) -> None:
    lines = mistakes(evaluation={"tasks": {"rest": task}})
    place = "evaluation.tasks.rest" + ("" if wanted.startswith(":") else ".")
    assert any(line.startswith(place + wanted) for line in lines), lines


@pytest.mark.parametrize(("after", "wanted"), [
    ({"sentences": 0.5}, "has 1 sentence, of which no beginning and rest can be made"), ({"words": 9}, "has 3 words, and 9 are"),
])
def test_a_document_that_cannot_be_cut_is_named_before_anything_is_spent(
    after: dict[str, Any], wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [f"One is {n}. Two is not {n}. And three is neither of them." for n in range(20)]
    data = {"train": "train.json", "test": "test.json", "text": "abstract"}
    experiment = read(data=data, evaluation={"tasks": {"rest": {"complete": {"after": after}}}})
    for file, held in {"train.json": texts[:10], "test.json": texts[10:]}.items():
        Path(file).write_text(json.dumps([{"abstract": text} for text in held]), encoding="utf-8")
    assert len(plan_runs(experiment)) == 3
    Path("test.json").write_text(json.dumps([{"abstract": text} for text in (*texts[10:], "Only one here.")]), encoding="utf-8")
    with pytest.raises(UserError, match=f"test.json: row 11: column 'abstract': {wanted}"):
        plan_runs(experiment)


@pytest.mark.parametrize(("evaluation", "where"), [
    ({"scorers": ["exact"]}, "evaluation.scorers: is of answers, which documents have not, got exact."),
    ({"tasks": {"r": {"metrics": ["brier"]}}}, "evaluation.tasks.r.metrics: is of answers, which documents have not, got brier."),
    ({"tasks": {"r": {"scorers": [{"match": "[0-9]"}]}}}, "evaluation.tasks.r.scorers: is of answers, which documents have not"),
])
def test_what_judges_answers_is_asked_of_no_document(evaluation: dict[str, Any], where: str) -> None:
    found = Findings("experiment.yaml")
    check_evaluation(found, evaluation, {}, of_documents=True)
    assert len(found.messages) == 1 and where in found.messages[0] and "Set complete, or leave it out." in found.messages[0]


def test_what_all_tasks_share_is_of_those_that_are_answered() -> None:
    found = Findings("experiment.yaml")
    tasks = {"whole": {}, "rest": {"complete": {"after": {"words": 0.5}}}}
    made = check_evaluation(found, {"scorers": ["rouge_l"], "tasks": tasks}, {}, of_documents=True)
    assert not found.messages
    assert [made.judging[name].names[0] for name in tasks] == ["perplexity", "rouge_l"]
