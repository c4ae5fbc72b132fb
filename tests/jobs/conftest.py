"""Stamped experiments, and a Slurm that is none."""

import os
import shutil
from pathlib import Path

import pytest
import stamp as stamp_stage
from ftexp.design.planning import planned_runs
from ftexp.jobs.slurm import commands as slurm
from helpers.baking import entered_copy
from helpers.stand_in_slurm import Cluster, install_programs
from helpers.stand_in_stages import RUNS, make_ready


@pytest.fixture(scope="module")
def _stamped_for_reading(baked_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with entered_copy(baked_once, tmp_path_factory.mktemp("stamped") / "mine") as folder:
        assert stamp_stage.main([]) == 0
    return folder


@pytest.fixture
def stamped_once(_stamped_for_reading: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stamped experiment of 2 x 2 runs that tests only read; the working folder."""
    monkeypatch.chdir(_stamped_for_reading)
    return _stamped_for_reading


@pytest.fixture
def stamped(experiment: Path) -> Path:
    """A stamped experiment of 2 x 2 runs for one test; the working folder."""
    assert stamp_stage.main([]) == 0
    return experiment


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster with an empty queue; the working folder is an experiment's root."""
    made = install_programs(tmp_path / "programs", tmp_path / "cluster")
    for name in [name for name in os.environ if name.startswith(("SLURM_", "FTEXP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{tmp_path}/programs:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "wait_before_retry", lambda attempt: None)
    root = tmp_path / "it's an | experiment"
    (root / "runs/r1").mkdir(parents=True)
    monkeypatch.chdir(root)
    return made


@pytest.fixture(scope="module")
def _validated_once(baked_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with entered_copy(baked_once, tmp_path_factory.mktemp("validated") / "mine") as folder:
        make_ready("{lr: [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0]}")
    return folder


@pytest.fixture
def mine(_validated_once: Path, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster, and an experiment of six runs and a control that is stamped, split and validated; the working folder."""
    monkeypatch.chdir(shutil.copytree(_validated_once, tmp_path / "mine", symlinks=True))
    assert [run.id for run in planned_runs()] == ["base", *RUNS]
    return cluster
