"""Conversations: the last answer is what is trained and asked for, all before it the prompt, with the same tokens in both."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import split as split_stage
import stamp as stamp_stage
import validate as validate_stage
import yaml
from conftest import Bake
from ftexp.data.cell_text import Row
from ftexp.data.conversations import answer_text, earlier_turns, input_text
from ftexp.data.prompts import prompt_turns
from ftexp.design.planning import planned_runs
from ftexp.design.spec import read_experiment
from ftexp.evaluation.samples import test_samples as samples_of
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import read_json
from ftexp.models.chat import Chat
from ftexp.trainers.choice import trainer_of
from ftexp.trainers.prompted_rows import tokenize_example
from ftexp.trainers.torchtune.components.tokenizer import ChatTokenizer
from helpers.tiny_models import DATE, TinyExperiment, enter, make_experiment
from helpers.tiny_tokenizers import TOKENIZERS, generation_config, save_tokenizer

Turns = list[dict[str, Any]]
SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}


def said(*contents: str, system: str | None = None) -> Turns:
    """Turns of the user and the assistant by turns, after a system turn where there is one."""
    turns = [{"role": ("user", "assistant")[number % 2], "content": content} for number, content in enumerate(contents)]
    return [*([{"role": "system", "content": system}] if system else []), *turns]


def shared(turns: Turns) -> Turns:
    return [{"from": SHAREGPT[turn["role"]], "value": turn["content"]} for turn in turns]


def row(**cells: Any) -> Row:
    return Row(cells, "chat.jsonl", 7)


@pytest.mark.parametrize("write", [list, shared])
def test_the_last_answer_is_the_answer_and_all_before_it_the_prompt(write: Callable[[Turns], Turns]) -> None:
    turns = said("a", "b", "c", "d", system="s")
    whole = row(chat=write(turns), style="loud")
    assert answer_text(whole, "chat", "chat") == "d"
    assert input_text(whole, "chat") == "c" and earlier_turns(whole, "chat") == turns[:3]
    assert prompt_turns({"system": None, "user": "{style}: {input}"}, "chat", whole) == [
        *turns[:3], {"role": "user", "content": "loud: c"},
    ]
    apart = row(prompt=write(turns[:4]), completion=write(turns[4:]))
    assert answer_text(apart, "prompt", "completion") == "d"
    assert prompt_turns({"system": None, "user": "{input}"}, "prompt", apart) == turns[:4]


def test_the_turns_of_the_prompt_may_be_answered_by_a_text_and_a_part_may_be_one_text() -> None:
    asked = [{"role": "user", "content": [{"type": "text", "text": "a"}], "tool_calls": None, "name": None}]
    mixed = row(prompt=asked, answer="b")
    assert answer_text(mixed, "prompt", "answer") == "b" and input_text(mixed, "prompt") == "a"


def test_a_system_turn_of_ours_stands_first_and_two_are_refused() -> None:
    prompt = {"system": "s", "user": "{input}"}
    assert prompt_turns(prompt, "chat", row(chat=said("a", "b")))[0] == {"role": "system", "content": "s"}
    with pytest.raises(UserError, match="prompt.system: is set, and the conversation of chat.jsonl: row 7 has a system turn"):
        prompt_turns(prompt, "chat", row(chat=said("a", "b", system="t")))


IMAGE = [{"type": "text", "text": "a"}, {"type": "image"}]
BAD: dict[str, tuple[Any, str]] = {
    "no answer at the end": (said("a", "b", "c"), "ends with a turn of the user, so that there is no answer"),
    "an unknown role": ([{"role": "tool", "content": "x"}], "turn 1 is of the role 'tool'; known are system, user, human"),
    "two questions": ([*said("a"), *said("b", "c")], "turn 2 is the user's, where one of the assistant belongs"),
    "an answer first": (said("a", "b", "c")[1:2] + said("a", "b"), "turn 1 is the assistant's, where one of the user belongs"),
    "an answer alone": (said("a", "b")[1:], "has no turn of the user before the answer"),
    "an empty answer": (said("a", " "), "turn 2 has no text: its content is ' '"),
    "no content": ([{"role": "user"}, *said("a", "b")[1:]], "turn 1 has no text: its content is None"),
    "an image": ([{"role": "user", "content": IMAGE}, *said("a", "b")[1:]], "turn 1 has no text: its content is [{'type'"),
    "a call of a tool": ([*said("a"), {**said("", "b")[1], "tool_calls": [{"id": 1}]}], "turn 2 has 'tool_calls', which"),
    "a weight": ([*said("a"), {**said("", "b")[1], "weight": "0"}], "turn 2 has 'weight', which no prompt would show"),
    "a turn of nobody": ([*said("a"), {"content": "b"}], "turn 2 says not whose it is"),
    "a system turn later": ([*said("a", "b"), *said(system="s"), *said("a", "b")], "turn 3 is the system's, where one of the"),
}


@pytest.mark.parametrize(("turns", "message"), BAD.values(), ids=BAD)
def test_a_conversation_that_cannot_be_asked_and_answered_is_refused_with_file_and_row(turns: Turns, message: str) -> None:
    bad = row(chat=turns)
    with pytest.raises(UserError) as error:
        input_text(bad, "chat")
        answer_text(bad, "chat", "chat")
    assert str(error.value).startswith(f"chat.jsonl: row 7: column 'chat': the conversation {message}"), error.value


def test_columns_of_text_named_twice_and_turns_in_the_wrong_column_are_refused() -> None:
    for cells, names, message in [
        ({"x": "a"}, ("x", "x"), "column 'x' is data.input and data.output, and holds a text, not a list of turns"),
        ({"x": "a", "y": said("a", "b")}, ("x", "y"), "column 'y': the conversation has 2 turns, and an answer is one"),
        ({"x": said("a", "b"), "y": "c"}, ("x", "y"), "column 'x': the conversation is the input, and ends with a turn"),
        ({"x": ["a"]}, ("x", "x"), "column 'x' holds a list (['a']), which has no text of its own"),
        ({"x": []}, ("x", "x"), "column 'x' holds a list ([]), which has no text of its own"),
    ]:
        with pytest.raises(UserError) as error:
            answer_text(row(**cells), *names)
        assert message in str(error.value)


@pytest.mark.parametrize("name", list(TOKENIZERS), ids=str)
def test_training_and_evaluation_render_several_turns_by_the_models_template_alike(name: str | None, tmp_path: Path) -> None:
    generation_config(save_tokenizer(tmp_path, name), name).save_pretrained(tmp_path)
    chat, tokenizer = Chat(tmp_path, DATE), ChatTokenizer(str(tmp_path), DATE)
    turns = said("aa", "bb", "cc")
    if not chat.has_template:
        with pytest.raises(UserError, match="has no chat template, so there is no place for the turns before the last question"):
            chat.prompt_ids(turns)
        return
    prompt, answer = chat.prompt_ids(turns), chat.answer_ids(turns, "dd")
    assert tokenize_example(tokenizer, turns, "dd", "completion") == {
        "tokens": prompt + answer, "labels": [-100] * len(prompt) + answer,
    }
    shown = chat.render(prompt)
    assert [shown.count(text) for text in ("aa", "bb", "cc", "dd")] == [1, 1, 1, 0]
    assert shown.index("aa") < shown.index("bb") < shown.index("cc")
    assert chat.decode(answer).strip() == "dd" and answer[-1] in chat.stop_ids and not chat.stop_ids & set(answer[:-1])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    return make_experiment(tmp_path_factory.mktemp("made"), "llama3_2", "llama3")


MESSAGES, PAIRS = {"input": "messages", "output": "messages"}, {"input": "conversations", "output": "conversations"}
APART = {"input": "prompt", "output": "completion"}
FILES: dict[str, tuple[dict[str, str], Callable[[int], dict[str, Any]]]] = {
    "chat.jsonl": (MESSAGES, lambda n: {"messages": said("hi", "ho", f"w{n}", f"W{n}", system="s")}),
    "chat.parquet": (MESSAGES, lambda n: {"messages": said(f"w{n}", f"W{n}")}),
    "shared.json": (PAIRS, lambda n: {"conversations": shared(said(f"w{n}", f"W{n}"))}),
    "apart.jsonl": (APART, lambda n: {"prompt": said(f"w{n}"), "completion": said("", f"W{n}")[1:]}),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_conversations_is_ready_to_train_on_with_the_tokens_of_evaluation(
    name: str, made: TinyExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(made, monkeypatch)
    columns, make_row = FILES[name]
    rows = [make_row(number) for number in range(40)]
    file = Path("data/raw") / name
    if file.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    else:
        file.write_text(json.dumps(rows) if file.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows))
    document = yaml.safe_load(paths.EXPERIMENT_YAML.read_text())
    document |= {"data": {"source": str(file), **columns}, "factors": {"seed": [1]}}
    paths.EXPERIMENT_YAML.write_text(yaml.safe_dump(document))
    for stage in (stamp_stage, split_stage, validate_stage):
        assert stage.main([]) == 0
    *_, run = planned_runs()
    assert not [entry for entry in read_json(paths.PREFLIGHT_JSON)["runs"].values() if entry["errors"]]
    chat = Chat(paths.model_dir(run.settings["model"]), DATE)
    (task,) = run.asked
    test = samples_of(str(paths.split_part(task.test_set, "test")), task.prompt, (columns["input"], columns["output"]))
    asked = {}
    for sample in test:
        assert isinstance(sample.input, list) and isinstance(sample.target, str)
        asked[sample.target] = chat.prompt_ids([{"role": turn.role, "content": turn.text} for turn in sample.input])
    assert asked and all(target.lower() in chat.render(ids) and target not in chat.render(ids) for target, ids in asked.items())
    trained = next(trainer_of(run).training_rows(run))
    answer = [token for token in trained.labels if token is not None]
    other = next(iter(asked.values()))
    same = next(n for n, pair in enumerate(zip(trained.tokens, other, strict=False)) if pair[0] != pair[1])
    assert chat.decode(answer).startswith("W") and "user" in chat.render(other[:same]), "alike up to the question's own words"


ANSWERS = {
    "data=FILE, messages": ("chat.jsonl", "chat.jsonl", "messages", "messages"),
    "data=FILE, ShareGPT": ("shared.json", "shared.json", "conversations", "conversations"),
    "data=FILE, prompt and completion": ("apart.jsonl", "apart.jsonl", "prompt", "completion"),
    "data=FILE:COLUMN": ("chat.jsonl", "chat.jsonl:messages", "messages", "messages"),
}


@pytest.mark.parametrize(("name", "answer", "input_column", "output_column"), ANSWERS.values(), ids=ANSWERS)
def test_a_file_of_conversations_is_an_answer_to_the_question_about_data(
    name: str, answer: str, input_column: str, output_column: str, bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [FILES[name][1](number) for number in range(40)]
    Path(name).write_text(json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows))
    experiment = read_experiment(bake(data=answer, factors="{seed: [1]}") / "experiment.yaml")
    assert (experiment.data["input"], experiment.data["output"], experiment.prompt["user"]) == (
        input_column, output_column, "{input}",
    )
