"""Tasks of every kind by inspect-ai's own commands: eval, score, view; on a stamped experiment, with nothing else set."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ftexp.evaluation.scorer_name import RECORDED
from helpers.marks import slow_but
from helpers.tiny_models import TinyExperiment, make_experiment
from inspect_ai.log import EvalLog, bundle_log_dir, list_eval_logs, read_eval_log

BIN = Path(sys.executable).parent
ROWS = [{"input": f"word{n}", "output": ("yes", "no")[n % 2]} for n in range(12)]
# A name that the experiment gives its task, too; a neighbour that is imported; a file of rows that is read where it lies.
ARC = '''
from inspect_ai import Task, task
from inspect_ai.dataset import json_dataset
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import includes
from inspect_ai.solver import generate
from beside import PREFIX

@task
def arc_easy(limit=4):
    rows = json_dataset("arc.jsonl", limit=limit)
    for row in rows:
        row.input = PREFIX + row.input
    return Task(dataset=rows, solver=generate(), scorer=includes(), version=7, config=GenerateConfig(max_tokens=3))
'''
OWN = '''
from inspect_ai.scorer import Score, Scorer, mean, scorer

@scorer(metrics=[mean()])
def length(factor=1) -> Scorer:
    async def score(state, target) -> Score:
        return Score(value=factor * len(state.output.completion))
    return score
'''
TASKS: dict[str, Any] = {
    "test": {}, "pick": {"choices": ["yes", "no"]}, "letters": {"data": "texts/letters.jsonl", "document": "text"},
    "twice": {"temperature": 0.9, "epochs": 2}, "arc_easy": {"inspect": "tasks/arc.py@arc_easy", "args": {"limit": 2}},
}
ASKINGS = ("test", "test.reference", "pick", "pick.reference", "letters", "twice", "twice.reference", "arc_easy")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    root = tmp_path_factory.mktemp("every") / "tiny"
    (root / "tasks").mkdir(parents=True)
    (root / "tasks/arc.py").write_text(ARC, encoding="utf-8")
    (root / "tasks/beside.py").write_text("PREFIX = 'Of arc: '\n", encoding="utf-8")
    write_lines(root / "tasks/arc.jsonl", [{"input": f"word{n}", "target": f"w{n}"} for n in range(4)])
    write_lines(root / "texts/letters.jsonl", [{"text": f"letter {n} to a friend"} for n in range(3)])
    (root / "judged.py").write_text(OWN, encoding="utf-8")
    scorers = ["exact", "f1", "perplexity", "judged.py@length"]
    evaluation = {"tasks": TASKS, "max_tokens": 6, "scorers": scorers, "metrics": ["brier"]}
    return make_experiment(root, "llama3_2", "llama3", rows=ROWS, evaluation=evaluation)


def write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def inspect(root: Path, *words: str, **variables: str) -> None:
    """Run an inspect command in the experiment, with nothing else set."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    environment = {**kept, "HF_HUB_OFFLINE": "1", "INSPECT_DISPLAY": "plain", **variables}
    command = [str(BIN / "inspect"), *words]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(made: TinyExperiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of `inspect eval runs/base/eval.py`, by the names that `make eval` gives them."""
    logs, named = tmp_path_factory.mktemp("logs"), tmp_path_factory.mktemp("named") / "eval"
    inspect(made.root, "eval", "runs/base/eval.py", "--log-dir", str(logs))
    named.mkdir()
    for info in list_eval_logs(str(logs)):
        path = Path(info.name.removeprefix("file://"))
        shutil.copy(path, named / f"{read_eval_log(str(path), header_only=True).eval.task}.eval")
    return named


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "eval"))


def read(folder: Path, asking: str) -> EvalLog:
    return read_eval_log(str(folder / f"{asking}.eval"))


def scorers_of(log: EvalLog) -> list[str]:
    return [each.name for each in log.results.scores] if log.results else []


def test_inspect_eval_runs_every_task_of_the_run_by_its_file_alone(made: TinyExperiment, folder: Path) -> None:
    assert {path.stem for path in folder.iterdir()} == set(ASKINGS)
    for asking in ASKINGS:
        log = read(folder, asking)
        assert log.status == "success" and log.eval.model == "ftexp/base" and log.samples
        said = {"experiment": "tiny", "run": "base", "kind": "control", "asking": asking}
        assert log.eval.metadata and said.items() <= log.eval.metadata.items()
        wanted = {"letters": 3, "twice": 12, "arc_easy": 2}
        assert len(log.samples) == wanted.get(asking, 6)


def test_generated_answers_are_shown_with_the_scorers_that_need_nothing_else(folder: Path) -> None:
    assert scorers_of(read(folder, "test")) == [RECORDED, "ftexp_exact", "ftexp_f1"]
    assert scorers_of(read(folder, "test.reference")) == scorers_of(read(folder, "letters")) == [RECORDED]
    twice = read(folder, "twice")
    assert {(sample.id, sample.epoch) for sample in twice.samples or []} == {
        (sample.id, epoch) for sample in read(folder, "test").samples or [] for epoch in (1, 2)
    }


def test_of_options_the_likeliest_is_the_answer_and_nothing_is_generated(folder: Path) -> None:
    for sample in read(folder, "pick").samples or []:
        found = sample.metadata["likelihood"]
        assert found["options"] == ["yes", "no"]
        best = max(range(2), key=found["conditional"].__getitem__)
        assert sample.output.completion == found["options"][best] and not sample.output.usage


@pytest.mark.parametrize("asking", ["test.reference", "letters"])
def test_of_a_reference_and_a_document_the_likelihood_is_there(asking: str, folder: Path) -> None:
    for sample in read(folder, asking).samples or []:
        found = sample.metadata["likelihood"]
        assert math.isfinite(found["nll"]) and found["nll"] > 0 < found["tokens"] <= found["bytes"]


def test_a_task_of_a_file_keeps_its_data_scorer_limits_and_version(folder: Path) -> None:
    log = read(folder, "arc_easy")
    assert scorers_of(log) == ["includes"] and log.eval.task_version == 7 and log.plan.config.max_tokens == 3
    assert [str(sample.input) for sample in log.samples or []] == ["Of arc: word0", "Of arc: word1"]
    assert log.eval.metadata and log.eval.metadata["args"] == {"limit": 2}


def test_inspect_view_lists_every_log(folder: Path, tmp_path: Path) -> None:
    bundle_log_dir(str(folder), str(tmp_path / "view"))
    listed = json.loads((tmp_path / "view/logs/listing.json").read_text(encoding="utf-8"))
    assert {Path(name).stem for name in listed} == set(ASKINGS)
    assert {log["status"] for log in listed.values()} == {"success"}
    assert {log["task"] for log in listed.values()} == set(ASKINGS)


APPENDED = slow_but(("test", "pick", "arc_easy"), "test")


@pytest.mark.parametrize("asking", APPENDED)
def test_inspect_score_adds_a_scorer_of_ones_own(asking: str, made: TinyExperiment, copy: Path) -> None:
    before = read(copy, asking)
    words = ("--scorer", "judged.py@length", "-S", "factor=2", "--action", "append", "--overwrite")
    inspect(made.root, "score", str(copy / f"{asking}.eval"), *words, PYTHONPATH="scripts")
    after = read(copy, asking)
    assert scorers_of(after) == [*scorers_of(before), "length"]
    lengths = {str(sample.id): 2 * len(sample.output.completion) for sample in before.samples or []}
    reduced = next(each for each in after.reductions or [] if each.scorer == "length")
    assert {str(each.sample_id): each.value for each in reduced.samples} == lengths and any(lengths.values())
    assert recorded(after) == recorded(before)


@pytest.mark.slow
@pytest.mark.parametrize("asking", ["test", "twice", "letters"])
def test_inspect_score_without_a_scorer_gives_the_same_again(asking: str, made: TinyExperiment, copy: Path) -> None:
    before = read(copy, asking)
    inspect(made.root, "score", str(copy / f"{asking}.eval"), "--action", "overwrite", "--overwrite", PYTHONPATH="scripts")
    after = read(copy, asking)
    assert scorers_of(after) == scorers_of(before) and recorded(after) == recorded(before)
    assert values(after) == values(before) != {}


def values(log: EvalLog) -> dict[tuple[str, int, str], Any]:
    """Every score, by item, epoch and scorer."""
    return {
        (str(sample.id), sample.epoch, name): score.value
        for sample in log.samples or [] for name, score in (sample.scores or {}).items()
    }


def recorded(log: EvalLog) -> dict[str, Any]:
    """What `recorded` left of each item, which is all that ftexp reads of a log."""
    samples = next((each.samples for each in log.reductions or [] if each.scorer == RECORDED), [])
    return {str(sample.sample_id): sample.metadata for sample in samples}
