"""A task with a file of its own: what some run trains on is not asked, and no training row depends on it."""

import json
from pathlib import Path
from typing import Any

import pytest
import split as split_stage
from ftexp.data.held_out import Kept, TaskSet, TrainingSet, task_items, training_items
from ftexp.data.rows import read_items
from ftexp.data.splits import Half, Sources
from ftexp.design.planning import make_plan, write_plan
from ftexp.design.run import Run
from ftexp.design.trainings import training_sets
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import read_json
from ftexp.ground.memories import FileHashes
from ftexp.ground.yamlfile import dump_yaml
from ftexp.state.row_sets import Missing, RowSets
from hypothesis import given, settings
from hypothesis import strategies as st

Rows = list[dict[str, Any]]
WORDS: Rows = [{"input": f"word{i}", "output": f"WORD{i}", "topic": f"t{i % 7}"} for i in range(40)]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, rows: Rows) -> str:
    Path(f"{name}.json").write_text(json.dumps(rows))
    return f"{name}.json"


def left(half: Half, *trainings: Rows, templates: tuple[str, ...] = ("{input}",), tests: Rows | None = None) -> Kept:
    """What is asked of a file where these are trained on, less what a test holds."""
    sources = Sources()
    held = ({"test": write("held", tests), "input": "input", "output": "output"},) if tests else ()
    sets = tuple(
        TrainingSet({"train": write(f"train{n}", rows), "input": "input", "output": "output"}, templates, held)
        for n, rows in enumerate(trainings)
    )
    return task_items(sources, TaskSet(half, sets), lambda training: training_items(sources, training))


def asked(rows: Rows, *trainings: Rows, **given: Any) -> list[str]:
    half = {"test": write("asked", rows), "input": "input", "output": "output"}
    return [item["row"]["input"] for item in left(half, *trainings, **given).items]


def test_a_row_that_some_run_is_trained_on_is_not_asked_and_is_counted() -> None:
    half = {"test": write("asked", WORDS[5:20]), "input": "input", "output": "output"}
    found = left(half, WORDS[:8], WORDS[15:17])
    assert [item["row"] for item in found.items] == [*WORDS[8:15], *WORDS[17:20]], "in the file's order"
    assert [(name.split("-")[0], count) for name, count in found.removed.items()] == [("train0", 3), ("train1", 2)]


def test_another_answer_or_blanks_at_the_ends_make_no_other_question() -> None:
    assert asked([{**WORDS[0], "output": "other"}, {**WORDS[1], "input": " word1\n"}, WORDS[30]], WORDS[:8]) == ["word30"]


def test_what_is_held_out_of_a_training_is_asked() -> None:
    """It is trained on by nobody."""
    assert asked(WORDS[:10], WORDS[:8], tests=WORDS[4:6]) == ["word4", "word5", "word8", "word9"]


def test_a_question_is_a_trained_one_under_whichever_prompt_trains() -> None:
    rows = [{**WORDS[30], "topic": "t3"}, {**WORDS[5], "topic": "u"}, {**WORDS[31], "topic": "v"}]
    assert asked(rows, [{**WORDS[0], "topic": "t3"}, WORDS[5]], templates=("{topic}", "Say {input}")) == ["word31"]


def test_a_file_without_a_column_of_a_training_prompt_is_asked_nothing_by_it() -> None:
    rows = [{"input": row["input"], "output": "x"} for row in WORDS[:3]]
    assert asked(rows, WORDS[:8], templates=("{topic}: {input}",)) == ["word0", "word1", "word2"]


def test_a_document_that_a_run_trains_to_answer_or_is_asked_is_not_measured() -> None:
    texts = ["WORD1", " word2 ", "word30", "a text\nof lines"]
    half = {"test": write("texts", [{"text": text} for text in texts]), "document": "text"}
    for template in ("{input}", "Please say {input}"):
        found = left(half, WORDS[:8], templates=(template,))
        assert [item["row"]["text"] for item in found.items] == ["word30", "a text\nof lines"]
        assert list(found.removed.values()) == [2]


def test_where_nothing_is_left_to_ask_it_is_said() -> None:
    with pytest.raises(UserError) as refused:
        asked(WORDS[:5], WORDS)
    said = r"experiment.yaml: evaluation.tasks: no row is left to ask: all 5 of asked.json are trained on (in train0-"
    assert str(refused.value).startswith(said) and str(refused.value).endswith("). Name a file of other rows.")


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=20),
    st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=6), max_size=3),
)
def test_no_row_that_is_asked_is_trained_on_and_no_other_is_missing(rows: list[int], trainings: list[list[int]]) -> None:
    trained = {number for training in trainings for number in training}
    wanted = [f"word{number}" for number in rows if number not in trained]
    of_trainings = [[WORDS[number] for number in training] for training in trainings]
    if wanted:
        assert asked([WORDS[number] for number in rows], *of_trainings) == wanted
    else:
        with pytest.raises(UserError, match="no row is left to ask"):
            asked([WORDS[number] for number in rows], *of_trainings)


