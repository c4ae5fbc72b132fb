"""Submissions on real Slurm daemons that a limit, a lost answer, a rival or a kill interrupts."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers.experiments import edit, results
from helpers.slurm_cluster import Cluster
from helpers.slurm_experiments import (
    SITE,
    bake,
    held_jobs,
    log,
    make,
    stand_in,
    train_jobs,
)
from helpers.slurm_faults import MARKS, TIMED_OUT, complete, tell

pytestmark = MARKS


def test_the_submit_cap_in_the_middle_of_a_submission(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = bake(tmp_path, factors="{lora_rank: [2], seed: [1, 2, 3]}")
    edit(folder / "experiment.yaml", "epochs: 3", "epochs: 1")
    (folder / "site.yaml").write_text(SITE)
    with Cluster(tmp_path_factory.mktemp("c"), nodes=2, cpus_per_node=1, submit_cap=2) as cluster:
        make(folder, cluster, "split", "validate")
        with held_jobs(folder):
            said = make(folder, cluster, "submit").stderr
            assert "later, by the next call or `make wait`: Slurm says" in said and "Job violates accounting/QOS policy" in said
            assert len({job.id for job in cluster.jobs("PENDING,RUNNING")}) == 2
            assert "2 under way" in make(folder, cluster, "submit").stderr
        make(folder, cluster, "eval", "wait", "report")
        assert all(row["eval_status"] == "done" and row["score"] for row in results(folder).values())
        starts = [log(folder, run=f"r2_s{seed}").count("train of ") for seed in (1, 2, 3)]
        assert starts == [1, 1, 1], "none is trained twice"
        known = make_known_cap(folder, cluster)
    tell("the submit cap in the middle of a submission", "a cap of 2 jobs, an array of 3",
         f"Slurm refused the array; parts of it went in up to the cap, the rest under `make wait`. With submit_cap: 2: {known}")


def make_known_cap(folder: Path, cluster: Cluster) -> str:
    """With the cap in site.yaml nothing is refused: what has no room is left for later."""
    edit(folder / "site.yaml", "poll_s: 1", "poll_s: 1\nsubmit_cap: 2")
    edit(folder / "experiment.yaml", "lr: 3.0e-3", "lr: 2.0e-3")
    said = str(make(folder, cluster, "validate", "submit").stderr)
    match = re.search(r"1 later \(submit_cap is 2\)", said)
    assert match and "Slurm says" not in said
    make(folder, cluster, "cancel")
    return match[0]


def test_an_sbatch_that_fails_once(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    words = "Batch job submission failed: Unable to contact slurm controller (connect failure)"
    text = f'if [ ! -e "$MEMORY" ]; then touch "$MEMORY"; echo "sbatch: error: {words}" >&2; exit 1; fi\nexec "$REAL" "$@"'
    before = train_jobs(cluster)
    make(folder, cluster, "submit", **stand_in(tmp_path, "sbatch", text))
    assert len(train_jobs(cluster) - before) == 1
    complete(folder, cluster, finished)
    tell("an sbatch that fails once", "a stand-in that says `Unable to contact slurm controller`", "it was tried again; one job")


def test_an_sbatch_whose_answer_is_lost(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    lose = f'touch "$MEMORY"; "$REAL" "$@" >/dev/null; echo "sbatch: error: {TIMED_OUT}" >&2; exit 1'
    text = f'if [ ! -e "$MEMORY" ]; then {lose}; fi\nexec "$REAL" "$@"'
    before = train_jobs(cluster)
    make(folder, cluster, "submit", **stand_in(tmp_path, "sbatch", text))
    assert len(train_jobs(cluster) - before) == 1, "Slurm had taken the job"
    complete(folder, cluster, finished)
    tell("an sbatch whose answer is lost", "a stand-in that submits, then says `Socket timed out`",
         "the job was found by its comment; one job")


def test_an_sbatch_that_prints_a_banner(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    text = 'echo "--- Welcome ---"; echo "--> Verifying access to desired queue...OK"; "$REAL" "$@"; code=$?; echo; exit $code'
    before = train_jobs(cluster)
    with held_jobs(folder):
        make(folder, cluster, "submit", **stand_in(tmp_path, "sbatch", text))
        assert "1 under way" in make(folder, cluster, "submit").stderr and len(train_jobs(cluster) - before) == 1
    complete(folder, cluster, finished)
    tell("an sbatch that prints a banner", "a stand-in that greets before the id, and leaves a line blank after it",
         "the line that is a number was taken for the id; one job")


def test_two_submits_at_once(finished: Path, cluster: Cluster, folder: Path) -> None:
    before = train_jobs(cluster)
    command = [".venv/bin/python", "scripts/submit.py"]
    with held_jobs(folder):
        make(folder, cluster, "stamp")
        options: Any = {"cwd": folder, "env": cluster.environment, "stderr": subprocess.PIPE, "text": True}
        both = [subprocess.Popen(command, **options) for _ in range(2)]
        said = sorted(process.communicate()[1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert len(train_jobs(cluster) - before) == 1
    assert "skipped" in said[0] and "job " in said[1]
    complete(folder, cluster, finished)
    tell("two `make submit` at once", "two processes started together",
         "one submitted; the other waited for it, skipped the run and ended with exit status 0")


def test_kill_between_sbatch_and_its_record(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    text = 'answer=$("$REAL" "$@"); kill -9 "$PPID"; echo "$answer"'
    before = train_jobs(cluster)
    with held_jobs(folder):
        died = make(folder, cluster, "submit", check=False, **stand_in(tmp_path, "sbatch", text))
        assert died.returncode != 0 and not list((folder / ".scratch/submissions").glob("*.json"))
        again = make(folder, cluster, "submit").stderr
    assert "1 under way" in again and len(train_jobs(cluster) - before) == 1
    assert list((folder / ".scratch/submissions").glob("*.json")), "what Slurm had answered was found and recorded"
    complete(folder, cluster, finished)
    tell("kill -9 between sbatch and its record", "a stand-in that submits, then kills its caller",
         "the next submit found the job by its comment and skipped the run")


def test_kill_between_the_claim_and_sbatch(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    before = train_jobs(cluster)
    make(folder, cluster, "submit", check=False, **stand_in(tmp_path, "sbatch", 'kill -9 "$PPID"'))
    assert list((folder / ".scratch/claims").iterdir()) and train_jobs(cluster) <= before
    complete(folder, cluster, finished)
    assert len(train_jobs(cluster) - before) == 1
    tell("kill -9 between claim and sbatch", "a stand-in that kills its caller", "Slurm knew no such job; the claim was given up")
