"""What jobs on real Slurm daemons rely on and do not find: a training, a whole checkpoint, the controller."""

import os
import re
import signal
from collections.abc import Iterator
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
    pause_training,
    record,
)
from helpers.slurm_faults import MARKS, complete, status, submitted, tell, wait_for_status

pytestmark = MARKS


def test_a_dependency_that_can_never_be_met(finished: Path, cluster: Cluster, folder: Path) -> None:
    setup = '[ "${FTEXP_SUBMISSION%%-*}" != train ] || { echo no such thing; exit 3; }'
    edit(folder / "site.yaml", "poll_s: 1", f"poll_s: 1\nsetup: '{setup}'")
    ended = make(folder, cluster, "-k", "submit", "eval", "wait", "report", check=False)
    said = ended.stderr
    assert ended.returncode != 0 and "Error 1" in said and "missing, failed or forced in 1 of 2 runs" in said
    reason, waits = status(folder, cluster), status(folder, cluster, "eval")
    assert reason.startswith("failed: its job ended before its work began: no such thing (runs/") and waits.startswith("waiting")
    assert not (folder / f"runs/{RUN}/eval.job.json").exists(), "nothing is evaluated for a run that failed"
    (folder / "site.yaml").write_text(SITE)
    complete(folder, cluster, finished)
    tell("a dependency that can never be met", "a training that exits with 3 before it begins", f"{reason}; its eval {waits}")


def test_a_node_that_does_not_see_the_folder(finished: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Cluster(tmp_path_factory.mktemp("b"), nodes=2, cpus_per_node=2) as cluster:
        cluster.kill_node("n1")
        cluster.start_node("n1", without=folder)
        cluster.node_down("n2")
        make(folder, cluster, "submit", "eval")
        cluster.wait_until(lambda: status(folder, cluster).startswith("failed"), timeout_s=60, what="the job's end")
        cluster.node_up("n2")
        waited = make(folder, cluster, "wait", check=False)
        assert waited.returncode != 0 and f"runs/{RUN}: train failed: its job could not start on n1 (Slurm: " in waited.stderr
        reason = status(folder, cluster)
        said = complete(folder, cluster, finished)
        assert "train: kept off n1, where a job could not start" in said and record(folder)["host"]
    tell("a node that does not see the folder", "an empty file system over the experiment for one node's slurmd",
         re.sub(r" \(Slurm: [^)]*\)", "", reason) + "; it did")


def test_a_dependency_that_slurm_has_forgotten(finished: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Cluster(tmp_path_factory.mktemp("f"), nodes=1, cpus_per_node=2, min_job_age_s=2) as cluster:
        folder = on_slurm(finished, tmp_path, RUN)
        job = submitted(folder, cluster)
        for process in children_of(record(folder)["pid"]):
            os.kill(process, signal.SIGKILL)
        cluster.wait_until(lambda: not cluster.jobs(), timeout_s=60, what="Slurm to forget the training")
        reason = status(folder, cluster)
        assert reason.startswith("failed: killed by SIGKILL"), "known without Slurm and without accounting"
        made = cluster.run("sbatch", "--parsable", f"--dependency=afterok:{job}", f"runs/{RUN}/eval.slurm", cwd=folder).strip()
        output = folder / f"slurm-{made}.out"
        cluster.wait_until(lambda: output.is_file() and "cannot begin" in output.read_text(), timeout_s=60, what="the evaluation")
        assert "eval cannot begin: its training is failed" in output.read_text()
        assert not (folder / f"runs/{RUN}/eval").exists()
        complete(folder, cluster, finished)
    tell("a dependency on a job that Slurm has forgotten", "an evaluation that is to wait for a failed, forgotten training",
         "Slurm began it at once; it looked for itself and ended: `eval cannot begin: its training is failed`")


def test_a_kill_between_adapter_and_optimizer(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    killer = f"""
import os, signal
replace = os.replace
def dying(source, target, *rest):
    if str(target).endswith("recipe_state.pt") and "epoch_1" in os.listdir(os.path.dirname(os.path.dirname(target))):
        if not os.path.exists("{tmp_path}/died"):
            open("{tmp_path}/died", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target, *rest)
os.replace = dying
"""
    (tmp_path / "killer").mkdir()
    (tmp_path / "killer/sitecustomize.py").write_text(killer)
    edit(folder / "site.yaml", "poll_s: 1", f"poll_s: 1\nsetup: export PYTHONPATH={tmp_path}/killer")
    make(folder, cluster, "submit")
    reason = wait_for_status(folder, cluster, "failed")
    assert (tmp_path / "died").exists() and (folder / f".scratch/train/{RUN}/epoch_1").is_dir()
    complete(folder, cluster, finished)
    assert "resuming after epoch 1 of 3" in log(folder)
    tell("a kill between adapter and optimizer file", "kill -9 before epoch 2's recipe_state.pt is renamed into place",
         reason + "; resumed after epoch 1, of which both files are whole")


@pytest.fixture
def impatient_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One whose commands give up soon where the controller does not answer."""
    with Cluster(tmp_path_factory.mktemp("i"), nodes=1, cpus_per_node=1, message_timeout_s=4) as running:
        yield running


def test_slurmctld_stopped_and_started_under_running_jobs(finished: Path, impatient_cluster: Cluster, folder: Path) -> None:
    cluster = impatient_cluster
    submitted(folder, cluster)
    cluster.stop_controller()
    try:
        while_down = make(folder, cluster, "status")
        assert "Slurm does not answer" in while_down.stderr and "running" in while_down.stdout
        refused = make(folder, cluster, "submit", check=False)
        assert refused.returncode != 0 and "Nothing was submitted" in refused.stderr
        pause_training(folder, signal.SIGCONT)
        cluster.wait_until(lambda: record(folder).get("state") == "done", timeout_s=120, what="the training")
    finally:
        cluster.start_controller()
    assert status(folder, cluster) == "done"
    complete(folder, cluster, finished)
    tell("slurmctld stopped and started under running jobs", "the daemon ended in epoch 2, started when the training was over",
         "status shows jobs as last known and says so; submit refuses; the training went on and is done")
