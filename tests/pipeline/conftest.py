"""The experiment of the pipeline's tests: stamped, set up, run by its Makefile and DVC. Real trainings, tiny ones."""

from pathlib import Path

import pytest
from helpers.experiments import bake_small, edit, make
from helpers.pipeline_experiment import copy_into
from warm.environment import warm_environment


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small experiment, set up and not run: 2 ranks, 96 training rows, 3 epochs."""
    folder = bake_small(tmp_path_factory.mktemp("pipeline"), factors="{lora_rank: [2, 4], seed: [1]}")
    edit(folder / "experiment.yaml", "epochs: 2, batch_size: 32", "epochs: 3, batch_size: 16, lr: 3.0e-3")
    make(folder, "setup", f"VENV={warm_environment()}")
    return folder


@pytest.fixture(scope="session")
def finished(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same experiment after `make all`."""
    folder = copy_into(fresh, tmp_path_factory.mktemp("finished"))
    make(folder, "all")
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished experiment, to be changed; on another path, so what is stamped with a path follows."""
    folder = copy_into(finished, tmp_path)
    make(folder, "stamp")
    return folder
