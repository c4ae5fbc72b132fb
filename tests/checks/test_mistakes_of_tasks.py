"""Mistakes in what a second task asks: each is said before anything is spent, by its file or its key, and by the value."""

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ftexp.checks.option_check import Option, check_options
from ftexp.checks.rows import Rows
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.models.chat import Chat
from helpers.changes import edit_json, experiment
from helpers.spoken import said
from helpers.tiny_models import TinyExperiment, make_experiment

OTHER = [{"input": f"frage {n}", "output": "ja" if n % 2 else "nein", "who": n % 4, "list": ["ja", "nein"]} for n in range(12)]
ONE = "data/raw/other.json: row 3"
SET = "data/splits/other-"


class Wrong(NamedTuple):
    """What a second task says, what is changed in its rows, and how the one message begins, after the run where it is one's."""

    task: dict[str, Any]
    change: Callable[[list[dict[str, Any]]], Any]
    message: str
    is_warning: bool = False


def third(**values: Any) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda rows: rows[2].update(values)


def every(**values: Any) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda rows: [row.update(values) for row in rows]


def without(column: str) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda rows: rows[2].pop(column)


def nothing(rows: list[dict[str, Any]]) -> None:
    """Leave them as they are."""


OWN = {"data": "data/raw/other.json"}
CHOSEN = {**OWN, "choices": ["ja", "nein"]}
LISTED = {**OWN, "choices": "list"}
KEY = "experiment.yaml: evaluation.tasks.other"
MISTAKES = {
    "a file that is not there": Wrong({"data": "data/raw/othr.json"}, nothing, "data/raw/othr.json: there is no such file."),
    "a file without rows": Wrong(OWN, lambda rows: rows.clear(), "data/raw/other.json: has no rows."),
    "a column of answers that is not there": Wrong(
        {**OWN, "output": "label"}, nothing,
        "data/raw/other.json: row 1: has no column 'label', which experiment.yaml names as output. Its columns: input, output,"),
    "a column that one row lacks": Wrong(
        OWN, without("output"), f"{ONE}: has no column 'output', which experiment.yaml names as output. Its columns: input, who"),
    "an empty answer": Wrong(OWN, third(output=" "), f"{ONE}: column 'output' is empty, got ' '. Fill it or remove the row."),
    "a missing value": Wrong(OWN, third(output=None), f"{ONE}: column 'output'"),
    "a placeholder that is no column": Wrong(
        {**OWN, "prompt.user": "{input} {whom}"}, nothing, f"{KEY}.prompt.user: {{whom}}: unknown column. Did you mean 'who'?"),
    "a placeholder that is no column of the data": Wrong(
        {"prompt.user": "{input} {who}"}, nothing, f"{KEY}.prompt.user: {{who}}: unknown column. Valid here: input, output."),
    "a prompt that holds the answers": Wrong(
        {**OWN, "prompt.user": "{input} {output}"}, nothing,
        f"{KEY}.prompt.user: {{output}} is the column of the answers (output), so that every prompt holds its own answer."),
    "an answer that is no choice": Wrong(
        CHOSEN, third(output="jein"), f"{ONE}: the answer 'jein' is not one of the choices ['ja', 'nein']. Name all choices,"),
    "an answer that is no choice of its row": Wrong(
        LISTED, third(list=["a", "b"]), f"{ONE}: the answer 'nein' is not one of the choices ['a', 'b']. Name all choices, or"),
    "a column of choices that is not there": Wrong(
        {**OWN, "choices": "lst"}, nothing,
        "data/raw/other.json: row 1: has no column 'lst', which experiment.yaml names as choices. Its columns: input, output, w"),
    "choices that are no list": Wrong(
        LISTED, third(list="ja, nein"), f"{ONE}: column 'list', which experiment.yaml names as choices, must hold a list of"),
    "a single choice": Wrong(
        LISTED, third(list=["nein"]), f"{ONE}: column 'list', which experiment.yaml names as choices, must hold a list of diffe"),
    "a choice twice": Wrong(
        LISTED, third(list=["nein", "a", "a "]), f"{ONE}: column 'list', which experiment.yaml names as choices, must hold a li"),
    "a choice at which an answer stops": Wrong(
        LISTED, third(list=["nein", "ja<|im_end|>"]), f"{SET}*: item * (frage 2): the option 'ja<|im_end|>' holds a token at wh"),
    "a choice that is too long": Wrong(
        LISTED, third(list=["nein", "j" * 40_000]), f"{SET}*: item * (frage 2): has * tokens with its answer, the model takes "),
    "answers that are too long": Wrong(
        {**OWN, "max_tokens": 3}, nothing, f"{KEY}.max_tokens: is 3, but the longest reference answer has 5 tokens with its end"),
    "a prompt that is too long": Wrong(
        OWN, third(input="wort " * 8000), f"{SET}*: item * (wort wort wort wort wort wort wort ...): has * tokens with its answ"),
    "a token at which an answer stops": Wrong(
        OWN, third(output="ja<|im_end|>"), f"{SET}*: item * (frage 2): has <|im_end|> in its answer, at which generation stops"),
    "a document that is not there": Wrong(
        {**OWN, "document": "txt"}, nothing,
        "data/raw/other.json: row 1: has no column 'txt', which experiment.yaml names as document. Its columns: input, output,"),
    "a document that is empty": Wrong({**OWN, "document": "input"}, third(input=" "), f"{ONE}: column 'input' is empty. Fill it"),
    "a document that is no column of the data": Wrong(
        {"document": "text"}, nothing,
        "data/raw/rows.json: row * has no column 'text', which experiment.yaml names as document. Its columns: input, output"),
    "a cluster that no row has": Wrong(
        {**OWN, "cluster": "whom"}, nothing,
        f"{KEY}.cluster: must be a column that every test row has a value in, got 'whom'. Did you mean 'who'?"),
    "a group with a gap": Wrong(
        {**OWN, "groups": ["who"]}, third(who=None),
        f"{KEY}.groups: must be a column that every test row has a value in, got 'who'."),
    "labels that are none": Wrong(
        {**OWN, "metrics": ["macro_f1"]}, lambda rows: [row.update(output=f"a{n}") for n, row in enumerate(rows)],
        f"{KEY}.metrics: macro_f1 needs 5 test rows a label, got 12 rows with 12 labels. Leave macro_f1 out, or give more"),
    "free texts": Wrong(
        {**OWN, "max_tokens": 64}, lambda rows: [row.update(output=f"Das hier ist Satz Nummer {n} davon.") for n, row in
                                                 enumerate(rows)] and rows.extend({**rows[0], "input": f"noch {n}", "output":
                                                 f"Und das ist Satz Nummer {n} davon."} for n in range(20)),
        f"{KEY}.scorers: exact takes an answer for right only where it is the reference, letter for letter, and the 32 of", True),
    "a rare label": Wrong(
        {**OWN, "metrics": ["macro_f1"]}, lambda rows: [row.update(output="ja" if n else "nein") for n, row in enumerate(rows)],
        f"{KEY}.metrics: macro_f1 counts each of the 2 classes alike, and these have fewer than 5 of the 12 test rows: 'nein' 1.",
        True),
    "one answer to everything": Wrong(
        OWN, every(output="ja"), f"{SET}*: every answer is 'ja', so that a model that says nothing else is right. Give ro", True),
    "the same question twice": Wrong(
        OWN, third(input="frage 1"), f"{SET}*: item * (frage 1) and 1 more: the same prompt stands in other test rows", True),
    "a special token in the input": Wrong(
        OWN, third(input="<|im_start|>"), f"{SET}*: item * (<|im_start|>): holds the text of a special token", True),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """An experiment of two tasks, the second with a file of its own, in which nothing is wrong."""
    return make_experiment(tmp_path_factory.mktemp("tasks") / "tiny", "qwen2", "chatml", evaluation={"max_tokens": 24})


@pytest.fixture
def folder(good: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, the working folder."""
    shutil.copytree(good.root, tmp_path / "tiny", symlinks=True)
    monkeypatch.chdir(tmp_path / "tiny")
    return tmp_path / "tiny"


def ask(task: dict[str, Any], change: Callable[[list[dict[str, Any]]], Any] = nothing) -> tuple[str, int, list[str]]:
    rows = json.loads(json.dumps(OTHER))
    change(rows)
    Path("data/raw/other.json").write_text(json.dumps(rows))
    experiment(evaluation={"tasks": {"test": {}, "other": task}})()
    return said()


def fits(line: str, pattern: str) -> bool:
    """Whether a line, without the runs that it names, begins as a pattern does, `*` for anything in between."""
    parts = pattern.split("*")
    at = line.find(parts[0])
    for part in parts:
        at = line.find(part, at)
        if at < 0:
            return False
    return True


@pytest.mark.parametrize("task", [OWN, CHOSEN, LISTED, {**OWN, "document": "input"}, {"prompt.user": "Say: {input}"}], ids=str)
def test_a_second_task_without_a_mistake_is_ready(task: dict[str, Any], folder: Path) -> None:
    stage, code, lines = ask(task)
    assert (stage, code, lines[-1]) == ("validate", 0, "validate: 2 of 2 runs are ready"), lines
    assert not [line for line in lines if "other" in line and line.startswith(("warning", "error"))]


@pytest.mark.parametrize("wrong", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_of_a_task_is_one_message(wrong: Wrong, folder: Path) -> None:
    _, code, lines = ask(wrong.task, wrong.change)
    found = [line for line in lines if fits(line, wrong.message)]
    assert len(found) == 1, "\n".join(lines)
    assert (code == 0) == wrong.is_warning
    places = ("evaluation.tasks.other", SET, "data/raw/other.json")
    spoken = [line for line in lines if any(place in line for place in places) and not line.startswith("split: ")]
    others = [line for line in spoken if line not in found and (wrong.is_warning or not line.startswith("warning: "))]
    assert others == [], "of one mistake one message"


def test_a_question_that_only_its_normal_form_tells_from_a_trained_one_is_a_leak(folder: Path) -> None:
    edit_json("tokenizer.json", normalizer={"type": "NFC"})
    texts = [f"caf\N{LATIN SMALL LETTER E WITH ACUTE} {n}" for n in range(28)]
    Path("data/raw/rows.json").write_text(json.dumps([{"input": text, "output": text.upper()} for text in texts]))
    asked = [{"input": unicodedata.normalize("NFD", text), "output": "ja"} for text in texts]
    _, code, lines = ask(OWN, lambda document: document.extend(asked))
    found = [line for line in lines if "has the same prompt as a test row, so that the test would ask for what was" in line]
    assert code == 1 and len(found) == 1 and "and 13 more" in found[0]
    assert "they differ in their Unicode normal form, which no token shows. Write the data in one, as a rule NFC" in found[0]


def test_options_that_are_the_same_tokens_are_refused_with_the_rows_that_have_them(good: TinyExperiment) -> None:
    same = [Option("caf\N{LATIN SMALL LETTER E WITH ACUTE}", (3, 4, 9)), Option("cafe\N{COMBINING ACUTE ACCENT}", (3, 4, 9))]
    empty, fine = [Option("a", (9,)), Option("b", (5, 9))], [Option("a", (4, 9)), Option("b", (5, 9))]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(good.root)
        chat = Chat(paths.model_dir("tiny"), "2026-01-01")
        found = Rows(planned_runs()[-1].asked[0], chat)
        said_of = check_options(found, [fine, same, fine, same, empty], chat)
    first, second = said_of
    assert "and 1 more: the options 'café' and" in first and "are the same tokens to the model, which cannot choose" in first
    assert first.startswith(str(found.file)) and ": the option 'a' has no tokens, so that nothing can be said of it." in second


TASKS_PY = "from inspect_ai import task\n\n\n@task\ndef arc():\n    ...\n\n\nbrc = arc\n"
JUDGED_PY = "def tone():\n    ...\n"


def of_inspect(source: str) -> dict[str, Any]:
    return {"tasks": {"test": {}, "a": {"inspect": source}}}


SOURCES = [
    (of_inspect("tasks.py@arc"), ""), (of_inspect("tasks.py@brc"), ""),
    (of_inspect("tasks.py@task"), ""), (of_inspect("json@dumps"), ""),
    ({"scorers": ["judged.py@tone", {"semscore": {"model": "tiny"}}]}, ""),
    (of_inspect("task.py@arc"),
     "evaluation.tasks.a.inspect: there is no file task.py. Put it there, or correct the name."),
    (of_inspect("tasks.py@ark"),
     "evaluation.tasks.a.inspect: tasks.py has no function ark. Did you mean 'arc'?"),
    (of_inspect("broken.py@arc"),
     "evaluation.tasks.a.inspect: broken.py is no Python (line 1: invalid syntax). Correct it."),
    (of_inspect("no_such_package/arc"),
     "evaluation.tasks.a.inspect: the package no_such_package is not installed here. Correct its name, or install it."),
    (of_inspect("no.such.module@arc"),
     "evaluation.tasks.a.inspect: the package no.such.module is not installed here. Correct its name, or install it."),
    ({"scorers": ["judge.py@tone"]}, "evaluation.scorers: there is no file judge.py. Put it there, or correct the name."),
    ({"scorers": ["judged.py@tune"]}, "evaluation.scorers: judged.py has no function tune. Did you mean 'tone'?"),
    ({"scorers": [{"semscore": {"model": "mpnet"}}]},
     "evaluation.scorers: semscore: there is no folder models/mpnet. Link the model there."),
    ({"tasks": {"test": {}, "b": {"scorers": ["judge.py@tone"]}}},
     "evaluation.tasks.b.scorers: there is no file judge.py. Put it there, or correct the name."),
]


@pytest.mark.parametrize(("evaluation", "message"), SOURCES, ids=[message[:70] or str(said_of) for said_of, message in SOURCES])
def test_code_and_models_that_judge_or_ask_are_there_before_anything_is_trained(
    evaluation: dict[str, Any], message: str, folder: Path
) -> None:
    """What is asked has to be; an answer can be judged later, which is a warning."""
    for name, text in (("tasks.py", TASKS_PY), ("judged.py", JUDGED_PY), ("broken.py", "def arc(:\n")):
        Path(name).write_text(text)
    experiment(evaluation={"scorer": None, **evaluation})()
    _, code, lines = said()
    found = [line for line in lines if "evaluation." in line]
    assert code == (1 if ".inspect: " in message else 0), lines
    assert len(found) == (1 if message else 0) and all(line.endswith(f"experiment.yaml: {message}") for line in found), lines
