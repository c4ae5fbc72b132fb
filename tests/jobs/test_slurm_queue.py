"""What Slurm's queue says, and what became of a job, whatever squeue, sacct and the job's own record say, or do not say."""

import os
from pathlib import Path

import pytest
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.jobs.site import Site, read_site
from ftexp.jobs.slurm import claims
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.slurm.backend import submit_stage
from ftexp.jobs.slurm.commands import Job
from ftexp.jobs.slurm.queue import SlurmQueue, queue_of
from ftexp.state import status_words
from helpers.stand_in_slurm import Cluster, queue_row, take_claim, write_record
from helpers.stand_in_stages import SURE

PARSED = [
    ("12|RUNNING|None|1:02:03|/home/a|", Job("12", "RUNNING", "", "1:02:03", "/home/a")),
    ("12_3|PENDING|Priority|0:00|/a b|ftexp:e:r:t:h", Job("12_3", "PENDING", "Priority", "0:00", "/a b", "ftexp:e:r:t:h")),
    ("12|PENDING|Nodes DOWN, DRAINED|0:00|/x|(null)", Job("12", "PENDING", "Nodes DOWN, DRAINED", "0:00", "/x", "(null)")),
    ("7_0|COMPLETED|None|1-02:03:04|/a|b/c | d|a comment", Job("7_0", "COMPLETED", "", "1-02:03:04", "/a|b/c | d", "a comment")),
    ("7|TIMEOUT|TimeLimit|4:00:00|/a||", Job("7", "TIMEOUT", "TimeLimit", "4:00:00", "/a|")),
    ("7|RUNNING|None|0:01| /begins with a blank|x", Job("7", "RUNNING", "", "0:01", " /begins with a blank", "x")),
]  # fmt: skip


@pytest.mark.parametrize(("row", "job"), PARSED)
def test_a_line_of_squeues_is_read_whatever_the_folder_is_called(cluster: Cluster, row: str, job: Job) -> None:
    cluster.show(row)
    assert slurm.query_jobs() == {job.id: job}


def test_every_job_of_this_user_is_asked_for_in_one_call(cluster: Cluster) -> None:
    running = [queue_row(f"5_{task}", "RUNNING") for task in range(3)]
    cluster.show(*running, queue_row("6", "COMPLETED"), "slurm_load_jobs: a warning")
    queue = SlurmQueue()
    assert (sorted(queue.jobs), queue.active_count, queue.silence) == (["5_0", "5_1", "5_2", "6"], 3, "")
    ((user, states, array, *_),) = cluster.calls("squeue")
    assert (user, states, array) == (f"--user={os.getuid()}", "--states=all", "--array")


def test_a_comment_of_anothers_that_is_not_utf_8_hides_no_job(cluster: Cluster) -> None:
    rows = [queue_row("5", "RUNNING", "grün"), queue_row("6", "RUNNING")]
    (cluster.folder / "queue").write_bytes("\n".join(rows).encode("latin-1") + b"\n")
    assert set(SlurmQueue().jobs) == {"5", "6"}


def test_only_jobs_of_this_folder_are_ours(cluster: Cluster) -> None:
    here = Path.cwd()
    mine = "ftexp:mine:r1:train:hash"
    cluster.show(
        queue_row("1", "PENDING", mine), queue_row("2_4", "RUNNING", "ftexp:mine:@s:eval:hash"),
        queue_row("3", "RUNNING", mine, folder=here / "runs"), queue_row("4", "RUNNING", mine, folder=here.parent),
        queue_row("5", "COMPLETED", mine), queue_row("6", "RUNNING", "(null)"),
        queue_row("7", "RUNNING", "ftexp:a comment of somebody's"), queue_row("8", "RUNNING", f"not {mine}"),
    )  # fmt: skip
    assert [job.id for job in SlurmQueue().own_jobs()] == ["1", "2_4"]


ACTIVE = [
    ("PENDING", None, "submitted", "Priority"),
    ("PENDING", "stopped", "submitted", "its own words; Priority"),
    ("PENDING", "running", "submitted", "Priority"),  # requeued, its node having failed
    ("PENDING", "failed", "submitted", "Priority"),
    ("REQUEUED", "stopped", "submitted", "its own words; Priority"),
    ("REQUEUE_HOLD", None, "submitted", "Priority"),
    ("SPECIAL_EXIT", None, "submitted", "Priority"),
    ("RUNNING", None, "running", ""),
    ("RUNNING", "running", "running", ""),
    ("RUNNING", "stopped", "running", ""),
    ("COMPLETING", "running", "running", ""),
    ("CONFIGURING", None, "running", "CONFIGURING"),
    ("SUSPENDED", "running", "running", "SUSPENDED"),
]


@pytest.mark.parametrize(("word", "record", "status", "reason"), ACTIVE)
def test_a_job_that_slurm_has_is_under_way(cluster: Cluster, word: str, record: str | None, status: str, reason: str) -> None:
    take_claim()
    if record:
        write_record(record)
    cluster.show(queue_row("12_0", word, reason="Priority"))
    found = SlurmQueue().active("r1", "train")
    assert found is not None
    assert (found.status, found.reason, found.job) == (status, reason, "12_0")
    assert found.elapsed == ("1:02" if status == "running" else "")


