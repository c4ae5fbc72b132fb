"""Disks that are full, files that are gone and settings that change, and a queue that does not answer, on real Slurm daemons."""

import shutil
import signal
from pathlib import Path

from helpers.experiments import edit, results
from helpers.slurm_cluster import Cluster
from helpers.slurm_experiments import (
    RUN,
    log,
    make,
    pause_training,
    stand_in,
    train_jobs,
)
from helpers.slurm_experiments import trained_adapter as adapter
from helpers.slurm_faults import MARKS, TIMED_OUT, assert_complete, complete, small_disk, status, submitted, tell, wait_for_status

pytestmark = MARKS


def test_the_disk_full(finished: Path, cluster: Cluster, folder: Path) -> None:
    scratch = folder / ".scratch/train"
    scratch.mkdir(parents=True)
    with small_disk(scratch, size_kb=200):
        make(folder, cluster, "submit")
        reason = wait_for_status(folder, cluster, "failed")
    assert "disk full" in reason or "No space left" in reason
    complete(folder, cluster, finished)
    tell("the disk full", "the trainings' scratch folder on a file system of 200 kB", reason)


def test_the_disk_full_under_submit(finished: Path, cluster: Cluster, folder: Path) -> None:
    make(folder, cluster, "stamp")
    before, claims = train_jobs(cluster), folder / ".scratch/claims"
    claims.mkdir()
    with small_disk(claims, size_kb=4):
        (claims / "full").write_bytes(b"x" * 4096)
        refused = make(folder, cluster, "submit", check=False)
    said = refused.stderr
    assert refused.returncode != 0 and "No space left on device. Make room" in said and "Traceback" not in said
    assert train_jobs(cluster) <= before
    complete(folder, cluster, finished)
    told = next(line for line in said.splitlines() if "No space" in line)
    tell("the disk full under `make submit`", "the folder of claims on a full file system", told)


def test_a_half_written_checkpoint(finished: Path, cluster: Cluster, folder: Path) -> None:
    complete(folder, cluster, finished)
    path = folder / f"runs/{RUN}/checkpoint/adapter_model.safetensors"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    reason = status(folder, cluster)
    assert reason.startswith("ready") and not status(folder, cluster, "eval").startswith("done")
    make(folder, cluster, "repro")
    assert_complete(folder, cluster, finished)
    tell("a half-written checkpoint", "the adapter of a finished training cut in half", reason + "; trained again")


def test_a_manifest_without_its_files(finished: Path, cluster: Cluster, folder: Path) -> None:
    complete(folder, cluster, finished)
    shutil.rmtree(folder / f"runs/{RUN}/checkpoint")
    reason = status(folder, cluster)
    assert reason.startswith("ready")
    complete(folder, cluster, finished)
    tell("a manifest without its files", "the checkpoint's folder deleted, train.json left", reason + "; trained again")


def test_experiment_edited_while_jobs_run(finished: Path, cluster: Cluster, folder: Path) -> None:
    submitted(folder, cluster)
    edit(folder / "experiment.yaml", "lr: 3.0e-3", "lr: 2.0e-3")
    said = make(folder, cluster, "validate", "submit").stderr
    pause_training(folder, signal.SIGCONT)
    assert "for inputs that have changed since; follows when it has ended" in said
    make(folder, cluster, "eval", "wait", "report")
    assert adapter(folder) != adapter(finished) and results(folder)[RUN]["eval_status"] == "done"
    edit(folder / "experiment.yaml", "lr: 2.0e-3", "lr: 3.0e-3")
    make(folder, cluster, "validate")
    complete(folder, cluster, finished)
    tell("experiment.yaml edited while jobs run", "the learning rate changed in epoch 1",
         "the running job was let run, its result is stale; `make wait` submitted the run anew when it had ended")


def test_experiment_edited_while_jobs_wait(finished: Path, cluster: Cluster, folder: Path) -> None:
    nodes = [cluster.run("sbatch", "--parsable", "--wrap", "sleep 600").strip() for _ in range(2)]
    before = train_jobs(cluster)
    make(folder, cluster, "submit")
    edit(folder / "experiment.yaml", "lr: 3.0e-3", "lr: 2.0e-3")
    said = make(folder, cluster, "validate", "submit").stderr
    assert "1 jobs wait for inputs that have changed, and are replaced" in said
    edit(folder / "experiment.yaml", "lr: 2.0e-3", "lr: 3.0e-3")
    make(folder, cluster, "validate")
    for node in nodes:
        cluster.run("scancel", node)
    (new,) = [job for job in train_jobs(cluster) if job not in before and cluster.states(job) != ["CANCELLED"]]
    cluster.wait_until(lambda: cluster.states(new) == ["FAILED"], timeout_s=60, what="the job of the other rate")
    assert "its inputs changed after it was submitted, so this job does nothing" in log(folder)
    complete(folder, cluster, finished)
    tell("experiment.yaml edited while jobs wait", "the learning rate changed before the job began, and back after a submit",
         "the waiting job was replaced; one that began for other inputs than the present ones refused to")


def test_squeue_that_times_out(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    before = train_jobs(cluster)
    text = f'echo "{TIMED_OUT}" >&2; exit 1'
    refused = make(folder, cluster, "submit", check=False, **stand_in(tmp_path, "squeue", text))
    assert refused.returncode != 0 and "Nothing was submitted" in refused.stderr and train_jobs(cluster) <= before
    every_other = 'n=$(cat "$MEMORY" 2>/dev/null || echo 0); echo $((n + 1)) >"$MEMORY"; [ $((n % 2)) = 1 ]'
    flaky = f'if {every_other}; then {text}; fi\nexec "$REAL" "$@"'
    make(folder, cluster, "submit", "eval")
    (tmp_path / "stand-ins/squeue").unlink()
    make(folder, cluster, "wait", **stand_in(tmp_path, "squeue", flaky))
    assert int((tmp_path / "stand-ins/squeue.memory").read_text()) > 2, "it was asked again after it had not answered"
    complete(folder, cluster, finished)
    tell("squeue that times out", "a stand-in that answers every other call with `Socket timed out`",
         "submit refuses, because it cannot know what is in the queue; wait asks again")
