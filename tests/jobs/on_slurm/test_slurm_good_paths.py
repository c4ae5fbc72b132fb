"""Experiments on real Slurm daemons that nothing disturbs: the bytes of a local run, and no job too many."""

import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from helpers.experiments import REPOSITORY as TEMPLATE
from helpers.experiments import adapter, edit, results
from helpers.slurm_cluster import Cluster
from helpers.slurm_experiments import (
    RUN,
    SITE,
    bake,
    has_finished_an_epoch,
    held_jobs,
    log,
    make,
    on_slurm,
    pause_training,
    statuses,
    train_jobs,
)
from helpers.slurm_faults import MARKS, assert_complete, complete, submitted, wait_for_status
from warm.environment import REAL_ENVIRONMENT, use

pytestmark = MARKS


def assert_every_task_says_its_own_run(folder: Path, cluster: Cluster) -> None:
    """Once tasks run, their comments name the run of their line in the list, and no sibling's."""
    (listed,) = (folder / ".scratch/submissions").glob("train-*.list")
    runs = {line.split("\t")[0]: line.split("\t")[1] for line in listed.read_text().splitlines()}

    def said() -> dict[str, str]:
        jobs = [job for job in cluster.jobs("RUNNING") if ":train:" in job.comment and "@" not in job.comment]
        return {job.id.split("_")[1]: job.comment.split(":")[2] for job in jobs}

    cluster.wait_until(lambda: len(said()) == 2, timeout_s=60, what="two tasks to run")
    assert all(runs[task] == run for task, run in said().items())


def test_several_runs_give_the_results_of_the_local_backend(cluster: Cluster, tmp_path: Path) -> None:
    """Three trainings of one array on two nodes, of which one is cancelled while it waits and submitted again."""
    runs = ("r2_s1", "r2_s2", "r2_s3")
    local = bake(tmp_path / "local", factors="{lora_rank: [2], seed: [1, 2, 3]}")
    edit(local / "experiment.yaml", "epochs: 3", "epochs: 1")
    make(local, None, "all")
    folder = on_slurm(local, tmp_path, *runs)
    with held_jobs(folder):
        make(folder, cluster, "submit", "eval")
        assert_every_task_says_its_own_run(folder, cluster)
        assert "cancel: 2 jobs, " in make(folder, cluster, "cancel", ONLY="r2_s3").stderr
    make(folder, cluster, "submit", "eval", "wait", "report")
    assert (folder / "results.csv").read_bytes() == (local / "results.csv").read_bytes()
    assert all(adapter(folder, run) == adapter(local, run) for run in runs)
    assert len(results(folder)) == 4 and all(row["score"] for row in results(folder).values())


