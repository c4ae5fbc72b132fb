"""A job that is told to stop, and what it knows of itself."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from ftexp.ground.own_job import environment_of_another_job, forget_launchers, own_job

_TOLD = """\
import multiprocessing, os, sys, time
sys.path.insert(0, sys.argv[1])
from ftexp.jobs.interruption import when_told_to_stop

def work():
    print(os.getpid(), flush=True)
    time.sleep(60)

def stop(is_warning):
    with open("said", "a") as file:
        file.write("warning\\n" if is_warning else "end\\n")
    time.sleep(0.3)  # as long as writing and requeueing may take
    return 3 if is_warning else 143

before = [__import__("signal").getsignal(n) for n in (10, 15)]
with when_told_to_stop(stop):
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    if sys.argv[2] == "work":
        time.sleep(60)
    time.sleep(0.2)
    child.kill()
assert [__import__("signal").getsignal(n) for n in (10, 15)] == before
"""


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Callable[..., tuple["subprocess.Popen[str]", int]]]:
    """Starts a process that works until it is told to stop; with it its child's id."""
    started: list[subprocess.Popen[str]] = []

    def start(what: str = "work", **variables: str) -> tuple["subprocess.Popen[str]", int]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")} | variables
        command = [sys.executable, "-c", _TOLD, str(REPOSITORY / "scripts"), what]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()


def _is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.is_file() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def _ends_soon(pid: int) -> bool:
    """A killed process goes when the kernel comes to it, which on a busy machine is a moment later."""
    until = time.monotonic() + 5
    while _is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not _is_alive(pid)


TOLD = [
    ([signal.SIGUSR1], "warning", 3), ([signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1], "warning", 3),
    ([signal.SIGTERM], "end", 143), ([signal.SIGTERM, signal.SIGUSR1], "end", 143),
]  # fmt: skip


def _wait_until_heard(process: "subprocess.Popen[str]") -> None:
    """Until it ignores further signals, or has ended: of two that wait together Python would take the lower number first."""
    until = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < until:
        status = Path(f"/proc/{process.pid}/status").read_text()
        ignored = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigIgn:"))
        if ignored >> (signal.SIGUSR1 - 1) & 1:
            return
        time.sleep(0.01)


@pytest.mark.parametrize(("signals", "said", "code"), TOLD)
def test_a_job_that_is_told_to_stop_says_so_once_and_ends_with_its_children(
    told: Any, tmp_path: Path, signals: list[signal.Signals], said: str, code: int
) -> None:
    process, child = told(SLURM_JOB_ID="7", FTEXP_SLURM_JOB="7")
    for number in signals:
        process.send_signal(number)
        _wait_until_heard(process)
    assert process.wait(10) == code
    assert (tmp_path / "said").read_text() == f"{said}\n"
    assert _ends_soon(child)


def test_outside_a_job_a_signal_does_what_it_always_does(told: Any, tmp_path: Path) -> None:
    process, child = told()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    os.kill(child, signal.SIGKILL)
    assert not (tmp_path / "said").exists()


def test_after_the_work_a_signal_does_again_what_it_did_before(told: Any, tmp_path: Path) -> None:
    process, _ = told("end", SLURM_JOB_ID="7", FTEXP_SLURM_JOB="7")
    assert process.wait(10) == 0
    assert not (tmp_path / "said").exists()


AROUND = {
    "SLURM_JOB_ID": "9", "SLURM_RESTART_COUNT": "3", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3",
    "FTEXP_SUBMISSION": "another", "FTEXP_INPUT_HASH": "of another",
}
OWN_ID = [
    ({}, None, 0), ({"SLURM_JOB_ID": "7", "FTEXP_SLURM_JOB": "7"}, "7", 0),
    ({"SLURM_JOB_ID": "9", "SLURM_RESTART_COUNT": "2", "FTEXP_SLURM_JOB": "9", "FTEXP_TASK": "9 7_3"}, "7_3", 2),
    # An allocation around a person's call, another job's array in the shell that a job came from, and a job of ours around it.
    (AROUND, None, 0), (AROUND | {"FTEXP_SLURM_JOB": "9"}, "9", 3),
    (AROUND | {"FTEXP_SLURM_JOB": "8", "FTEXP_TASK": "8 7_3"}, None, 0),
]  # fmt: skip


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("variables", "job", "restarts"), OWN_ID)
def test_a_job_knows_its_id_as_squeue_shows_it_and_takes_nothing_of_what_lies_around_it(
    variables: dict[str, str], job: str | None, restarts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    own = own_job()
    assert (own.id, own.restarts, own.submission, own.input_hash) == (job, restarts, None, None)


@pytest.mark.usefixtures("cluster")
def test_what_is_started_from_a_job_does_not_take_it_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"SLURM_CONF": "/etc/slurm.conf", "SLURM_TMPDIR": "/tmp/7", "CUDA_VISIBLE_DEVICES": "1", "FTEXP_LABS": "own"}
    for name, value in (AROUND | kept | {"FTEXP_SLURM_JOB": "9", "FTEXP_TASK": "9 7_3", "SLURM_CPUS_PER_TASK": "8"}).items():
        monkeypatch.setenv(name, value)
    there = {name: value for name, value in environment_of_another_job().items() if name.startswith(("SLURM", "FTEXP", "CUDA"))}
    assert there.pop("FTEXP_WARM_ENVIRONMENT", "") == os.environ.get("FTEXP_WARM_ENVIRONMENT", "") and there == kept


def test_a_launcher_around_a_job_gives_it_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    around = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "PET_NNODES")
    for name in around:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("RANKS", "1")
    forget_launchers()
    assert not set(around) & set(os.environ) and os.environ["RANKS"] == "1"
