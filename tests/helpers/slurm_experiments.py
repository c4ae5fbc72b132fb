"""Experiments for the tests on real Slurm daemons: a small one, finished locally, copies of it for Slurm, and faults."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from warm.environment import use, warm_environment

from helpers import experiments
from helpers.experiments import bake_small, edit
from helpers.processes import children_of
from helpers.slurm_cluster import Cluster

RUN = "r2_s1"
SITE = """\
backend: slurm
models: data/models
device: cpu
train: {time_min: 10, mem_gb: 1, cpus: 1, gpus: 0}
eval: {time_min: 10, mem_gb: 1, cpus: 1, gpus: 0}
poll_s: 1
warn_s: 20
"""
PRODUCTS = ("checkpoint", "train.csv", "train.json", "train.log", "eval", "eval.json", "eval.log")


def bake(root: Path, **answers: str) -> Path:
    """An experiment named `small` on 240 words, 3 epochs of 12 steps, set up for the local backend."""
    folder = bake_small(root, words=240, **{"factors": "{lora_rank: [2], seed: [1]}", **answers})
    edit(folder / "experiment.yaml", "epochs: 2, batch_size: 32", "epochs: 3, batch_size: 16, lr: 3.0e-3")
    experiments.make(folder, "setup", f"VENV={warm_environment()}")
    return folder


def on_slurm(finished: Path, root: Path, *again: str, site: str = SITE) -> Path:
    """A copy of a finished experiment with the Slurm backend, in which the runs `again` have not been done."""
    folder = use(warm_environment(), Path(shutil.copytree(finished, root / finished.name, symlinks=True)))
    shutil.rmtree(folder / ".scratch")
    for run in again:
        for name in (*PRODUCTS, "dvc.lock"):
            path = folder / "runs" / run / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in (folder / "runs").glob("*/*.job.json"):
        path.unlink()
    (folder / "site.yaml").write_text(site, encoding="utf-8")
    return folder


def make(folder: Path, cluster: Cluster | None, *targets: str, check: bool = True, **variables: str) -> Any:
    """`make targets` in an experiment, with the cluster's configuration."""
    return experiments.make(folder, *targets, check=check, environment=cluster.environment if cluster else None, **variables)


def statuses(folder: Path, cluster: Cluster) -> dict[tuple[str, str], dict[str, str]]:
    """The rows of `make status`: by run and stage, the columns by name."""
    lines = make(folder, cluster, "status").stdout.splitlines()
    starts = [0]
    for dashes in lines[1].split("  ")[:-1]:
        starts.append(starts[-1] + len(dashes) + 2)
    cut = [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] for line in lines]
    rows = [dict(zip(cut[0], cells, strict=True)) for cells in cut[2:]]
    return {(row["run"], row["stage"]): row for row in rows}


@contextmanager
def held_jobs(folder: Path) -> Iterator[None]:
    """Jobs submitted in here begin, name themselves to Slurm, and do nothing until the end of the block."""
    hold = folder.parent / f"{folder.name}.hold"
    site = folder / "site.yaml"
    text = site.read_text(encoding="utf-8")
    site.write_text(f"{text}setup: 'while [ -e {hold} ]; do sleep 0.1; done'\n", encoding="utf-8")
    hold.touch()
    try:
        yield
    finally:
        hold.unlink()


def record(folder: Path, stage: str = "train", run: str = RUN) -> dict[str, Any]:
    """The record that the stage's job wrote; empty where there is none."""
    path = folder / f"runs/{run}/{stage}.job.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def log(folder: Path, stage: str = "train", run: str = RUN) -> str:
    """What the stage's job printed."""
    return (folder / f"runs/{run}/{stage}.log").read_text(encoding="utf-8", errors="replace")


def has_finished_an_epoch(folder: Path, run: str = RUN) -> bool:
    """Whether the training has an epoch to go on from."""
    return (folder / f".scratch/train/{run}/recipe_state/recipe_state.pt").is_file()


def pause_training(folder: Path, number: signal.Signals = signal.SIGSTOP) -> None:
    """Stop the process that computes, so that what is to happen to the job happens in this very epoch; SIGCONT goes on."""
    for child in children_of(record(folder)["pid"]):
        os.kill(child, number)


def train_jobs(cluster: Cluster) -> set[str]:
    """Ids of the jobs for a training that Slurm remembers (for 5 minutes after their end)."""
    return {job.id for job in cluster.jobs() if ":train:" in job.comment}


def stand_in(root: Path, program: str, text: str) -> dict[str, str]:
    """PATH with a bash program before the real one, which it finds as $REAL."""
    real = shutil.which(program)
    assert real
    folder = root / "stand-ins"
    folder.mkdir(exist_ok=True)
    path = folder / program
    path.write_text(f"#!/bin/bash\nREAL={real}\nMEMORY={folder}/{program}.memory\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def trained_adapter(folder: Path, run: str = RUN) -> bytes:
    """The bytes of the one run's adapter."""
    return experiments.adapter(folder, run)
