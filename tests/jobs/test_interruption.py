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
from ftexp.ground.own_job import own_job

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
    process, child = told(SLURM_JOB_ID="7")
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
    process, _ = told("end", SLURM_JOB_ID="7")
    assert process.wait(10) == 0
    assert not (tmp_path / "said").exists()


OWN_ID = [
    ({}, None), ({"SLURM_JOB_ID": "7"}, "7"),
    ({"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}, "7_3"),
]  # fmt: skip


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("variables", "job"), OWN_ID)
def test_a_job_knows_its_id_as_squeue_shows_it(
    variables: dict[str, str], job: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (own_job().id, own_job().restarts) == (job, 0)
