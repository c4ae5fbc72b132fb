"""Real Slurm daemons, and an experiment that the local backend has finished."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.slurm_cluster import Cluster
from helpers.slurm_experiments import (
    RUN,
    bake,
    make,
    on_slurm,
)
from helpers.slurm_faults import promise_rows

promise_rows(Path(__file__).parent)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small experiment, finished by the local backend and never disturbed; one for all workers."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    with (root / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "finished.done").exists():
            make(bake(root / "finished"), None, "all")
            (root / "finished.done").touch()
    return root / "finished/small"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes of one core."""
    with Cluster(tmp_path_factory.mktemp("s"), nodes=2, cpus_per_node=1) as running:
        yield running


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """The small experiment, its one training still to be done, on Slurm."""
    return on_slurm(finished, tmp_path, RUN)
