"""Jobs that something ends on real Slurm daemons: signals, walltime, requeue, their node, memory."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from helpers.experiments import edit
from helpers.processes import children_of
from helpers.slurm_cluster import Cluster
from helpers.slurm_experiments import (
    RUN,
    SITE,
    log,
    make,
    on_slurm,
    record,
)
from helpers.slurm_faults import MARKS, complete, submitted, tell, wait_for_status
from warm.environment import REAL_ENVIRONMENT

pytestmark = MARKS
STOPPED = "submitted: was stopped by Slurm (cancelled, preempted or requeued)"


def test_killed_by_a_signal(finished: Path, cluster: Cluster, folder: Path) -> None:
    submitted(folder, cluster, job_in=REAL_ENVIRONMENT)
    pid = record(folder)["pid"]
    for process in [pid, *children_of(pid)]:
        os.kill(process, signal.SIGKILL)
    reason = wait_for_status(folder, cluster, "failed")
    complete(folder, cluster, finished)
    assert "resuming after epoch" in log(folder)
    tell("killed by a signal", "kill -9 of the job's processes after its first epoch", reason + "; resumed after that epoch")


def test_the_training_process_alone_killed(finished: Path, cluster: Cluster, folder: Path) -> None:
    submitted(folder, cluster)
    for process in children_of(record(folder)["pid"]):
        os.kill(process, signal.SIGKILL)
    reason = wait_for_status(folder, cluster, "failed")
    assert "killed by SIGKILL" in reason
    complete(folder, cluster, finished)
    tell("the training process alone killed", "kill -9 of the recipe's process, not of the job", reason + "; resumed")


def test_walltime_in_epoch_2_of_3(finished: Path, cluster: Cluster, folder: Path) -> None:
    job = submitted(folder, cluster, job_in=REAL_ENVIRONMENT)
    cluster.expire(job, 45)
    cluster.wait_until(lambda: record(folder).get("state") == "stopped", timeout_s=90, what="the warning of the walltime")
    reason = record(folder)["reason"]
    assert re.search(r"reached its walltime of 10 min; goes on after epoch [12]", reason)
    assert wait_for_status(folder, cluster, "submitted").startswith("submitted: reached its walltime")
    complete(folder, cluster, finished)
    assert "try 2" in log(folder) and "resuming after epoch" in log(folder)
    assert record(folder)["job_id"] == job, "the same job, requeued"
    tell("walltime in epoch 2 of 3", "the job's time limit moved to 45 s from now in epoch 2",
         "submitted: reached its walltime of 10 min; requeued itself, and went on after the last whole epoch")


def test_walltime_without_a_warning(finished: Path, cluster: Cluster, folder: Path) -> None:
    edit(folder / "site.yaml", "warn_s: 20", "warn_s: 0")
    job = submitted(folder, cluster)
    cluster.expire(job, 1)
    cluster.wait_until(lambda: cluster.states(job) == ["TIMEOUT"], timeout_s=90, what="TIMEOUT")
    reason = wait_for_status(folder, cluster, "failed")
    assert "time_min" in reason
    complete(folder, cluster, finished)
    tell("walltime without a warning", "warn_s: 0, the job's time limit moved to now", reason + "; resumed by the next submit")


def test_tries_are_bounded(cluster: Cluster, folder: Path) -> None:
    edit(folder / "site.yaml", "warn_s: 20", "warn_s: 20\ntries: 1")
    job = submitted(folder, cluster)
    cluster.run("scancel", "--batch", "--signal=USR1", job)
    reason = wait_for_status(folder, cluster, "failed")
    assert "in the last of 1 tries" in reason and "Raise train.time_min or tries in site.yaml" in reason


def test_scontrol_requeue(finished: Path, cluster: Cluster, folder: Path) -> None:
    job = submitted(folder, cluster, job_in=REAL_ENVIRONMENT)
    cluster.run("scontrol", "requeue", job)
    wait_for_status(folder, cluster, STOPPED)
    complete(folder, cluster, finished)
    assert "try 2" in log(folder) and "resuming after epoch" in log(folder)
    tell("scontrol requeue", "`scontrol requeue` in epoch 2", f"{STOPPED}; went on after the last whole epoch")


def test_node_set_down_in_mid_job(finished: Path, cluster: Cluster, folder: Path) -> None:
    job = submitted(folder, cluster)
    node = cluster.run("squeue", "--noheader", "--format=%N", f"--jobs={job}").strip()
    cluster.node_down(node)
    try:
        wait_for_status(folder, cluster, STOPPED)
        complete(folder, cluster, finished)
    finally:
        cluster.node_up(node)
    tell("node set down in mid-job", "`scontrol update State=DOWN` in epoch 2", f"{STOPPED}; resumed on another node")


def test_out_of_memory(finished: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    hog = "import os\nos.register_at_fork(after_in_child=lambda: globals().update(held=b'x' * (3 << 30)))\n"
    (tmp_path / "hog").mkdir()
    (tmp_path / "hog/sitecustomize.py").write_text(hog)
    with Cluster(tmp_path_factory.mktemp("o"), nodes=1, cpus_per_node=2, memory_cgroup=True) as cluster:
        folder = on_slurm(finished, tmp_path, RUN, site=SITE + f"setup: export PYTHONPATH={tmp_path}/hog\n")
        # The base has been looked at, so that the job's first child is the training.
        shutil.copytree(finished / ".scratch/bases", folder / ".scratch/bases")
        make(folder, cluster, "submit")
        reason = wait_for_status(folder, cluster, "failed")
        assert reason.startswith("failed: out of memory") and "train.mem_gb" in reason
        (folder / "site.yaml").write_text(SITE)
        complete(folder, cluster, finished)
    tell("out of memory", "a training that takes 3 GB of a job's 1 GB, held to it by cgroups", reason)


def test_a_gpu_without_memory_left(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    """What torch raises then, raised in the recipe's first step."""
    raiser = """
import os

def refuse(*arguments, **named):
    import torch
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB")

def patch():
    import torch
    torch.optim.AdamW.step = refuse

os.register_at_fork(after_in_child=patch)
"""
    (tmp_path / "raiser").mkdir()
    (tmp_path / "raiser/sitecustomize.py").write_text(raiser)
    edit(folder / "site.yaml", "poll_s: 1", f"poll_s: 1\nsetup: export PYTHONPATH={tmp_path}/raiser")
    make(folder, cluster, "submit")
    reason = wait_for_status(folder, cluster, "failed")
    assert "out of GPU memory" in reason and "gradient_accumulation_steps (the effective batch stays)" in reason
    (folder / "site.yaml").write_text(SITE)
    complete(folder, cluster, finished)
    tell("a GPU without memory left", "torch's OutOfMemoryError raised in the first step", reason)
