"""Troubles of what takes long: a full disk under a training, an evaluation, a report; processes that are killed; two at once.

With real trainings by `make all`: test_pipeline. On a cluster: test_slurm.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import report
import status
import validate as validate_stage
from ftexp.design.planning import read_run
from ftexp.ground import paths
from ftexp.jobs import local_backend
from ftexp.state import job_record
from ftexp.state.run_lock import only_one_make, take_lock
from ftexp.state.work import Work
from helpers.fake_results import finish_eval, finish_training, ids, plan, record_job
from helpers.tiny_models import TinyExperiment, make_experiment
from helpers.troubles import KILLED, FullDisk, command
from warm.environment import warm_environment

SCRIPTS = Path(report.__file__).parent
NO_ROOM = re.compile(r"[\w./]+: No space left on device\. Make room on this file system, and run the same command again\.")
EXPERIMENT = """
experiment: caps
question: Does rank matter?
data: {source: data/raw/words.json, split: {train: 0.5, test: 0.5, seed: 0}}
factors: {lora_rank: [2, 16], seed: [1, 2]}
constants: {model: tiny, epochs: 2, batch_size: 2, dtype: fp32}
evaluation: {scorer: exact, max_tokens: 8}
"""


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs and a control that are trained and evaluated, and not yet reported."""
    root = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        Path("data/raw").mkdir(parents=True)
        Path("data/raw/words.json").write_text(json.dumps([{"input": f"w{i}", "output": f"W{i}"} for i in range(24)]))
        Path("models/tiny").mkdir(parents=True)
        Path("models/tiny/config.json").write_text("{}")
        Path("models/tiny/model.safetensors").write_bytes(b"weights")
        (root / "scripts").symlink_to(SCRIPTS)
        plan(EXPERIMENT)
        for number, run in enumerate(ids()):
            if not run.startswith("base"):
                finish_training(run)
            finish_eval(run, lambda i, k=number: i % 5 < k)  # type: ignore[misc]
    return root