@pytest.mark.parametrize("record", ["done", "failed"])
@pytest.mark.parametrize("word", ["RUNNING", "COMPLETING"])
def test_a_job_that_says_that_it_ended_has_ended_before_slurm_knows(cluster: Cluster, record: str, word: str) -> None:
    take_claim()
    write_record(record)
    cluster.show(queue_row("12_0", word))
    assert SlurmQueue().active("r1", "train") is None


def test_a_job_that_a_person_submitted_by_sbatch_is_under_way_too(cluster: Cluster) -> None:
    write_record("running", job="44", submission="")
    cluster.show(queue_row("44", "RUNNING"))
    found = SlurmQueue().active("r1", "train")
    assert found is not None and (found.status, found.job) == ("running", "44")


def test_the_job_of_another_task_or_stage_is_not_this_ones(cluster: Cluster) -> None:
    take_claim(task=3)
    cluster.show(queue_row("12_2", "RUNNING"), queue_row("12_33", "RUNNING"), queue_row("12", "RUNNING"))
    assert SlurmQueue().active("r1", "train") is None
    cluster.show(queue_row("12_3", "RUNNING"))
    assert SlurmQueue().active("r1", "train") is not None
    assert SlurmQueue().active("r1", "eval") is None


FORGOTTEN = ""
# Slurm's word in the queue, what accounting says (None: it is disabled), the job's own record; status, and words of the reason.
ENDED = [
    ("TIMEOUT", None, "running", "failed", "it reached its walltime. Raise train.time_min in site.yaml"),
    ("TIMEOUT", None, "stopped", "failed", "it reached its walltime. Raise train.time_min in site.yaml"),
    ("TIMEOUT", None, None, "failed", "it reached its walltime. Raise train.time_min in site.yaml"),
    ("TIMEOUT", None, "failed", "failed", "its own words"),
    ("OUT_OF_MEMORY", None, "running", "failed", "out of memory: it needed more than train.mem_gb in site.yaml gives. Raise it"),
    ("OUT_OF_MEMORY", None, "failed", "failed", "its own words"),
    ("NODE_FAIL", None, "running", "failed", "its node failed"),
    ("BOOT_FAIL", None, None, "failed", "its node failed to start"),
    ("DEADLINE", None, None, "failed", "it missed its deadline"),
    ("CANCELLED", None, None, "ready", "was cancelled"),
    ("CANCELLED", None, "running", "ready", "was cancelled"),
    ("CANCELLED", None, "stopped", "ready", "was cancelled"),
    ("PREEMPTED", None, "stopped", "ready", "was preempted"),
    ("REVOKED", None, None, "ready", "was revoked"),
    ("FAILED", None, None, "failed", "its job ended before its work began: without a word (runs/r1/train.log)"),
    ("FAILED", None, "running", "failed", "its job failed without a word of its own; see runs/r1/train.log"),
    ("FAILED", None, "failed", "failed", "its own words"),
    ("FAILED", None, "stopped", "ready", "its own words"),
    ("COMPLETED", None, "done", "ready", "its files are gone or changed"),
    ("COMPLETED", None, None, "failed", "its job ended before its work began: without a word (runs/r1/train.log)"),
    (FORGOTTEN, None, None, "ready", "its job left the queue without having begun"),
    (FORGOTTEN, None, "running", "failed", "its job is gone without a word of how it ended (killed, or its node went down)"),
    (FORGOTTEN, None, "stopped", "ready", "its own words"),
    (FORGOTTEN, None, "failed", "failed", "its own words"),
    (FORGOTTEN, None, "done", "ready", "its files are gone or changed"),
    (FORGOTTEN, "12_0|TIMEOUT", "running", "failed", "it reached its walltime. Raise train.time_min in site.yaml"),
    (FORGOTTEN, "12_0|OUT_OF_MEMORY", "running", "failed", "out of memory"),
    (FORGOTTEN, "12_0|NODE_FAIL", "running", "failed", "its node failed"),
    (FORGOTTEN, "12_0|CANCELLED by 1000", None, "ready", "was cancelled"),
    (FORGOTTEN, "12_0|FAILED", None, "failed", "its job ended before its work began: without a word (runs/r1/train.log)"),
    (FORGOTTEN, "12_0|COMPLETED", None, "failed", "its job ended before its work began: without a word (runs/r1/train.log)"),
    (FORGOTTEN, "12_1|TIMEOUT", "running", "failed", "its job is gone without a word"),
    (FORGOTTEN, "", "running", "failed", "its job is gone without a word"),
]


@pytest.mark.parametrize(("word", "account", "record", "status", "reason"), ENDED)
def test_how_a_job_ended_is_told(
    cluster: Cluster, word: str, account: str | None, record: str | None, status: str, reason: str
) -> None:
    take_claim()
    if record:
        write_record(record)
    if account is not None:
        cluster.account(account)
    cluster.show(*([queue_row("12_0", word)] if word else []), queue_row("13_0", "RUNNING"))
    queue = SlurmQueue()
    assert queue.active("r1", "train") is None
    found = queue.outcome("r1", "train", "hash")
    assert found is not None and (found.status, found.job) == (status, "12_0")
    assert found.reason.startswith(reason)
    assert queue.outcome("r1", "train", "of other inputs") is None


