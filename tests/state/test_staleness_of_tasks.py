"""What another task, scorer or metric asks to be done again: further rows of the table of changes, asking by asking."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ftexp.design.planning import planned_runs
from ftexp.design.spec import read_experiment
from ftexp.ground import paths
from ftexp.scoring.judgements import Judgements
from ftexp.state.work import Work
from helpers import written_tables
from helpers.baking import entered_copy
from helpers.experiments import edit
from helpers.finished import finish_all, make_change_and_look, states

Change = Callable[[], object]
EVALUATION = """\
evaluation:
  max_tokens: 16
  tasks:
    test: {}
    other: {data: data/raw/other.json}
    pick: {choices: [label 0, label 1, label 2]}
    arc: {inspect: tasks/arc.py@arc_easy, args: {limit: 2}}
  scorers: [exact, {match: 'label (.*)'}, judged.py@loud]
"""
DONE = ("2 done", "3 done")
TASKS = ("test", "other", "pick")


@pytest.fixture(scope="module")
def finished_broad(baked_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs and a control that were asked four tasks, by what stands for their products."""
    with entered_copy(baked_once, tmp_path_factory.mktemp("asked") / "mine") as folder:
        edit(paths.EXPERIMENT_YAML, "  lr: [0.0001, 0.001]\n", "")
        text = paths.EXPERIMENT_YAML.read_text(encoding="utf-8")
        start = text.index("evaluation:")
        paths.EXPERIMENT_YAML.write_text(text[:start] + EVALUATION + text[text.index("\n", start) + 1 :], encoding="utf-8")
        rows = [
            {**row, "output": f"label {number % 3}"}
            for number, row in enumerate(json.loads(Path("data/raw/words.json").read_text(encoding="utf-8")))
        ]
        for name, some in {"words": rows[:400], "other": rows[400:430], "third": rows[430:460]}.items():
            Path(f"data/raw/{name}.json").write_text(json.dumps(some), encoding="utf-8")
        Path("tasks").mkdir()
        Path("tasks/arc.py").write_text("arc_easy = None\n", encoding="utf-8")
        Path("judged.py").write_text("loud = None\n", encoding="utf-8")
        finish_all()
        assert states() == DONE and asked_anew() == set()
    return folder


