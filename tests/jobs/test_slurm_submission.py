"""Batches and sbatch: what is sent, and what comes of every answer of sbatch's."""

import contextlib
import re
import subprocess

import pytest
from ftexp.ground.errors import UserError
from ftexp.jobs.site import Site
from ftexp.jobs.slurm import claims
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.slurm.queue import SlurmQueue
from ftexp.jobs.slurm.submission import Task, command_of, make_batches, send
from helpers.stand_in_slurm import AT_LIMIT, TIMED_OUT, Cluster, batch_of, write_script


def test_tasks_of_one_shape_share_an_array_up_to_its_size(cluster: Cluster) -> None:
    runs = [f"q{number}" for number in range(7)]
    for number, run in enumerate(runs):
        write_script(run, "#SBATCH --time=9" if number == 3 else "#SBATCH --time=5", f"#SBATCH --job-name={run}")
    batches = make_batches([Task(run, f"h-{run}") for run in runs], "train", 4)
    assert [{number: task.run for number, task in batch.tasks.items()} for batch in batches] == [
        {0: "q0", 1: "q1", 2: "q2", 3: "q4"}, {0: "q5", 1: "q6"}, {0: "q3"},
    ]
    assert [batch.directives for batch in batches] == [("#SBATCH --time=5",)] * 2 + [("#SBATCH --time=9",)]
    assert {batch.after for batch in batches} == {None}


def test_an_evaluation_has_the_number_of_the_training_that_it_waits_for(cluster: Cluster) -> None:
    for run in ("a", "b", "c", "d", "e"):
        write_script(run, stage="eval")
    after = {"a": "12_7", "b": "13_0", "c": None, "d": "12_2", "e": "14"}
    batches = make_batches([Task(run, "h", job) for run, job in after.items()], "eval", 10)
    tasks = {batch.after: {number: task.run for number, task in batch.tasks.items()} for batch in batches}
    assert tasks == {"12": {7: "a", 2: "d"}, "13": {0: "b"}, None: {0: "c"}, "14": {0: "e"}}
    words = {batch.after: command_of(batch, Site(), "mine", None) for batch in batches}
    dependencies = {after: [w for w in word if w.startswith(("--dependency", "--kill"))] for after, word in words.items()}
    kill = "--kill-on-invalid-dep=yes"
    assert dependencies == {
        "12": ["--dependency=aftercorr:12", kill], "13": ["--dependency=aftercorr:13", kill], None: [],
        "14": ["--dependency=afterok:14", kill],
    }
    assert "--array=2,7" in words["12"]


@pytest.mark.parametrize(("jobs", "of_site", "throttle"), [(None, None, ""), (2, None, "%2"), (None, 3, "%3"), (2, 3, "%2")])
def test_as_many_tasks_run_at_a_time_as_were_asked_for(jobs: int | None, of_site: int | None, throttle: str) -> None:
    words = command_of(batch_of("a", "b", "c"), Site(jobs=of_site), "mine", jobs)
    assert f"--array=0-2{throttle}" in words


def test_halves_hold_every_task_once_under_its_number() -> None:
    batch = batch_of(*"abcde", first=3)
    first, second = batch.halves()
    assert {**first.tasks, **second.tasks} == batch.tasks and (len(first.tasks), len(second.tasks)) == (2, 3)


def test_a_submission_is_claimed_listed_sent_and_recorded(cluster: Cluster) -> None:
    for run in ("a", "b"):
        write_script(run)
    cluster.plan("sbatch", "named")
    assert send(batch_of("a", "b", first=4), Site(), "mine", None) == "100"
    claim = claims.read_claim("b", "train")
    assert claim is not None and (claim.task, claim.input_hash, claims.job_id_of(claim.submission)) == (5, "hash", "100")
    ((*_, script),) = cluster.calls("sbatch")
    assert script == f".scratch/submissions/{claim.submission}.sh"
    assert claims.submission_path(claim.submission, "list").read_text() == "4\ta\thash\n5\tb\thash\n"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert {job.id: job.comment.rsplit(":", 1)[0] for job in SlurmQueue().own_jobs()} == {
        f"100_{task}": f"ftexp:mine:@{claim.submission}:train" for task in (4, 5)
    }


