"""What a test holds is held out of the training rows: by rendered prompts, for all tests and all prompts at once."""

import json
from pathlib import Path
from typing import Any

import pytest
import split as split_stage
from ftexp.data.held_out import Kept, TrainingSet, training_items
from ftexp.data.rows import read_items
from ftexp.data.splits import Half, Sources
from ftexp.design.planning import make_plan, write_plan
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import read_json
from hypothesis import given, settings
from hypothesis import strategies as st

Rows = list[dict[str, Any]]
WORDS: Rows = [{"input": f"word{i}", "output": f"WORD{i}"} for i in range(40)]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def half(part: str, rows: Rows, name: str, column: str = "input") -> Half:
    """Half of a data section, with its file."""
    Path(f"{name}.json").write_text(json.dumps(rows))
    return {part: f"{name}.json", "input": column, "output": "output"}


def kept(train: Rows, *tests: Rows, prompts: tuple[str, ...] = ("{input}",), column: str = "input") -> Kept:
    halves = tuple(half("test", rows, f"test{number}", column) for number, rows in enumerate(tests))
    return training_items(Sources(), TrainingSet(half("train", train, "train", column), prompts, halves))


def inputs(found: Kept) -> list[str]:
    return sorted(item["row"]["input"] for item in found.items)


def test_of_a_question_in_both_the_test_row_stays_and_the_training_row_goes_counted() -> None:
    train = [*WORDS[:10], WORDS[20], {"input": "word21", "output": "other"}, WORDS[10]]
    found = kept(train, WORDS[20:22], WORDS[30:])
    assert inputs(found) == sorted(row["input"] for row in WORDS[:11])
    assert list(found.removed.values()) == [2] and next(iter(found.removed)).startswith("test0-")


def test_a_question_is_the_rendered_prompt_whatever_its_columns() -> None:
    """Alpaca's columns: an empty `input` beside different instructions is no repetition."""
    train = [{"instruction": f"do {i}", "input": "", "output": "x"} for i in range(9)]
    asked = [{"instruction": "do 3", "input": "", "output": "y"}, {"instruction": "do", "input": " 4", "output": "y"}]
    found = kept(train, asked, prompts=("{instruction}{input}",))
    assert [item["row"]["instruction"] for item in found.items if item["row"]["instruction"] in ("do 3", "do 4")] == []
    assert len(found.items) == 7


@pytest.mark.parametrize("blank", [" {}", "{}\n", "\t{} "])
def test_blanks_at_the_ends_make_no_other_question(blank: str) -> None:
    found = kept(WORDS[:10], [{**WORDS[4], "input": blank.format("word4")}])
    assert len(found.items) == 9


def test_rows_that_the_prompt_does_not_tell_apart_are_one_question() -> None:
    train = [{**row, "topic": f"t{i % 5}"} for i, row in enumerate(WORDS[:20])]
    asked = [{**WORDS[30], "topic": "t3"}]
    assert {item["row"]["topic"] for item in kept(train, asked, prompts=("{topic}",)).items} == {"t0", "t1", "t2", "t4"}


def test_what_one_of_several_prompts_repeats_leaves_the_rows_of_all() -> None:
    train = [{**row, "topic": f"t{i}"} for i, row in enumerate(WORDS[:20])]
    asked = [{**WORDS[30], "topic": "t3"}, {**WORDS[5], "topic": "u"}]
    found = kept(train, asked, prompts=("{topic}", "{topic}: {input}", "{input}"))
    assert sorted({f"word{i}" for i in range(20)} - set(inputs(found))) == ["word3", "word5"]


def test_a_test_that_lacks_a_column_of_a_prompt_is_not_asked_by_it() -> None:
    train = [{**row, "topic": "t"} for row in WORDS[:10]]
    found = kept(train, [{**WORDS[0], "topic": "u"}], WORDS[1:3], prompts=("{topic} {input}", "{input}"))
    assert inputs(found) == sorted(row["input"] for row in WORDS[3:10])


