"""Reading a log: the answers that it recorded, whole and in the task's order; or why it may not count."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ftexp.design.planning import read_run
from ftexp.design.run import Run
from ftexp.evaluation.inspect_logs import Answer, UnusableLog, log_path, read_answers, read_inspect_task
from helpers.fake_results import Asked, plan, rows_of, write_answers
from inspect_ai import Task
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog, read_eval_log, write_eval_log
from inspect_ai.model import ModelAPI, ModelOutput, modelapi
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import TaskState, generate

EXPERIMENT = """\
experiment: caps
question: Does it?
data: {source: rows.json, split: {train: 0.5, test: 0.5, seed: 0}}
factors: {lora_rank: [2]}
constants: {model: tiny, batch_size: 2}
evaluation: {temperature: 0.7, epochs: 2, tasks: {test: {}, arc: {inspect: tasks/arc.py@arc}}}
"""
TEXT = "  two\n\n lines \t and 日本 \u2028 <b>\x00"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that is asked two tasks, its folder empty; the working folder is its experiment's."""
    monkeypatch.chdir(tmp_path)
    Path("models/tiny").mkdir(parents=True)
    Path("models/tiny/config.json").write_text("{}")
    Path("models/tiny/model.safetensors").write_bytes(b"weights")
    Path("rows.json").write_text(json.dumps([{"input": f"w{n}", "output": f"W{n}"} for n in range(12)]))
    plan(EXPERIMENT)
    return read_run("r2")


def items(run: Run) -> list[str]:
    return [row["item"] for row in rows_of(run.asked[0])]


def answers(run: Run) -> dict[str, list[tuple[str, Any]]]:
    """Of each item twice; of the last one first, as batches end."""
    return {item: [(f"{item} {epoch} {TEXT}", {"nll": 0.1}) for epoch in (1, 2)] for item in reversed(items(run))}


def write(run: Run, given: dict[str, list[tuple[str, Any]]] | None = None, **of_log: Any) -> Path:
    write_answers(Asked(run, "test"), answers(run) if given is None else given, has_samples=False, **of_log)
    return log_path(run.id, "test")


def read(run: Run, *, epochs: int = 2, vouched: bool = True) -> tuple[Answer, ...]:
    return read_answers(run, "test", items(run), epochs=epochs, vouched=[str(log_path(run.id, "test"))] * vouched)


def test_answers_come_whole_in_the_order_of_the_tasks_rows_and_of_epochs(run: Run) -> None:
    write(run)
    assert read(run) == tuple(
        Answer(item, epoch, f"{item} {epoch} {TEXT}", True, {"nll": 0.1}) for item in items(run) for epoch in (1, 2)
    )
    assert [answer.epoch for answer in read(run, epochs=1)] == [1] * 6


def cut(path: Path, kept: float) -> None:
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])


def spoil_a_member(path: Path, name: str = "header.json") -> None:
    """Another byte within what is compressed."""
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo(name).header_offset + 30 + len(name) + 20
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(bytes(data))


def other_file(path: Path) -> None:
    path.write_text("no log")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""), "cut at a tenth": lambda path: cut(path, 0.1),
    "cut in the middle": lambda path: cut(path, 0.5), "cut at the end": lambda path: cut(path, 0.99),
    "a byte of the header": spoil_a_member, "another file": other_file,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_log_that_is_cut_or_spoilt_is_named_and_refused(damage: str, run: Run) -> None:
    path = write(run)
    DAMAGES[damage](path)
    with pytest.raises(UnusableLog, match=rf"^{path} cannot be read: it is truncated, or no log of inspect-ai \("):
        read(run)


@pytest.mark.parametrize(("of_log", "why"), [
    ({"status": "error"}, "has status error"), ({"status": "cancelled"}, "has status cancelled"),
    ({"status": "started"}, "has status started"), ({"owner": "r4"}, "belongs to run r4"),
    ({"experiment": "another"}, "belongs to experiment another"),
])
def test_a_log_of_another_run_or_end_is_refused(of_log: dict[str, str], why: str, run: Run) -> None:
    path = write(run, **of_log)
    with pytest.raises(UnusableLog, match=f"^{path} {why}$"):
        read(run)


def test_a_log_of_another_asking_is_refused(run: Run) -> None:
    write_answers(Asked(run, "test.reference"), answers(run), has_samples=False)
    shutil.copy(log_path(run.id, "test.reference"), log_path(run.id, "test"))
    with pytest.raises(UnusableLog, match=r"belongs to asking test\.reference$"):
        read(run)


def test_a_log_that_no_manifest_vouches_for_is_refused_and_so_is_one_that_is_gone(run: Run) -> None:
    path = write(run)
    with pytest.raises(UnusableLog, match=f"^{path} is not what runs/r2/eval.json vouches for$"):
        read(run, vouched=False)
    path.unlink()
    with pytest.raises(UnusableLog, match=f"^{path} is not what runs/r2/eval.json vouches for$"):
        read(run)