@pytest.fixture
def whole(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What an undisturbed report writes; the working folder is another copy, without a report."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for name in ("whole", "mine"):
        shutil.copytree(evaluated, tmp_path / name, symlinks=True)
    with contextlib.chdir(tmp_path / "whole"):
        assert command(report.main)[0] == 0
        held = reported()
    monkeypatch.chdir(tmp_path / "mine")
    return held


def reported() -> dict[str, bytes]:
    """Every file that a report writes, or has left aside."""
    files = (path for path in Path().rglob("*") if path.is_file() and path.parts[0] not in ("runs", "data", "models", "scripts"))
    return {str(path): path.read_bytes() for path in files if path.parts[0] != ".scratch" and path.name != "events.jsonl"}


def test_whenever_the_disk_is_full_a_report_says_so_and_is_finished_when_there_is_room(
    whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in range(1000):
        disk, before = FullDisk(room), set(reported())
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", lambda path, data, disk=disk: disk.write(path, data))
            code, messages = command(report.main)
        if not disk.is_full:
            break
        assert code == 1 and NO_ROOM.fullmatch(messages[-1]) and not messages[-1].startswith("disk"), messages
        assert before <= set(reported()) and not list(Path().rglob(".*.tmp"))
    assert room > 1 and reported() == whole


def killed(stage: str, files: int) -> None:
    """Run a stage that is killed before it puts its file number `files` (from 0) in place."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(KILLED.format(stage=stage))
        script.flush()
        command_line = [str(warm_environment() / "bin/python"), script.name, str(files)]
        result = subprocess.run(command_line, capture_output=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr


def test_killed_before_any_of_its_files_is_in_place_a_report_gives_the_same_bytes_when_called_again(
    whole: dict[str, bytes]
) -> None:
    for files in (0, 2, 5):
        killed("report", files)
    assert command(report.main)[0] == 0
    assert {name: data for name, data in reported().items() if not name.endswith(".tmp")} == whole


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """A control and two runs around a tiny model, stamped and split, not validated."""
    root = tmp_path_factory.mktemp("stamped") / "tiny"
    return make_experiment(root, "qwen2", "chatml", factors={"seed": [1, 2]}, evaluation={"max_tokens": 24})


@pytest.fixture
def tiny(stamped: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it; the working folder."""
    folder = Path(shutil.copytree(stamped.root, tmp_path / "tiny", symlinks=True))
    monkeypatch.chdir(folder)
    return folder


def test_killed_before_any_of_its_files_is_in_place_a_validation_gives_the_same_bytes_when_called_again(tiny: Path) -> None:
    killed("validate", 0)
    assert not paths.PREFLIGHT_JSON.exists()
    killed("validate", 0)
    assert command(validate_stage.main)[0] == 0
    again = paths.PREFLIGHT_JSON.read_bytes()
    paths.PREFLIGHT_JSON.unlink()
    assert command(validate_stage.main)[0] == 0 and paths.PREFLIGHT_JSON.read_bytes() == again


@pytest.mark.parametrize("stage", ["validate", "report"])
def test_of_two_at_once_one_waits_and_says_so(
    stage: str, evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(evaluated, tmp_path / "mine", symlinks=True))
    with only_one_make(stage):
        waiting = subprocess.Popen([sys.executable, f"scripts/{stage}.py"], stderr=subprocess.PIPE, text=True)
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == f"another make is at work here ({stage}); waiting until it has ended\n"
        assert waiting.poll() is None
    waiting.kill()
    waiting.communicate()


def execute(folder: Path, stage: str, *runs: str) -> subprocess.CompletedProcess[str]:
    """What a job does, its words in the runs' logs."""
    command_line = [str(warm_environment() / "bin/python"), "scripts/execute.py", stage, *runs, "--log"]
    environment = {**os.environ, "PYTHONPATH": "scripts"}
    return subprocess.run(command_line, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def begun(stamped: TinyExperiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run is trained, the control evaluated."""
    folder = Path(shutil.copytree(stamped.root, tmp_path_factory.mktemp("begun") / "tiny", symlinks=True))
    assert execute(folder, "train", "s2").returncode == execute(folder, "eval", "base").returncode == 0
    return folder


@pytest.fixture(scope="module")
def undisturbed(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The products of both trainings."""
    folder = Path(shutil.copytree(begun, tmp_path_factory.mktemp("undisturbed") / "tiny", symlinks=True))
    assert execute(folder, "train", "s1").returncode == 0
    return products(folder)


def products(folder: Path) -> dict[str, bytes]:
    """Checkpoints, logs of evaluations, and what vouches for them."""
    names = ("checkpoint/*", "train.json", "eval/*", "eval.json")
    return {str(path.relative_to(folder)): path.read_bytes() for name in names for path in folder.glob(f"runs/*/{name}")}


@pytest.fixture
def small_disk(begun: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the experiment on a file system of its own, of 8 MB."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this user may not mount a file system: {mounted.stderr.decode().strip()}")
    try:
        yield Path(shutil.copytree(begun, small / "tiny", symlinks=True))
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def fails_for_want_of_room(folder: Path, stage: str, run: str, left_kb: int) -> None:
    """With so much left on the disk the stage fails, says that the disk is full, and takes nothing away."""
    before, filler = products(folder), folder.parent / "filler"
    filler.write_bytes(b"x" * (shutil.disk_usage(folder).free - left_kb * 1024))
    full = execute(folder, stage, run)
    with contextlib.chdir(folder):
        record = job_record.read_job(run, stage)
    assert full.returncode == 1 and "Traceback" not in full.stderr
    messages = full.stderr.splitlines()
    assert len(messages) < 2 and all(map(NO_ROOM.fullmatch, messages)) and not full.stderr.startswith("disk")
    assert messages or record
    if record:
        assert record["state"] == "failed" and ("disk full. Make room" in record["reason"] or "No space left" in record["reason"])
    assert before == products(folder)
    filler.unlink()


# Too few kB for the memory of hashes, for the record, for the scratch folder, for the checkpoint.
@pytest.mark.slow
@pytest.mark.parametrize("left_kb", [0, 8, 12, 48, 80])
def test_a_training_on_a_full_disk_fails_with_the_reason_and_is_finished_when_there_is_room(
    left_kb: int, small_disk: Path, undisturbed: dict[str, bytes]
) -> None:
    fails_for_want_of_room(small_disk, "train", "s1", left_kb)
    assert execute(small_disk, "train", "s1").returncode == 0
    after = products(small_disk)
    assert undisturbed.keys() == after.keys()
    weights = [name for name in after if "/checkpoint/" in name]  # train.json vouches for train.csv, too, which holds times
    assert len(weights) == 4 and all(after[name] == undisturbed[name] for name in weights)


@pytest.mark.slow
@pytest.mark.parametrize("left_kb", [0, 8, 20, 48])
def test_an_evaluation_on_a_full_disk_fails_with_the_reason_and_is_finished_when_there_is_room(
    left_kb: int, small_disk: Path
) -> None:
    before = products(small_disk)
    fails_for_want_of_room(small_disk, "eval", "s2", left_kb)
    assert execute(small_disk, "eval", "s2").returncode == 0
    after = products(small_disk)
    assert before.items() <= after.items() and {*after} - {*before} == {"runs/s2/eval.json", "runs/s2/eval/test.eval"}


def test_the_wait_says_which_runs_failed_and_ends_with_status_1(
    evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(evaluated, tmp_path / "mine", symlinks=True))
    paths.RunPaths("r2_s1").manifest("train").unlink()
    record_job("r2_s1", "train", "failed", "killed by SIGKILL", Work().inputs(read_run("r2_s1"), "train"))
    monkeypatch.setattr(sys, "argv", ["status.py"])
    code, messages = command(lambda _: status.main(["--wait"]))
    assert (code, messages) == (1, ["runs/r2_s1: train failed: killed by SIGKILL"])


# In place of a job script: each run takes a moment, and `killed` its process with it.
WORKER = """
import json, os, signal, sys, time
from pathlib import Path
for run in [word for word in sys.argv[1:] if word != "--log"]:
    path = Path("runs") / run / "train.job.json"
    record = {"state": "running", "input_hash": "", "host": "", "pid": os.getpid(), "started": time.time()}
    path.write_text(json.dumps(record))
    if run in os.environ["KILLED"].split():
        os.kill(os.getpid(), getattr(signal, os.environ["BY"]))
    path.write_text(json.dumps({**record, "state": "done", "seconds": 0}))
"""
FIVE = ["a", "b", "c", "d", "e"]


def work_through(monkeypatch: pytest.MonkeyPatch, by: str, *victims: str, slots: int = 1) -> dict[str, str]:
    """How the records of five runs say that they ended; empty where there is none."""
    Path("worker.py").write_text(WORKER)
    for run in FIVE:
        Path("runs", run).mkdir(parents=True)
        paths.RunPaths(run).script("train").write_text(f'exec {sys.executable} worker.py {run} "$@"\n')
    monkeypatch.setenv("KILLED", " ".join(victims))
    monkeypatch.setenv("BY", by)
    local_backend.run_jobs("train", FIVE, slots, lambda: None)
    records = {run: job_record.read_job(run, "train") or {"state": ""} for run in FIVE}
    return {run: record.get("reason") or record["state"] for run, record in records.items()}


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of nothing, the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local_backend, "POLL_S", 0.02)
    return tmp_path


@pytest.mark.parametrize("slots", [1, 2])
def test_when_a_process_is_killed_another_does_the_runs_that_were_left_to_it(
    slots: int, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "killed by SIGKILL (out of memory?)"
    ended = work_through(monkeypatch, "SIGKILL", "a", "d", slots=slots)
    assert ended == {"a": why, "b": "done", "c": "done", "d": why, "e": "done"}


def test_what_a_process_died_of_is_the_reason(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert work_through(monkeypatch, "SIGBUS", "e") == {**dict.fromkeys(FIVE, "done"), "e": "killed by SIGBUS"}


def test_a_process_that_was_told_to_end_has_no_successor(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = work_through(monkeypatch, "SIGTERM", "b")
    assert ended == {"a": "done", "b": "running", "c": "", "d": "", "e": ""}


def test_a_training_that_outlives_its_process_is_not_recorded_as_failed(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with take_lock("b", "train"):
        ended = work_through(monkeypatch, "SIGKILL", "b")
    assert ended == {**dict.fromkeys(FIVE, "done"), "b": "running"}


def test_the_record_of_a_failure_takes_the_place_of_the_beginnings_on_a_full_disk(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = job_record.begin("a", "train", "0")
    monkeypatch.setattr(Path, "write_bytes", lambda path, data, disk=FullDisk(0): disk.write(path, data))
    job_record.end("a", "train", record, "failed", "no room")
    written = job_record.read_job("a", "train")
    assert written is not None and (written["state"], written["reason"]) == ("failed", "no room")