def test_where_nothing_is_left_it_is_said_what_took_it() -> None:
    with pytest.raises(UserError, match=r"no row is left for train: all 5 of train.json have the prompt of a test"):
        kept(WORDS[:5], WORDS)


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=20), st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=3))
def test_no_training_row_has_a_tests_prompt_and_no_other_row_is_missing(train: list[int], tests: list[list[int]]) -> None:
    asked = [[WORDS[i] for i in test] for test in tests if test]
    left = [i for i in train if not any(i in test for test in tests)]
    if not left:
        with pytest.raises(UserError, match="no row is left"):
            kept([WORDS[i] for i in train], *asked)
        return
    found = kept([WORDS[i] for i in train], *asked)
    assert inputs(found) == sorted(f"word{i}" for i in left)
    assert sum(found.removed.values()) == len(train) - len(left)


EXPERIMENT = """\
experiment: e
question: q?
data: {input: input, output: output}
constants: {model: tiny, batch_size: 2}
factors:
  on:
    AA: {data.train: a.json, data.test: a_test.json}
    AB: {data.train: a.json, data.test: b_test.json}
    BB: {data.train: b.json, data.test: b_test.json}
"""
WORDING = '  wording: {plain: {prompt.user: "{input}"}, asked: {prompt.user: "Say {input}"}}\n'


def test_the_stage_says_once_what_it_took_out_and_for_which_test(capsys: pytest.CaptureFixture[str]) -> None:
    for name, rows in (("a", WORDS[:20]), ("b", WORDS[10:30]), ("a_test", WORDS[18:24]), ("b_test", WORDS[28:36])):
        Path(f"{name}.json").write_text(json.dumps(rows))
    Path("experiment.yaml").write_text(EXPERIMENT + WORDING)
    experiment, runs = make_plan()
    write_plan(experiment, runs)
    assert split_stage.main([]) == 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 4 and [line.split()[2:5] for line in said[:2]] == [["6", "test", "rows"], ["8", "test", "rows"]]
    trained = {run.levels["on"]: run for run in runs if not run.is_control}
    asked = {name: trained[name].asked[0].test_set for name in ("AA", "AB")}
    assert f"18 training rows (2 removed, whose prompt another set has: 2 of {asked['AA']})" in said[2]
    assert f"12 training rows (8 removed, whose prompt another set has: 6 of {asked['AA']}, 2 of {asked['AB']})" in said[3]
    assert trained["AA"].training_set == trained["AB"].training_set != trained["BB"].training_set
    made = read_json(paths.split_json(trained["BB"].training_set, "train"))
    assert (made["rows"], made["removed"]) == (12, {asked["AA"]: 6, asked["AB"]: 2})
    assert split_stage.main([]) == 0 and capsys.readouterr().err == ""
    rows = paths.split_part(trained["AA"].training_set, "train")
    rows.write_text("")
    assert split_stage.main([]) == 0
    assert len(read_items(rows)) == 18


def test_a_further_test_takes_its_questions_out_once_it_is_planned() -> None:
    for name, rows in (("a", WORDS[:20]), ("b", WORDS[10:30]), ("a_test", WORDS[18:24]), ("b_test", WORDS[28:36])):
        Path(f"{name}.json").write_text(json.dumps(rows))
    for text, left in ((EXPERIMENT, 18), (EXPERIMENT + "    AC: {data.train: a.json, data.test: c_test.json}\n", 13)):
        Path("c_test.json").write_text(json.dumps(WORDS[:5]))
        Path("experiment.yaml").write_text(text)
        experiment, runs = make_plan()
        write_plan(experiment, runs)
        split_stage.main([])
        run = next(run for run in runs if run.levels.get("on") == "AA" and not run.is_control)
        assert len(read_items(paths.split_part(run.training_set, "train"))) == left


def test_a_conversation_is_the_same_question_where_its_turns_are() -> None:
    """The last words of the user may be the same after other turns."""
    def talk(first: str, last: str) -> dict[str, Any]:
        said = [("user", first), ("assistant", "Yes?"), ("user", last), ("assistant", "Fine.")]
        return {"talk": [{"role": role, "content": content} for role, content in said]}

    train = [talk(f"about {i}", "and now?") for i in range(6)]
    asked = [talk("about 2 ", "and now?"), talk("about 3", "and then?")]
    halves = [{**half(part, rows, name), "input": "talk", "output": "talk"} for part, rows, name in (
        ("train", train, "train"), ("test", asked, "test"),
    )]
    found = training_items(Sources(), TrainingSet(halves[0], ("{input}",), (halves[1],)))
    assert {item["row"]["talk"][0]["content"] for item in found.items} == {f"about {i}" for i in (0, 1, 3, 4, 5)}