def test_items_have_to_be_those_of_the_task_each_once_an_epoch(run: Run) -> None:
    whole, first = answers(run), min(items(run))
    lacks_one = f"has no answer to 1 of 6 items of the test set, for example {first}"
    for given, why in (
        ({item: said for item, said in whole.items() if item != first}, lacks_one),
        ({**whole, "foreign": whole[first]}, "has 1 items that are not in the test set, for example foreign"),
        ({**whole, first: whole[first][:1]}, lacks_one),
        ({}, "has no answer to 6 of 6 items"),
    ):
        write(run, given)
        with pytest.raises(UnusableLog, match=why):
            read(run)


def changed(run: Run, change: Callable[[EvalLog], object]) -> None:
    path = write(run)
    log = read_eval_log(str(path))
    change(log)
    write_eval_log(log, str(path))


def test_an_item_that_stands_there_twice_is_refused(run: Run) -> None:
    def repeat(log: EvalLog) -> None:
        [reduction] = log.reductions or []
        reduction.samples.append(reduction.samples[0])

    changed(run, repeat)
    with pytest.raises(UnusableLog, match="holds an item twice$"):
        read(run)


def test_a_log_whose_scorer_left_no_answer_is_refused(run: Run) -> None:
    def forget(log: EvalLog) -> None:
        [reduction] = log.reductions or []
        reduction.samples[2].metadata = {}

    changed(run, forget)
    with pytest.raises(UnusableLog, match=r"does not hold what was answered to item \w+$"):
        read(run)


# A task of inspect-ai.


class TwoLines(ModelAPI):
    """Always answers the same; inspect-ai's own mock model looks for a tokenizer in the net, for half a minute."""

    async def generate(self, *_: Any, **__: Any) -> ModelOutput:
        return ModelOutput.from_content("two_lines", "yes\nno")


@modelapi(name="two_lines")
def two_lines() -> type[ModelAPI]:
    return TwoLines


@scorer(metrics={"*": [mean()]})
def several() -> Scorer:
    """Values of every kind that inspect-ai's scorers give."""

    async def score(state: TaskState, target: Target) -> Score:
        gap = float("nan") if state.sample_id == 2 else 0.25
        return Score(value={"part": gap, "other": 3})

    return score


@scorer(metrics=[mean()])
def graded() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score | None:
        return None if state.sample_id == 3 else Score(value="C" if state.sample_id == 1 else "I")

    return score


def ask(run: Run, owner: str = "r2") -> list[str]:
    """A log of an inspect task with samples of its own, asked twice; the files that are vouched for."""
    metadata = {"experiment": run.experiment, "run": owner, "asking": "arc"}
    samples = [Sample(input=f"q{n}", target=["a", "b"] if n else "a") for n in range(3)]
    task = Task(
        dataset=samples, solver=generate(), scorer=[several(), graded()], epochs=2, version="1-b", metadata=metadata, name="arc",
    )
    [log] = inspect_eval(task, model="two_lines/model", log_dir="logs", display="none", log_format="eval")
    assert log.status == "success", log.error
    path = log_path(run.id, "arc")
    path.parent.mkdir(exist_ok=True)
    shutil.copy(log.location, path)
    return [str(path)]


def test_a_task_of_inspect_ai_brings_its_own_scores_per_sample_and_its_version(run: Run) -> None:
    version, found = read_inspect_task(run, "arc", vouched=ask(run))
    assert version == "1-b" and len(found) == 6
    by_key = {(each.item, each.epoch): each for each in found}
    assert set(by_key) == {(str(item), epoch) for item in (1, 2, 3) for epoch in (1, 2)}
    assert by_key["1", 2].scores == {"several_part": 0.25, "several_other": 3.0, "graded": 1.0}
    assert by_key["2", 1].scores == {"several_part": None, "several_other": 3.0, "graded": 0.0}  # a gap is no 0
    assert by_key["3", 1].scores.get("graded") is None
    assert (by_key["1", 1].input, by_key["1", 1].target, by_key["2", 1].target) == ("q0", "a", "a | b")
    assert {each.completion for each in found} == {"yes\nno"}


def test_the_log_of_a_task_of_inspect_ai_has_to_be_the_runs_own_too(run: Run) -> None:
    with pytest.raises(UnusableLog, match="belongs to run r4$"):
        read_inspect_task(run, "arc", vouched=ask(run, "r4"))
    with pytest.raises(UnusableLog, match="is not what runs/r2/eval.json vouches for$"):
        read_inspect_task(run, "arc", vouched=[])
    [path] = ask(run)
    spoil_a_member(Path(path), "samples/2_epoch_1.json")
    with pytest.raises(UnusableLog, match=f"^{path} cannot be read: it is truncated"):
        read_inspect_task(run, "arc", vouched=[path])
