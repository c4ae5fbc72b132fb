"""`make all` killed at many moments, and called twice at once: nothing is lost, and nothing done twice."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.experiments import adapter, make
from helpers.pipeline_experiment import RUNS, copy_into
from helpers.processes import children_of, wait_until
from warm.environment import REAL_ENVIRONMENT, use, warm_environment


def start(folder: Path) -> subprocess.Popen[bytes]:
    """`make all` in a session of its own, so that all of it can be killed at once."""
    return subprocess.Popen(
        ["make", "all", "JOBS=2"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def wait_until_dead(folder: Path) -> None:
    """In the warm environment the server kills what a killed launcher stood for, a moment later."""
    until = time.monotonic() + 60
    while any(is_in(process, folder) for process in Path("/proc").glob("[0-9]*")):
        assert time.monotonic() < until, "something lives on"
        time.sleep(0.005)


def is_in(process: Path, folder: Path) -> bool:
    """Whether a process works in a folder."""
    try:
        return (process / "cwd").readlink().is_relative_to(folder)
    except OSError:  # it has ended, or is another user's
        return False


# In the order in which they come; each is first true after the one before it.
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "while configs are validated": lambda f: bool(list(f.glob("data/splits/*/train.json"))),
    "in the first epoch": lambda f: bool(list(f.glob(".scratch/train/*/train.csv"))),
    "after an epoch is whole": lambda f: bool(list(f.glob(".scratch/train/*/recipe_state/recipe_state.pt"))),
    "after a checkpoint is in place": lambda f: bool(list(f.glob("runs/*/checkpoint"))),
    "while DVC records": lambda f: bool(list(f.glob("runs/*/dvc.lock"))),
    "while runs are evaluated": lambda f: bool(list(f.glob(".scratch/eval/*/logs/*.eval"))),
}


@pytest.mark.slow
def test_killed_at_many_moments_make_all_gives_the_same_results(finished: Path, fresh: Path, tmp_path: Path) -> None:
    """kill -9 of everything, six times in one experiment; between an epoch's two files: test_training_components."""
    folder = copy_into(fresh, tmp_path)
    for condition in MOMENTS.values():
        process = start(folder)
        wait_until(lambda now=condition: now(folder), process)  # type: ignore[misc]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_until_dead(folder)
    make(folder, "all")
    assert (folder / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()
    for run in RUNS:
        name = f"runs/{run}/checkpoint/adapter_model.safetensors"
        assert (folder / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.slow
def test_when_only_make_is_killed_the_next_call_waits_for_what_still_runs(finished: Path, fresh: Path, tmp_path: Path) -> None:
    folder = copy_into(fresh, tmp_path)
    make(folder, "split", "validate")
    process = start(use(REAL_ENVIRONMENT, folder))
    wait_until(lambda: MOMENTS["in the first epoch"](folder), process)
    for child in children_of(process.pid):
        if b"submit.py" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)
    process.kill()
    process.wait()
    made = make(use(warm_environment(), folder), "all")
    assert "waiting for" in made.stderr
    assert (folder / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()


def events(folder: Path) -> list[str]:
    """What was trained and evaluated, a line each time."""
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    return sorted(line["what"] for line in lines if line["what"].startswith(("train ", "eval ")))


@pytest.mark.slow
def test_of_two_make_all_at_once_one_waits_and_each_run_is_trained_and_evaluated_once(
    finished: Path, fresh: Path, tmp_path: Path
) -> None:
    folder = copy_into(fresh, tmp_path)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    both = [subprocess.Popen(["make", "all"], cwd=folder, text=True, **quiet) for _ in range(2)]  # type: ignore[call-overload]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "another make is at work here (train); waiting until it has ended" in "".join(said)
    assert events(folder) == ["eval base", "eval r2_s1", "eval r4_s1", "train r2_s1", "train r4_s1"]
    assert (folder / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()
    assert [adapter(folder, run) for run in RUNS] == [adapter(finished, run) for run in RUNS]


@pytest.mark.slow
def test_the_kill_of_an_evaluation_costs_its_run_only_and_that_until_the_next_call(copy: Path) -> None:
    use(REAL_ENVIRONMENT, copy)
    before = (copy / "results.csv").read_bytes()
    for path in copy.glob("runs/*/eval.json"):
        path.unlink()
    process = subprocess.Popen(["make", "eval", "JOBS=1"], cwd=copy, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    record = copy / "runs/base/eval.job.json"
    record.unlink()
    wait_until(record.is_file, process)
    os.kill(json.loads(record.read_text(encoding="utf-8"))["pid"], signal.SIGKILL)
    said = process.communicate()[1]
    assert process.returncode != 0 and "runs/base: eval failed: killed by SIGKILL (out of memory?)" in said
    assert said.count("failed: ") == 1 and [path.parent.name for path in sorted(copy.glob("runs/*/eval.json"))] == [*RUNS]
    make(use(warm_environment(), copy), "eval", "report")
    assert (copy / "results.csv").read_bytes() == before