@pytest.fixture
def asked_broadly(finished_broad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy to be changed."""
    monkeypatch.chdir(shutil.copytree(finished_broad, tmp_path / "mine", symlinks=True))


def asked_anew() -> set[str]:
    """What is asked of a run, of any of them, when its evaluation goes on."""
    work = Work()
    return {asking for run in planned_runs() for asking in set(run.askings) - work.current_askings(run)}


def judgements() -> dict[str, set[tuple[str, str]]]:
    """Per task of rows what is to be judged, each with what it follows from but the answers."""
    work, evaluation = Work(), read_experiment(paths.EXPERIMENT_YAML).evaluation
    judged = Judgements(work.code["scoring"], work.hashes)
    tasks = {task.name: task for run in planned_runs() for task in run.asked if task.kind != "inspect"}
    return {name: {(each.name, each.key) for each in judged.of(task, evaluation.judging[name])} for name, task in tasks.items()}


def spec(old: str, new: str) -> Change:
    return lambda: edit(paths.EXPERIMENT_YAML, old, new)


def append(path: str, text: str) -> Change:
    def change() -> None:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)

    return change


def in_turn(*changes: Change) -> Change:
    return lambda: [change() for change in changes]


def drop_rows() -> None:
    path = Path("data/raw/other.json")
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))[1:]), encoding="utf-8")


def rename_file() -> None:
    Path("data/raw/other.json").rename("data/raw/else.json")
    edit(paths.EXPERIMENT_YAML, "data/raw/other.json", "data/raw/else.json")


def train_on_rows_of_a_task() -> None:
    """Rows of the task's file among those of the data, too."""
    words, other = (json.loads(Path(f"data/raw/{name}.json").read_text(encoding="utf-8")) for name in ("words", "other"))
    Path("data/raw/words.json").write_text(json.dumps([*words, *other[:20]]), encoding="utf-8")


def task_that_left_and_came_back() -> None:
    edit(paths.EXPERIMENT_YAML, OTHER, "")
    make_change_and_look(lambda: None, DONE)
    edit(paths.EXPERIMENT_YAML, "    pick:", OTHER + "    pick:")


def everywhere(*names: str) -> dict[str, set[str]]:
    """These judgements of every task."""
    return {task: set(names) for task in TASKS}


OTHER = "    other: {data: data/raw/other.json}\n"
SCORERS = "'label (.*)'}, judged.py@loud]"
REFERENCES = frozenset(f"{task}.reference" for task in TASKS)
NEW_REFERENCES = ", ".join(f"task {task}.reference is new" for task in TASKS)


@dataclass(frozen=True)
class Row:
    """What changes, and how; the evaluations then, what they ask anew, what of the other answers is judged anew, a remark."""

    what: str
    change: Change
    remark: str = ""
    evaluations: str = "3 done"
    asked: frozenset[str] = frozenset()
    judged: Mapping[str, set[str]] = field(default_factory=dict)


def asks(task: str, what: Change, why: str) -> dict[str, Any]:
    """A change for which one task alone is asked."""
    return {"change": what, "evaluations": f"3 stale (changed: {why} of task {task})", "asked": frozenset({task})}


def section(lines: str) -> Change:
    return spec("  scorers:", f"{lines}\n  scorers:")


def of_other(more: str) -> Change:
    return spec("raw/other.json}", f"raw/other.json, {more}}}")


def new_neighbour() -> None:
    Path("tasks/rows.jsonl").write_text("{}\n", encoding="utf-8")


TABLE = [
    Row("nothing", lambda: None, "of generated answers (on the data's rows, and on a file's), of options, of inspect-ai"),
    Row("a comment in `experiment.yaml`", append("experiment.yaml", "# Why not?\n")),
    Row(
        "a scorer more", spec(SCORERS, SCORERS[:-1] + ", f1]"), "`make score` judges the recorded answers by it, and by no other",
        judged=everywhere("f1"),
    ),
    Row("a scorer less", spec("[exact, ", "[")),
    Row(
        "a scorer's option", spec("'label (.*)'", "{pattern: 'label (.*)', which: last}"), "likewise", judged=everywhere("match"),
    ),
    Row(
        "the file of a scorer of one's own", append("judged.py", "quiet = None\n"), "likewise", judged=everywhere("loud"),
    ),
    Row("`scorers` of one task", of_other("scorers: [exact, chrf]"), "likewise", judged={"other": {"chrf"}}),
    Row("a metric more", section("  metrics: [macro_f1]"), "the report reads the same scores in another way"),
    Row(
        "a metric of numbers more", section("  metrics: [rmse]"), "`make score` looks for the numbers in the answers",
        judged=everywhere("number"),
    ),
    Row(
        "`evaluation.normalization`", section("  normalization: bytes"), "of the same likelihoods another option may be chosen",
        judged={"pick": {"options", "exact", "match", "loud"}},
    ),
    Row(
        "`cluster`, `groups` and `primary`", section("  cluster: output\n  groups: [output]\n  primary: pick/exact"),
        "the report reads the same scores in another way",
    ),
    Row(
        "a task more", spec("    pick:", "    more: {prompt.user: 'Please: {input}'}\n    pick:"), "it alone is asked",
        "3 stale (changed: task more is new)", frozenset({"more"}),
    ),
    Row("a task less", spec(OTHER, ""), "its logs stay where they are"),
    Row("a task that left comes back", task_that_left_and_came_back),
    Row("the order of tasks", in_turn(spec(OTHER, ""), spec("    test:", OTHER + "    test:"))),
    Row(
        "the name of a task", spec("    other:", "    foreign:"), "as if one left and another came",
        "3 stale (changed: task foreign is new)", frozenset({"foreign"}),
    ),
    Row(
        "`perplexity`, a scorer more", spec(SCORERS, SCORERS[:-1] + ", perplexity]"),
        "the likelihoods of the references are asked, and nothing is generated",
        f"3 stale (changed: {NEW_REFERENCES})", REFERENCES,
    ),
    Row("`max_tokens` of one task", **asks("other", of_other("max_tokens: 4"), "eval.py"), remark="it alone is asked"),
    Row(
        "`evaluation.max_tokens`", spec("max_tokens: 16", "max_tokens: 17"), "of options nothing is generated",
        "3 stale (changed: eval.py of task test, eval.py of task other, eval.py of task arc)",
        frozenset({"test", "other", "arc"}),
    ),
    Row("the options of a task", **asks("pick", spec("label 2]", "label 2, label 3]"), "eval.py"), remark="it alone is asked"),
    Row("another file of a task", **asks("other", spec("raw/other", "raw/third"), "the rows"), remark="it alone is asked"),
    Row("the rows of a task's file", **asks("other", drop_rows, "the rows"), remark="it alone is asked"),
    Row("the name of a task's file", rename_file, "the same rows are the same task"),
    Row(
        "the file of a task of inspect-ai", **asks("arc", append("tasks/arc.py", "arc_hard = None\n"), "its file"),
        remark="it alone is asked",
    ),
    Row("a file beside that of a task of inspect-ai", **asks("arc", new_neighbour, "its file"), remark="it alone is asked"),
    Row("`args` of a task of inspect-ai", **asks("arc", spec("limit: 2", "limit: 3"), "eval.py"), remark="it alone is asked"),
    Row(
        "`evaluation.matrix`, which leaves tasks out", section("  matrix: [{runs: {lora_rank: 4}, tasks: [test]}]"),
        "what is asked for is there",
    ),
]
PREFIX = "of four tasks: "


@pytest.mark.usefixtures("asked_broadly")
@pytest.mark.parametrize("row", TABLE, ids=[row.what for row in TABLE])
def test_only_what_changed_is_asked_and_only_what_is_new_is_judged(row: Row) -> None:
    written_tables.promise("staleness", [PREFIX + row.what for row in TABLE], part=3)
    before = judgements()
    make_change_and_look(row.change, ("2 done", row.evaluations))
    assert asked_anew() == row.asked
    after = judgements()
    anew = {task: {name for name, _ in after[task] - before[task]} for task in before.keys() & after.keys()}
    assert {task: names for task, names in anew.items() if names} == row.judged
    written_tables.tell("staleness", PREFIX + row.what, [PREFIX + row.what, "2 done", row.evaluations, row.remark])


@pytest.mark.usefixtures("asked_broadly")
def test_rows_of_a_task_that_come_to_be_trained_on_are_asked_no_more() -> None:
    make_change_and_look(train_on_rows_of_a_task, (
        "2 stale (changed: the rows)",
        "1 stale (changed: the rows of task test, the rows of task other, the rows of task pick), 2 waiting for their training",
    ))
    assert len([path for path in Path("data/splits").glob("other-*/test.jsonl") if len(path.read_text().splitlines()) < 30]) == 1