def test_without_a_claim_or_a_job_there_is_no_outcome(cluster: Cluster) -> None:
    assert SlurmQueue().outcome("r1", "train", "hash") is None
    take_claim(job=None)
    assert SlurmQueue().outcome("r1", "train", "hash") is None


def test_what_a_former_job_wrote_is_not_how_this_one_ended(cluster: Cluster) -> None:
    take_claim()
    write_record("failed", job="9_0", submission="former")
    found = SlurmQueue().outcome("r1", "train", "hash")
    assert found is not None and (found.status, found.reason) == ("ready", "its job left the queue without having begun")


def test_accounting_is_asked_once_and_only_of_jobs_that_left_no_word(cluster: Cluster) -> None:
    for number in range(5):
        Path(f"runs/q{number}").mkdir()
        take_claim(f"q{number}", task=number)
    claims.take("r1", "train", submission="t", task=0, input_hash="hash")
    claims.record_job("t", job_id="13")
    write_record("failed", job="13_0", submission="t")
    cluster.show(queue_row("12_0", "TIMEOUT"))
    cluster.account("12_1|NODE_FAIL")
    queue = SlurmQueue()
    found = [queue.outcome(f"q{number}", "train", "hash") for number in range(5)]
    assert [state.reason for state in found if state][:2] == [
        "it reached its walltime. Raise train.time_min in site.yaml", "its node failed",
    ]
    ((*_, jobs),) = cluster.calls("sacct")
    assert jobs == "--jobs=12_1,12_2,12_3,12_4"


LAST_KNOWN = [(None, "submitted"), ("running", "running"), ("stopped", "submitted"), ("done", None), ("failed", None)]


@pytest.mark.parametrize(("record", "status"), LAST_KNOWN)
def test_while_slurm_does_not_answer_a_job_is_as_last_known(cluster: Cluster, record: str | None, status: str | None) -> None:
    take_claim()
    if record:
        write_record(record)
    cluster.plan("squeue", "fail slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    queue = SlurmQueue()
    found = queue.active("r1", "train")
    silence = "squeue: slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    assert queue.silence == silence and queue.active("q9", "train") is None
    assert len(cluster.calls("squeue")) == 1
    if status is None:
        assert found is None
    else:
        assert found is not None and (found.status, found.reason) == (status, f"as last known; {silence}")


def test_a_slurm_that_hangs_is_silent(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "TIMEOUT_S", 0.2)
    cluster.plan("squeue", "hang")
    take_claim(job=None)  # killed between sbatch and its record
    queue = SlurmQueue(holds_lock=True)
    found = queue.active("r1", "train")
    assert queue.silence.startswith("squeue gave no answer in ")
    assert found is not None and found.status == "submitted"


def test_without_slurm_there_is_one_message(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="^site.yaml: backend: is slurm, but there is no `squeue` here. Run this on"):
        _ = SlurmQueue().jobs


@pytest.mark.parametrize("word", ["RUNNING", "TIMEOUT"])
def test_a_job_of_the_same_id_that_was_submitted_elsewhere_is_not_ours(
    cluster: Cluster, experiment: Path, word: str, tmp_path: Path
) -> None:
    """Ids begin anew on another cluster, and claims are copied with the folder."""
    take_claim()
    cluster.show(queue_row("12_0", word, folder=tmp_path))
    queue = SlurmQueue()
    assert queue.active("r1", "train") is None
    outcome = queue.outcome("r1", "train", "hash")
    assert outcome is None or outcome.status == "ready"


def test_the_last_line_of_the_log_says_why_a_job_never_began(cluster: Cluster, experiment: Path) -> None:
    take_claim()
    paths.RunPaths("r1").dir.mkdir(parents=True)
    paths.RunPaths("r1").log("train").write_text("first\nline 18: module: command not found\n\n")
    cluster.show(queue_row("12_0", "FAILED"))
    outcome = SlurmQueue().outcome("r1", "train", "hash")
    said = "its job ended before its work began: line 18: module: command not found (runs/r1/train.log)"
    assert outcome and outcome.reason == said


def test_a_local_site_still_sees_what_was_given_to_slurm(mine: Cluster) -> None:
    """Else a switch of backend would do twice what waits in the queue."""
    assert submit_stage("train", read_site(paths.SITE_YAML), SURE) == 0
    queue = queue_of(Site())
    name = next(run.id for run in planned_runs() if run.kind == "trained")
    assert queue is not None and queue.active(name, "train") == status_words.State("submitted", "Priority", "100_0")


def test_a_local_site_asks_no_slurm_that_is_not_there_or_has_nothing_of_ours(
    mine: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert queue_of(Site()) is None, "nothing was given to it"
    assert submit_stage("train", read_site(paths.SITE_YAML), SURE) == 0
    monkeypatch.setenv("PATH", "/nowhere")
    assert queue_of(Site()) is None