PASSING = [
    TIMED_OUT,
    "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
    "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying.",
    "sbatch: error: Batch job submission failed: Resource temporarily unavailable",
]


@pytest.mark.parametrize("said", PASSING)
@pytest.mark.parametrize("runs", ["a", "ab"])
def test_what_passes_is_tried_again(cluster: Cluster, said: str, runs: str) -> None:
    for run in runs:
        write_script(run)
    cluster.plan("sbatch", f"fail {said}")
    assert send(batch_of(*runs, first=3), Site(), "mine", None) == "100"
    assert len(cluster.calls("sbatch")) == 2 and len(cluster.queue()) == len(runs)


@pytest.mark.parametrize("how", ["timeout-taken", "hang-taken"])
@pytest.mark.parametrize("runs", ["a", "ab"])
def test_a_job_that_slurm_took_without_saying_so_is_not_submitted_twice(
    cluster: Cluster, how: str, runs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "hang-taken":
        monkeypatch.setattr(slurm, "TIMEOUT_S", 0.5)
    for run in runs:
        write_script(run)
    cluster.plan("sbatch", how)
    assert send(batch_of(*runs, first=3), Site(), "mine", None) == "100"
    assert len(cluster.calls("sbatch")) == 1
    claim = claims.read_claim(runs[-1], "train")
    assert claim is not None and SlurmQueue().job_id(claim) == f"100_{2 + len(runs)}"


def test_while_it_is_not_known_whether_slurm_took_a_job_it_is_not_submitted_again(cluster: Cluster) -> None:
    write_script("a")
    cluster.plan("sbatch", "timeout-taken")
    cluster.plan("squeue", "fail slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    with contextlib.suppress(slurm.NotReached):
        send(batch_of("a"), Site(), "mine", None)
    assert [row.split("|")[0] for row in cluster.queue()] == ["100_0"]
    claim = claims.read_claim("a", "train")
    assert claim is not None and SlurmQueue(holds_lock=True).job_id(claim) == "100_0"


def test_a_slurm_that_stays_away_leaves_claims_from_which_the_next_call_goes_on(cluster: Cluster) -> None:
    write_script("a")
    cluster.plan("sbatch", *[f"fail {TIMED_OUT}"] * slurm.SUBMIT_TRIES)
    with pytest.raises(slurm.NotReached, match="(?s)Socket timed out.*Nothing is lost: when Slurm answers again"):
        send(batch_of("a"), Site(), "mine", None)
    assert len(cluster.calls("sbatch")) == slurm.SUBMIT_TRIES
    assert claims.read_claim("a", "train") is not None
    assert SlurmQueue(holds_lock=True).active("a", "train") is None
    assert send(batch_of("a"), Site(), "mine", None) == "100"


REFUSALS = [
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
    "sbatch: error: invalid partition specified: gpuu",
    "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
]


@pytest.mark.parametrize("said", REFUSALS)
def test_a_job_that_slurm_refuses_is_given_back_with_slurms_words(cluster: Cluster, said: str) -> None:
    write_script("a")
    cluster.plan("sbatch", f"fail {said}")
    with pytest.raises(UserError, match=f"^sbatch: refused the job: {re.escape(said)}\nCorrect site.yaml"):
        send(batch_of("a"), Site(), "mine", None)
    assert claims.read_claim("a", "train") is None and len(cluster.calls("sbatch")) == 1


LIMITS = [
    AT_LIMIT.replace("\n", "\\n"),
    "sbatch: error: AssocMaxSubmitJobLimit\\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy",
    "sbatch: error: Job submit limit per user reached",
]


@pytest.mark.parametrize("said", LIMITS)
def test_a_limit_of_slurms_is_known_and_the_claims_are_given_back(cluster: Cluster, said: str) -> None:
    write_script("a")
    cluster.plan("sbatch", f"fail {said}")
    with pytest.raises(slurm.LimitReached):
        send(batch_of("a"), Site(), "mine", None)
    assert claims.read_claim("a", "train") is None