def planned(evaluation: dict[str, Any], data: dict[str, Any] | None = None, **sections: Any) -> dict[str, Run]:
    """Plan, split, and the runs by id."""
    document = {
        "experiment": "e", "question": "q?", "data": {"source": "all.json"} if data is None else data, "evaluation": evaluation,
        "constants": {"model": "tiny", "batch_size": 2}, **sections,
    }
    paths.EXPERIMENT_YAML.write_text(dump_yaml(document))
    experiment, runs = make_plan()
    write_plan(experiment, runs)
    return {run.id: run for run in runs}


def split() -> dict[str, bytes]:
    """Every set of rows that is there after `make split`."""
    assert split_stage.main([]) == 0
    return {str(path.parent.name + "/" + path.name): path.read_bytes() for path in Path("data/splits").rglob("*.jsonl")}


def rows_of(run: Run, task: str) -> list[str]:
    (name,) = [each.test_set for each in run.asked if each.name == task]
    return [item["row"]["input"] for item in read_items(paths.split_part(name, "test"))]


def test_the_training_rows_are_the_same_bytes_with_and_without_the_task() -> None:
    write("all", WORDS)
    write("other", WORDS[10:])
    run = planned({})["run"]
    before = split()
    own = {"other": {"data": "other.json"}, "texts": {"data": "other.json", "document": "input"}}
    run = planned({"tasks": {"test": {}, **own}})["run"]
    after = split()
    assert before.items() <= after.items() and len(after) == len(before) + 2
    trained = {item["row"]["input"] for item in read_items(paths.split_part(run.training_set, "train"))}
    assert len(trained) == 32 and rows_of(run, "other") == [row["input"] for row in WORDS[10:] if row["input"] not in trained]
    assert rows_of(run, "texts") == rows_of(run, "other")


def test_the_file_of_the_data_as_a_tasks_own_is_its_test_rows() -> None:
    write("all", WORDS)
    run = planned({"tasks": {"test": {}, "same": {"data": "all.json", "prompt.user": "Say {input}"}}})["run"]
    split()
    assert sorted(rows_of(run, "same")) == sorted(rows_of(run, "test")) and len(rows_of(run, "same")) == 8


def test_a_tasks_file_that_is_the_datas_test_too_is_held_out_of_the_training() -> None:
    write("a", WORDS[:20])
    write("t", WORDS[15:30])
    run = planned({"tasks": {"test": {}, "same": {"data": "t.json"}}}, {"train": "a.json", "test": "t.json"})["run"]
    files = split()
    assert rows_of(run, "same") == rows_of(run, "test") == [row["input"] for row in WORDS[15:30]]
    assert len(files) == 2 and len(read_items(paths.split_part(run.training_set, "train"))) == 15
    rows = RowSets(FileHashes(paths.HASHES_JSON))
    assert [rows.asked(run, task) for task in run.asked] == [paths.split_part(run.asked[0].test_set, "test")] * 2


def test_the_stage_says_how_many_rows_of_a_task_are_trained_on(capsys: pytest.CaptureFixture[str]) -> None:
    write("a", WORDS[:20])
    write("o", WORDS[15:30])
    run = planned({"tasks": {"other": {"data": "o.json"}}}, {"train": "a.json"})["run"]
    split()
    name = run.asked[0].test_set
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == f"split: {name}: 10 test rows (5 removed, which are trained on: 5 of {run.training_set})"
    made = read_json(paths.split_json(name, "test"))
    assert (made["rows"], made["removed"]) == (10, {run.training_set: 5})
    split()
    assert capsys.readouterr().err == "", "done is done"