def test_all_targets_typed_at_once_complete_the_experiment(finished: Path, cluster: Cluster, folder: Path) -> None:
    """In the real environment: every process is a job's own."""
    use(REAL_ENVIRONMENT, folder)
    said = make(folder, cluster, "submit", "eval", "wait", "report").stderr
    assert "train: 1 job in 1 array, at most 0.0 GPU hours" in said and "eval: 1 job in 1 array" in said
    assert_complete(folder, cluster, finished)
    row = statuses(folder, cluster)[RUN, "train"]
    assert row["status"] == "done" and re.fullmatch(r"\d+_0", row["job"]) and re.fullmatch(r"\d+:\d\d", row["time"])
    known = subprocess.run([".venv/bin/dvc", "status"], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert "up to date" in known, known


def test_every_job_says_whose_it_is_and_nothing_is_submitted_twice(finished: Path, cluster: Cluster, folder: Path) -> None:
    before = train_jobs(cluster)
    with held_jobs(folder):
        make(folder, cluster, "submit", "eval")
        again = make(folder, cluster, "submit", "eval").stderr
        comments = {job.comment for job in cluster.jobs("PENDING,RUNNING")}
    assert "0 to do, 0 done, 1 under way" in again and f"runs/{RUN}: skipped: " in again
    assert len(comments) == 2 and all(re.fullmatch(rf"ftexp:small:{RUN}:(train|eval):[0-9a-f]{{64}}", text) for text in comments)
    assert len(train_jobs(cluster) - before) == 1
    make(folder, cluster, "wait", "report")
    assert_complete(folder, cluster, finished)


def test_cancel_ends_ours_only_and_the_run_is_ready_again(finished: Path, cluster: Cluster, folder: Path) -> None:
    other = cluster.run("sbatch", "--parsable", "--wrap", "sleep 600").strip()
    submitted(folder, cluster)
    make(folder, cluster, "eval")
    said = make(folder, cluster, "cancel").stderr
    assert "cancel: 2 jobs, 1 of them running" in said
    assert wait_for_status(folder, cluster, "ready").startswith("ready: was ")
    assert cluster.states(other) == ["RUNNING"] or cluster.states(other) == ["PENDING"]
    cluster.run("scancel", other)
    assert "resuming after epoch" in (complete(folder, cluster, finished) + log(folder))


def test_a_finished_experiment_can_be_pushed_and_pulled(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    complete(folder, cluster, finished)
    dvc = str(folder / ".venv/bin/dvc")
    subprocess.run([dvc, "remote", "add", "--default", "store", str(tmp_path / "store")], cwd=folder, check=True)
    subprocess.run([dvc, "push", "--quiet"], cwd=folder, check=True)
    shutil.rmtree(folder / ".dvc/cache")
    shutil.rmtree(folder / f"runs/{RUN}/checkpoint")
    subprocess.run([dvc, "pull", "--quiet"], cwd=folder, check=True)
    assert adapter(folder, RUN) == adapter(finished, RUN)


def test_report_says_at_any_time_what_is_missing(cluster: Cluster, folder: Path) -> None:
    submitted(folder, cluster)
    said = make(folder, cluster, "report").stderr
    assert f"runs/{RUN}: train running, eval waiting" in said
    assert results(folder)[RUN]["score"] == "" and results(folder)["base"]["score"] != ""
    make(folder, cluster, "cancel")


def test_a_job_by_hand_and_a_submit_do_not_train_twice(finished: Path, cluster: Cluster, folder: Path) -> None:
    make(folder, cluster, "stamp")
    cluster.run("sbatch", f"runs/{RUN}/finetune.slurm", cwd=folder)
    cluster.wait_until(lambda: has_finished_an_epoch(folder), timeout_s=60, what="the job by hand", poll_s=0.02)
    pause_training(folder)
    assert "1 under way" in make(folder, cluster, "submit").stderr
    pause_training(folder, signal.SIGCONT)
    complete(folder, cluster, finished)


def test_a_distributed_recipe_takes_the_gpus_of_the_profile(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two processes, one on each of two GPUs that are none; what torchtune lacks on a CPU is patched, for the test only."""
    folder = bake(tmp_path, factors="{lora_rank: [2], seed: [1]}")
    edit(folder / "experiment.yaml", "constants: {", "constants: {recipe: lora_finetune_distributed, ")
    profile = SITE.replace("mem_gb: 1, cpus: 1, gpus: 0}", "mem_gb: 4, cpus: 1, gpus: 2}", 1)
    patch = f'[ "${{FTEXP_SUBMISSION%%-*}}" != train ] || export PYTHONPATH={TEMPLATE}/tests/helpers/cpu_patch'
    (folder / "site.yaml").write_text(f"{profile}setup: '{patch}'\n")
    with Cluster(tmp_path_factory.mktemp("g"), nodes=1, cpus_per_node=2, gpus_per_node=2) as cluster:
        said = make(folder, cluster, "split", "validate", "submit", "eval", "wait", "report").stderr
    assert "1 job in 1 array, at most 0.3 GPU hours" in said
    assert "batch_size: 8" in log(folder), "each of two processes takes half of 16 rows"
    assert results(folder)[RUN]["eval_status"] == "done" and float(results(folder)[RUN]["train_loss"]) < 5
