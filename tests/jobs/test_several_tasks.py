"""An evaluation of several tasks, one of them inspect-ai's: each is asked and published, whatever becomes of the others."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import split
import stamp
from ftexp.design.planning import read_run
from ftexp.design.run import Run, Task
from ftexp.evaluation.inspect_task import _maker
from ftexp.ground.filesystem import read_json
from ftexp.jobs import attempt, stages
from ftexp.jobs.attempt import run_once
from ftexp.state.imported_code import ImportedCode
from ftexp.state.job_record import read_job
from ftexp.state.work import Work
from helpers.changes import experiment
from helpers.tiny_models import TinyExperiment, enter, make_experiment

ARC = '''\
"""A task of inspect-ai with a file of its own beside it."""

from inspect_ai import Task, task
from inspect_ai.dataset import json_dataset
from inspect_ai.scorer import includes
from inspect_ai.solver import generate


@task
def arc_easy(limit: int = 3) -> Task:
    return Task(dataset=json_dataset("arc.jsonl", limit=limit), solver=generate(), scorer=includes(), version=2)
'''
TASKS = {
    "arc": {"inspect": "tasks/arc.py@arc_easy", "args": {"limit": 2}}, "test": {},
    "more": {"prompt.user": "again: {input}", "max_tokens": 4},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    root = tmp_path_factory.mktemp("several") / "tiny"
    (root / "tasks").mkdir(parents=True)
    (root / "tasks/arc.py").write_text(ARC, encoding="utf-8")
    rows = [{"input": f"word{n}", "target": f"w{n}"} for n in range(4)]
    (root / "tasks/arc.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return make_experiment(root, "qwen2", "chatml", evaluation={"tasks": TASKS, "max_tokens": 6})


@pytest.fixture
def tiny(made: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it; the working folder."""
    _maker.cache_clear()  # as another process has it
    folder = Path(shutil.copytree(made.root, tmp_path / "tiny", symlinks=True))
    enter(TinyExperiment(folder, made.runs), monkeypatch)
    return folder


def evaluate(monkeypatch: pytest.MonkeyPatch, killed_at: str = "") -> tuple[int, list[str]]:
    """The exit status of an attempt at the control's evaluation, and what it asked, in order."""
    asked: list[str] = []

    def ask(run: Run, task: Task, asking: str, scratch: Path, really: Callable[..., None] = stages._ask) -> None:
        if asking == killed_at:
            raise KeyboardInterrupt
        asked.append(asking)
        really(run, task, asking, scratch)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "_ask", ask)
        return run_once(ImportedCode.before_imports("eval"), "base"), asked


def logs() -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in Path("runs/base/eval").iterdir()}


def state() -> tuple[str, str]:
    found = Work().state(read_run("base"), "eval")
    return found.status, found.reason


def stamp_tasks(**changes: Any) -> None:
    """Other tasks; None takes one out."""
    tasks = {name: task for name, task in {**TASKS, **changes}.items() if task is not None}
    experiment(evaluation={"tasks": tasks})()
    assert stamp.main([]) == 0 and split.main([]) == 0


def away(folder: Path) -> None:
    (folder / "tasks/arc.jsonl").unlink()


def raises_when_imported(folder: Path) -> None:
    (folder / "tasks/arc.py").write_text("raise RuntimeError('no key')\n", encoding="utf-8")


def asks_an_item_twice(folder: Path) -> None:
    row = json.dumps({"id": 1, "input": "a", "target": "b"}) + "\n"
    (folder / "tasks/arc.jsonl").write_text(row * 2, encoding="utf-8")


def is_no_task(folder: Path) -> None:
    (folder / "tasks/arc.py").write_text("def arc_easy(limit):\n    return 1\n", encoding="utf-8")


FAILURES = {
    away: r"task arc: .*tasks/arc\.py@arc_easy cannot be made with args {'limit': 2} \(FileNotFoundError: .*arc\.jsonl'\)\. ",
    raises_when_imported: r"task arc: .*tasks/arc\.py@arc_easy cannot be imported \(RuntimeError: no key\)\. Correct its file",
    asks_an_item_twice: "task arc: inspect-ai could not ask it .*: The dataset contains duplicate sample ids",
    is_no_task: "task arc: .* gives no inspect-ai task, but a int",
}


@pytest.mark.parametrize("fail", FAILURES, ids=lambda fail: fail.__name__)
def test_a_task_that_fails_keeps_no_other_from_being_asked_and_the_next_try_asks_it_alone(
    fail: Callable[[Path], None], made: TinyExperiment, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(tiny)
    assert evaluate(monkeypatch) == (1, ["arc", "test", "more"])
    record = read_job("base", "eval")
    assert record and record["state"] == "failed" and re.match(FAILURES[fail], record["reason"])
    assert state() == ("failed", record["reason"])
    kept = logs()
    assert set(read_json(Path("runs/base/eval.json"))["inputs"]["tasks"]) == set(kept) == {"test", "more"}
    shutil.rmtree("tasks")
    shutil.copytree(made.root / "tasks", "tasks")
    _maker.cache_clear()  # as another process would have it
    assert evaluate(monkeypatch) == (0, ["arc"])
    assert state() == ("done", "") and set(logs()) == {"arc", "test", "more"} and kept.items() <= logs().items()


def test_killed_between_two_askings_the_first_is_not_asked_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(monkeypatch, killed_at="more")
    assert not Path("runs/base/eval").exists() and state() == ("ready", "was interrupted")
    with monkeypatch.context() as patch:  # and then again, when the logs are in place and their manifest is not
        patch.delattr(attempt, "write_manifest")
        with pytest.raises(NameError):
            evaluate(monkeypatch)
    published = logs()
    assert set(published) == {"arc", "test", "more"} and not Path("runs/base/eval.json").exists()
    assert evaluate(monkeypatch) == (0, []) and logs() == published and state() == ("done", "")


def test_another_task_is_asked_alone_and_one_that_left_is_not_asked_when_it_comes_back(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evaluate(monkeypatch) == (0, ["arc", "test", "more"])
    first = logs()
    stamp_tasks(more=None, third={"prompt.user": "third: {input}"})
    assert evaluate(monkeypatch) == (0, ["third"])
    assert first.items() <= logs().items() and set(logs()) - set(first) == {"third"}
    stamp_tasks(third=None)
    assert state() == ("done", "") and evaluate(monkeypatch) == (0, [])
    assert first.items() <= logs().items()


def test_an_evaluation_that_fails_again_leaves_what_was_there(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evaluate(monkeypatch) == (0, ["arc", "test", "more"])
    before = (logs(), Path("runs/base/eval.json").read_bytes())
    stamp_tasks(arc={**TASKS["arc"], "args": {"limit": "two"}})
    assert evaluate(monkeypatch) == (1, ["arc"]) and state()[0] == "failed"
    assert before == (logs(), Path("runs/base/eval.json").read_bytes())
    stamp_tasks()
    assert state() == ("done", "")