def test_rows_are_stale_where_their_file_or_what_is_trained_changed_and_the_training_never() -> None:
    """So are all rows of tasks where another run trains on other rows; a task more changes none."""
    write("a", WORDS[:20])
    write("b", WORDS[20:30])
    write("o", WORDS[15:35])
    levels = {"A": {"data.train": "a.json"}}
    run = planned({"tasks": {"other": {"data": "o.json"}}}, {}, factors={"corpus": levels})["corpus-A"]

    def stale() -> list[str]:
        rows, found = RowSets(FileHashes(paths.HASHES_JSON)), []
        for what, ask in (("train", lambda: rows.trained(run)), ("test", lambda: rows.asked(run, run.asked[0]))):
            try:
                ask()
            except Missing as error:
                found.append(f"{what}: {str(error).split('`')[1]}")
        return found

    assert stale() == ["train: make split", "test: make split"]
    split()
    assert stale() == [] and len(rows_of(run, "other")) == 15
    write("o", WORDS[14:35])
    assert stale() == ["test: make split"]
    split()
    assert stale() == []
    planned({"tasks": {"other": {"data": "o.json"}, "more": {"data": "b.json"}}}, {}, factors={"corpus": levels})
    assert stale() == []
    both = {**levels, "B": {"data.train": "b.json"}}
    planned({"tasks": {"other": {"data": "o.json"}}}, {}, factors={"corpus": both})
    assert stale() == ["test: make split"]
    split()
    assert stale() == [] and rows_of(run, "other") == [row["input"] for row in WORDS[30:35]]
    write("a", WORDS[:19])
    assert stale() == ["train: make split", "test: make split"]


LANGUAGES = {
    "A": {"data.train": "a.json"}, "B": {"data.train": "b.json"}, "A+B": {"data.train": "ab.json"},
}
TASKS = {"a": {"data": "a_test.json"}, "b": {"data": "b_test.json"}}


def trained_rows(runs: dict[str, Run], name: str) -> bytes:
    return paths.split_part(runs[name].training_set, "train").read_bytes()


def test_languages_are_trained_once_and_asked_in_each_whatever_else_the_design_has() -> None:
    """Six trainings, each asked both tasks, and a control of each base model."""
    first, second = WORDS[:20], [{**row, "input": f"parola{i}"} for i, row in enumerate(WORDS[:20])]
    for name, rows in (("a", first[:15]), ("b", second[:15]), ("ab", first[:15] + second[:15]),
                       ("a_test", first[12:]), ("b_test", second[12:])):
        write(name, rows)
    models = {"model": ["small", "large"]}
    whole: dict[str, Any] = {"data": {}, "constants": {"batch_size": 2}}
    runs = planned({"tasks": TASKS}, factors={**models, "corpus": LANGUAGES}, **whole)
    split()
    trained = [run for run in runs.values() if run.trains]
    assert len(trained) == 6 and sum(len(run.asked) for run in trained) == 12
    assert [name for name, run in runs.items() if run.is_control] == ["base_small", "base_large"]
    assert all(list(run.tasks) == ["a", "b"] for run in runs.values())
    assert len(training_sets(list(runs.values()))) == 3
    assert rows_of(trained[0], "a") == [row["input"] for row in first[15:]]
    rows = trained_rows(runs, "small_corpus-A")
    assert rows == trained_rows(runs, "large_corpus-A") and len(rows.splitlines()) == 15
    for levels, tasks in (
        (["A"], ["a"]), (["A"], ["a", "b"]), (["A", "B"], ["a", "b"]), (["A", "A+B"], ["a"]), (["A+B", "B", "A"], ["b"]),
    ):
        fewer = {"tasks": {name: TASKS[name] for name in tasks}}
        others = planned(fewer, factors={**models, "corpus": {name: LANGUAGES[name] for name in levels}}, **whole)
        split()
        assert trained_rows(others, "small_corpus-A") == rows
        assert others["small_corpus-A"].training_set == runs["small_corpus-A"].training_set


def test_a_matrix_asks_each_language_its_own_task_and_leaves_the_rows_as_they_are() -> None:
    for name, of in (("a", WORDS[:15]), ("b", WORDS[15:30]), ("a_test", WORDS[12:18] + WORDS[38:]), ("b_test", WORDS[28:36])):
        write(name, of)
    levels = {name: LANGUAGES[name] for name in ("A", "B")}
    matrix = [{"runs": {"corpus": "A"}, "tasks": ["a"]}, {"runs": {"corpus": "B"}, "tasks": ["b"]}]
    planned({"tasks": TASKS}, {}, factors={"corpus": levels})
    before = split()
    runs = planned({"tasks": TASKS, "matrix": matrix}, {}, factors={"corpus": levels})
    assert split() == before
    assert {name: list(run.tasks) for name, run in runs.items()} == {"base": ["a", "b"], "corpus-A": ["a"], "corpus-B": ["b"]}
    assert rows_of(runs["corpus-A"], "a") == ["word38", "word39"], "what the other language trains on is not asked either"
