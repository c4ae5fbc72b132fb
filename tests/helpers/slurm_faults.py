"""Faults on real Slurm daemons: what a person types after each, what then has to be so, and rows of docs/slurm-faults.md."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from warm.environment import use

from helpers.slurm_cluster import Cluster, missing_packages
from helpers.slurm_experiments import (
    RUN,
    has_finished_an_epoch,
    make,
    pause_training,
    record,
    statuses,
)
from helpers.slurm_experiments import trained_adapter as adapter
from helpers.written_tables import promise
from helpers.written_tables import tell as tell_row

FAULTS = ("ends", "links", "submissions", "files")  # their tests' files, in the order of the table

MISSING = ", ".join(missing_packages())
MARKS = [
    pytest.mark.slurm, pytest.mark.skipif(bool(MISSING), reason=f"Slurm's daemons cannot be started here: no {MISSING}"),
]
TIMED_OUT = "slurm_load_jobs error: Socket timed out on send/recv operation"


def promise_rows(folder: Path) -> None:
    """Every fault that the tests in a folder tell of has a row in docs/slurm-faults.md, in the order of their text."""
    texts = [(folder / f"test_slurm_{name}.py").read_text(encoding="utf-8") for name in FAULTS]
    promise("slurm-faults", [key for text in texts for key in re.findall(r'tell\("([^"]+)"', text)])


def tell(fault: str, how: str, outcome: str) -> None:
    """A row of docs/slurm-faults.md; job ids and paths, which differ from run to run, are left out.

    What depends on the moment (why a job that was put back is not yet running, how far a training had come) is for the test to
    check, and not for the row.
    """
    outcome = re.sub(r"\b\d+_\d+\b", "N", re.sub(r"/\S+/(?=runs|\.scratch)", "", outcome))
    tell_row("slurm-faults", fault, [fault, how, outcome])


def complete(folder: Path, cluster: Cluster, finished: Path, **variables: str) -> str:
    """What a person types after any fault; then all is as if nothing had happened. Returns what make said."""
    said = make(folder, cluster, "submit", "eval", "wait", "report", **variables).stderr
    assert_complete(folder, cluster, finished)
    return str(said)


def assert_complete(folder: Path, cluster: Cluster, finished: Path) -> None:
    """The bytes of an undisturbed local run, and nothing left to do."""
    assert (folder / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()
    assert adapter(folder) == adapter(finished)
    again = make(folder, cluster, "submit", "eval").stderr
    assert "train: 0 to do, 1 done" in again and "eval: 0 to do, 2 done" in again, "something would be done twice"


def submitted(folder: Path, cluster: Cluster, *, job_in: Path | None = None) -> str:
    """Submit the training, pause it in epoch 2, so that what is to happen to it happens there, and return its job's id.

    Args:
        job_in: Environment of the job, where it is not to be the experiment's: the real one, for a job whose processes are
            all Slurm's.
    """
    usual = (folder / ".venv").readlink()
    use(job_in or usual, folder)
    make(folder, cluster, "submit")
    cluster.wait_until(lambda: has_finished_an_epoch(folder), timeout_s=120, what="the first epoch", poll_s=0.02)
    pause_training(folder)
    use(usual, folder)
    return str(record(folder)["job_id"])


def status(folder: Path, cluster: Cluster, stage: str = "train") -> str:
    """What `make status` says of the one run."""
    row = statuses(folder, cluster)[RUN, stage]
    return f"{row['status']}: {row['reason']}" if row["reason"] else row["status"]


def wait_for_status(folder: Path, cluster: Cluster, wanted: str, stage: str = "train") -> str:
    """The status with its reason, as soon as it is the wanted one."""
    what = f"{stage} {wanted}"
    cluster.wait_until(lambda: status(folder, cluster, stage).startswith(wanted), timeout_s=60, what=what, poll_s=1)
    return status(folder, cluster, stage)


@contextmanager
def small_disk(folder: Path, *, size_kb: int) -> Iterator[None]:
    """A file system of its own on a folder."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here to be filled: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
