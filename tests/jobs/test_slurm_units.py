"""Slurm without Slurm: small programs stand for its commands, so that every answer of theirs, and every silence, can be had."""

import contextlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cancel as cancel_stage
import pytest
import split as split_stage
import stamp as stamp_stage
from conftest import REPOSITORY
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import write_json
from ftexp.ground.options import Options, confirm, read_options
from ftexp.ground.own_job import own_job
from ftexp.jobs import diagnosis
from ftexp.jobs.site import Site, read_site
from ftexp.jobs.slurm import backend as slurm_backend
from ftexp.jobs.slurm import claims, deferred
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.slurm.backend import submit_stage
from ftexp.jobs.slurm.commands import Job
from ftexp.jobs.slurm.queue import SlurmQueue, queue_of
from ftexp.jobs.slurm.submission import Batch, Task, command_of, make_batches, send
from ftexp.jobs.slurm.wait import Feeder
from ftexp.jobs.work_list import WorkList, announce
from ftexp.state import status_words
from ftexp.state import work as state
from ftexp.state.code_version import code_versions
from ftexp.state.work import Work
from helpers.runs import a_run

SURE = Options(is_sure=True)
TIMED_OUT = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
AT_LIMIT = (
    "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy "
    "(job submit limit, user's size and/or time limits)"
)

# What a program does next is the first line of PLAN, which it takes out; without one it answers.
_HEAD = """\
#!/bin/sh
{ printf '%s' NAME; printf '\\037%s' "$@"; echo; } >>"FOLDER/calls"
word=; [ -s "FOLDER/NAME.plan" ] && { word=$(head -n 1 "FOLDER/NAME.plan"); sed -i 1d "FOLDER/NAME.plan"; }
case $word in
  hang) exec sleep 30 ;;
  empty) exit 0 ;;
  fail*) echo "${word#fail }" >&2; exit 1 ;;
esac
"""
_PROGRAMS = {
    "squeue": 'cat "FOLDER/queue"\n',
    "sacct": '[ -e "FOLDER/sacct" ] || { echo "Slurm accounting storage is disabled" >&2; exit 1; }\ncat "FOLDER/sacct"\n',
    "scancel": "exit 0\n",
    "scontrol": "exit 0\n",
}
# Takes at most so many tasks in all as LIMIT says; a word of the plan ending in "-taken" fails after the job was taken.
_SBATCH = """\
#!PYTHON -IS
import os, pathlib, re, sys, time
folder = pathlib.Path("FOLDER")
with (folder / "calls").open("a") as file:
    file.write("\\37".join(["sbatch", *sys.argv[1:]]) + "\\n")
plan = (folder / "sbatch.plan").read_text().splitlines() if (folder / "sbatch.plan").exists() else []
word = plan.pop(0) if plan else "ok"
(folder / "sbatch.plan").write_text("".join(line + "\\n" for line in plan))
said = dict(word.split("=", 1) for word in sys.argv[1:] if word.startswith("--") and "=" in word)
tasks = []
for part in said["--array"].split("%")[0].split(","):
    first, _, last = part.partition("-")
    tasks += range(int(first), int(last or first) + 1)
if word.startswith("fail "):
    sys.exit(word[5:].replace("\\\\n", "\\n"))
queue = (folder / "queue").read_text().splitlines()
if len(queue) + len(tasks) > int((folder / "limit").read_text()):
    sys.exit(AT_LIMIT)
number = int((folder / "next").read_text())
(folder / "next").write_text(str(number + 1))
rows = [f"{number}_{task}|PENDING|Priority|0:00|{os.getcwd()}|{said['--comment']}" for task in tasks]
(folder / "queue").write_text("".join(line + "\\n" for line in [*queue, *rows]))
if word == "hang-taken":
    time.sleep(30)
if word == "timeout-taken":
    sys.exit(TIMED_OUT)
print(f"{number};cluster" if word == "named" else number)
"""


@dataclass
class Cluster:
    """The programs of a cluster, and what they are to answer."""

    folder: Path

    def show(self, *rows: str) -> None:
        """What squeue prints."""
        (self.folder / "queue").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")

    def queue(self) -> list[str]:
        return (self.folder / "queue").read_text(encoding="utf-8").splitlines()

    def account(self, *rows: str) -> None:
        """What sacct prints; until then accounting is disabled."""
        (self.folder / "sacct").write_text("".join(f"{row}\n" for row in rows))

    def plan(self, program: str, *words: str) -> None:
        """What the next calls of a program do, instead of what it always does."""
        (self.folder / f"{program}.plan").write_text("".join(f"{word}\n" for word in words))

    def limit(self, tasks: int) -> None:
        (self.folder / "limit").write_text(str(tasks))

    def calls(self, program: str) -> list[list[str]]:
        """The arguments of every call so far."""
        path = self.folder / "calls"
        words = [line.split("\37") for line in path.read_text().splitlines()] if path.is_file() else []
        return [arguments for name, *arguments in words if name == program]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster with an empty queue; the working folder is an experiment's root."""
    folder, programs = tmp_path / "cluster", tmp_path / "programs"
    folder.mkdir()
    programs.mkdir()
    texts = {name: (_HEAD + text).replace("NAME", name) for name, text in _PROGRAMS.items()}
    constants = {"AT_LIMIT": repr(AT_LIMIT), "TIMED_OUT": repr(TIMED_OUT), "PYTHON": os.path.realpath(sys.executable)}
    texts["sbatch"] = _SBATCH
    for name, value in constants.items():
        texts["sbatch"] = texts["sbatch"].replace(name, value)
    for name, text in texts.items():
        (programs / name).write_text(text.replace("FOLDER", str(folder)), encoding="utf-8")
        (programs / name).chmod(0o755)
    for name in [name for name in os.environ if name.startswith(("SLURM_", "FTEXP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "wait_before_retry", lambda attempt: None)
    made = Cluster(folder)
    made.show()
    made.limit(10**6)
    (folder / "next").write_text("100")
    root = tmp_path / "it's an | experiment"
    (root / "runs/r1").mkdir(parents=True)
    monkeypatch.chdir(root)
    return made


def _row(job: str, state: str, comment: str = "", *, reason: str = "None", folder: Path | None = None) -> str:
    return f"{job}|{state}|{reason}|1:02|{folder or Path.cwd()}|{comment}"


def _claim(run: str = "r1", stage: str = "train", *, task: int = 0, job: str | None = "12", submission: str = "s") -> None:
    assert claims.take(run, stage, submission=submission, task=task, input_hash="hash")
    if job:
        claims.record_job(submission, job_id=job)


def _record(word: str, *, job: str = "12_0", stage: str = "train", reason: str = "its own words", submission: str = "s") -> None:
    facts = {"input_hash": "x", "job_id": job, "submission": submission, "started": 1.0, "restarts": 0}
    write_json(paths.RunPaths("r1").job(stage), {**facts, "state": word, "reason": "" if word == "running" else reason})


# Parsing


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
    cluster.show(*(_row(f"5_{task}", "RUNNING") for task in range(3)), _row("6", "COMPLETED"), "slurm_load_jobs: a warning")
    queue = SlurmQueue()
    assert (sorted(queue.jobs), queue.active_count, queue.silence) == (["5_0", "5_1", "5_2", "6"], 3, "")
    ((user, states, array, *_),) = cluster.calls("squeue")
    assert (user, states, array) == (f"--user={os.getuid()}", "--states=all", "--array")


def test_a_comment_of_anothers_that_is_not_utf_8_hides_no_job(cluster: Cluster) -> None:
    rows = [_row("5", "RUNNING", "grün"), _row("6", "RUNNING")]
    (cluster.folder / "queue").write_bytes("\n".join(rows).encode("latin-1") + b"\n")
    assert set(SlurmQueue().jobs) == {"5", "6"}


def test_only_jobs_of_this_folder_are_ours(cluster: Cluster) -> None:
    here = Path.cwd()
    mine = "ftexp:mine:r1:train:hash"
    cluster.show(
        _row("1", "PENDING", mine), _row("2_4", "RUNNING", "ftexp:mine:@s:eval:hash"),
        _row("3", "RUNNING", mine, folder=here / "runs"), _row("4", "RUNNING", mine, folder=here.parent),
        _row("5", "COMPLETED", mine), _row("6", "RUNNING", "(null)"),
        _row("7", "RUNNING", "ftexp:a comment of somebody's"), _row("8", "RUNNING", f"not {mine}"),
    )  # fmt: skip
    assert [job.id for job in SlurmQueue().own_jobs()] == ["1", "2_4"]


# What became of a job

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
    _claim()
    if record:
        _record(record)
    cluster.show(_row("12_0", word, reason="Priority"))
    found = SlurmQueue().active("r1", "train")
    assert found is not None
    assert (found.status, found.reason, found.job) == (status, reason, "12_0")
    assert found.elapsed == ("1:02" if status == "running" else "")


@pytest.mark.parametrize("record", ["done", "failed"])
@pytest.mark.parametrize("word", ["RUNNING", "COMPLETING"])
def test_a_job_that_says_that_it_ended_has_ended_before_slurm_knows(cluster: Cluster, record: str, word: str) -> None:
    _claim()
    _record(record)
    cluster.show(_row("12_0", word))
    assert SlurmQueue().active("r1", "train") is None


def test_a_job_that_a_person_submitted_by_sbatch_is_under_way_too(cluster: Cluster) -> None:
    _record("running", job="44", submission="")
    cluster.show(_row("44", "RUNNING"))
    found = SlurmQueue().active("r1", "train")
    assert found is not None and (found.status, found.job) == ("running", "44")


def test_the_job_of_another_task_or_stage_is_not_this_ones(cluster: Cluster) -> None:
    _claim(task=3)
    cluster.show(_row("12_2", "RUNNING"), _row("12_33", "RUNNING"), _row("12", "RUNNING"))
    assert SlurmQueue().active("r1", "train") is None
    cluster.show(_row("12_3", "RUNNING"))
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
    _claim()
    if record:
        _record(record)
    if account is not None:
        cluster.account(account)
    cluster.show(*([_row("12_0", word)] if word else []), _row("13_0", "RUNNING"))
    queue = SlurmQueue()
    assert queue.active("r1", "train") is None
    found = queue.outcome("r1", "train", "hash")
    assert found is not None and (found.status, found.job) == (status, "12_0")
    assert found.reason.startswith(reason)
    assert queue.outcome("r1", "train", "of other inputs") is None


def test_without_a_claim_or_a_job_there_is_no_outcome(cluster: Cluster) -> None:
    assert SlurmQueue().outcome("r1", "train", "hash") is None
    _claim(job=None)
    assert SlurmQueue().outcome("r1", "train", "hash") is None


def test_what_a_former_job_wrote_is_not_how_this_one_ended(cluster: Cluster) -> None:
    _claim()
    _record("failed", job="9_0", submission="former")
    found = SlurmQueue().outcome("r1", "train", "hash")
    assert found is not None and (found.status, found.reason) == ("ready", "its job left the queue without having begun")


def test_accounting_is_asked_once_and_only_of_jobs_that_left_no_word(cluster: Cluster) -> None:
    for number in range(5):
        Path(f"runs/q{number}").mkdir()
        _claim(f"q{number}", task=number)
    claims.take("r1", "train", submission="t", task=0, input_hash="hash")
    claims.record_job("t", job_id="13")
    _record("failed", job="13_0", submission="t")
    cluster.show(_row("12_0", "TIMEOUT"))
    cluster.account("12_1|NODE_FAIL")
    queue = SlurmQueue()
    found = [queue.outcome(f"q{number}", "train", "hash") for number in range(5)]
    assert [state.reason for state in found if state][:2] == [
        "it reached its walltime. Raise train.time_min in site.yaml", "its node failed",
    ]
    ((*_, jobs),) = cluster.calls("sacct")
    assert jobs == "--jobs=12_1,12_2,12_3,12_4"


# Silence

LAST_KNOWN = [(None, "submitted"), ("running", "running"), ("stopped", "submitted"), ("done", None), ("failed", None)]


@pytest.mark.parametrize(("record", "status"), LAST_KNOWN)
def test_while_slurm_does_not_answer_a_job_is_as_last_known(cluster: Cluster, record: str | None, status: str | None) -> None:
    _claim()
    if record:
        _record(record)
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
    _claim(job=None)  # killed between sbatch and its record
    queue = SlurmQueue(holds_lock=True)
    found = queue.active("r1", "train")
    assert queue.silence.startswith("squeue gave no answer in ")
    assert found is not None and found.status == "submitted"


def test_without_slurm_there_is_one_message(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="^site.yaml: backend: is slurm, but there is no `squeue` here. Run this on"):
        _ = SlurmQueue().jobs


# Claims


def _try_to_take(number: int) -> tuple[str, bool]:
    run = f"r{number // 8}"
    return run, claims.take(run, "train", submission=f"s{number}", task=number, input_hash="hash")


def test_of_many_processes_exactly_one_gets_a_claim(cluster: Cluster) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        results = pool.map(_try_to_take, range(320), chunksize=1)
    winners = Counter(run for run, is_mine in results if is_mine)
    assert winners == {f"r{number}": 1 for number in range(40)}
    for number, (run, is_mine) in enumerate(results):
        claim = claims.read_claim(run, "train")
        assert claim is not None and (claim.submission == f"s{number}") == is_mine
    assert len(list(paths.CLAIMS_DIR.iterdir())) == 40
    claims.release("r0", "train")
    assert _try_to_take(0)[1]


NOT_WHOLE = [b"", b"{", b"[]", b"null", b"3", b"{}", b'{"run": "r1"}', b"\0\0\0\0", b"\xff\xfe\0{"]


@pytest.mark.parametrize("content", NOT_WHOLE)
def test_a_claim_that_is_not_whole_is_none_and_is_replaced(cluster: Cluster, content: bytes) -> None:
    _make_script("r1")
    path = paths.RunPaths("r1").claim("train")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert claims.read_claim("r1", "train") is None
    assert SlurmQueue(holds_lock=True).active("r1", "train") is None
    assert send(_batch("r1"), Site(), "mine", None) == "100"
    claim = claims.read_claim("r1", "train")
    assert claim is not None and SlurmQueue().job_id(claim) == "100_0"


@pytest.mark.parametrize("content", [content for content in NOT_WHOLE if content != b"3"])
def test_a_record_that_is_not_whole_leaves_the_job_to_be_looked_for(cluster: Cluster, content: bytes) -> None:
    _claim(job=None)
    claims.submission_path("s", "json").parent.mkdir(parents=True)
    claims.submission_path("s", "json").write_bytes(content)
    cluster.show(_row("55_0", "PENDING", "ftexp:mine:@s:train:of the list"))
    claim = claims.read_claim("r1", "train")
    assert claim is not None and SlurmQueue(holds_lock=True).job_id(claim) == "55_0"


BEING_SUBMITTED = [
    # host, pid, age in seconds, whether we hold the lock; whether it may still become a job
    (None, os.getpid(), 0, False, True),
    (None, os.getpid(), 0, True, False),  # nobody else on this host is at it
    (None, 2**22 + 1, 0, False, False),
    ("another", 1, 5, False, True),
    ("another", 1, 5, True, True),
    ("another", 1, claims.UNANSWERED_S + 5, True, False),
]


# Named by number: a process id in a test's name would differ between the workers of xdist.
@pytest.mark.parametrize(("host", "pid", "age_s", "holds_lock", "is_under_way"), BEING_SUBMITTED, ids=map(str, range(6)))
def test_a_claim_without_a_job_counts_while_its_maker_may_yet_submit_it(
    cluster: Cluster, host: str | None, pid: int, age_s: float, holds_lock: bool, is_under_way: bool
) -> None:
    _claim(job=None)
    path = paths.RunPaths("r1").claim("train")
    claim = json.loads(path.read_text())
    path.write_text(json.dumps({**claim, "host": host or claim["host"], "pid": pid, "claimed": time.time() - age_s}))
    found = SlurmQueue(holds_lock=holds_lock).active("r1", "train")
    assert (found is not None and found.status == "submitted") == is_under_way


@pytest.mark.parametrize("comment", ["ftexp:mine:@s:train:of the list", "ftexp:mine:r1:train:hash"])
@pytest.mark.parametrize("holds_lock", [True, False])
def test_a_job_whose_id_was_not_recorded_is_known_by_its_comment(cluster: Cluster, comment: str, holds_lock: bool) -> None:
    _claim(job=None, task=3)
    cluster.show(_row("55_3", "PENDING", comment))
    found = SlurmQueue(holds_lock=holds_lock).active("r1", "train")
    assert found is not None and (found.status, found.job) == ("submitted", "55_3")
    assert claims.job_id_of("s") == ("55" if holds_lock else None)
    if holds_lock:  # and then outlives the queue
        cluster.show()
        ended = SlurmQueue().outcome("r1", "train", "hash")
        assert ended is not None and ended.job == "55_3"


STRANGERS = [
    "ftexp:mine:@other:train:of the list", "ftexp:mine:@s:eval:of the list", "ftexp:mine:r2:train:hash",
    "ftexp:mine:r1:eval:hash", "ftexp:mine:r1:train:other",
]  # fmt: skip


@pytest.mark.parametrize("comment", STRANGERS)
def test_a_job_of_another_run_stage_or_input_is_not_adopted(cluster: Cluster, comment: str) -> None:
    _claim(job=None)
    cluster.show(_row("55_0", "PENDING", comment), _row("56_0", "PENDING", "ftexp:mine:@s:train:h", folder=Path("/elsewhere")))
    assert SlurmQueue(holds_lock=True).active("r1", "train") is None
    assert claims.job_id_of("s") is None


def test_a_job_that_has_ended_is_adopted_by_the_record_that_it_left(cluster: Cluster) -> None:
    _claim(job=None)
    _record("failed", job="55_0")
    found = SlurmQueue(holds_lock=True).outcome("r1", "train", "hash")
    assert found is not None and (found.status, found.reason, found.job) == ("failed", "its own words", "55_0")


# Batches and sbatch


def _make_script(run: str, *directives: str, stage: str = "train") -> None:
    path = paths.RunPaths(run).script(stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/bash", *directives, "true", ""]))


def _batch(*runs: str, stage: str = "train", first: int = 0) -> Batch:
    return Batch(stage, (), {number: Task(run, "hash") for number, run in enumerate(runs, start=first)})


def test_tasks_of_one_shape_share_an_array_up_to_its_size(cluster: Cluster) -> None:
    runs = [f"q{number}" for number in range(7)]
    for number, run in enumerate(runs):
        _make_script(run, "#SBATCH --time=9" if number == 3 else "#SBATCH --time=5", f"#SBATCH --job-name={run}")
    batches = make_batches([Task(run, f"h-{run}") for run in runs], "train", 4)
    assert [{number: task.run for number, task in batch.tasks.items()} for batch in batches] == [
        {0: "q0", 1: "q1", 2: "q2", 3: "q4"}, {0: "q5", 1: "q6"}, {0: "q3"},
    ]
    assert [batch.directives for batch in batches] == [("#SBATCH --time=5",)] * 2 + [("#SBATCH --time=9",)]
    assert {batch.after for batch in batches} == {None}


def test_an_evaluation_has_the_number_of_the_training_that_it_waits_for(cluster: Cluster) -> None:
    for run in ("a", "b", "c", "d", "e"):
        _make_script(run, stage="eval")
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
    words = command_of(_batch("a", "b", "c"), Site(jobs=of_site), "mine", jobs)
    assert f"--array=0-2{throttle}" in words


def test_halves_hold_every_task_once_under_its_number() -> None:
    batch = _batch(*"abcde", first=3)
    first, second = batch.halves()
    assert {**first.tasks, **second.tasks} == batch.tasks and (len(first.tasks), len(second.tasks)) == (2, 3)


def test_a_submission_is_claimed_listed_sent_and_recorded(cluster: Cluster) -> None:
    for run in ("a", "b"):
        _make_script(run)
    cluster.plan("sbatch", "named")
    assert send(_batch("a", "b", first=4), Site(), "mine", None) == "100"
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
        _make_script(run)
    cluster.plan("sbatch", f"fail {said}")
    assert send(_batch(*runs, first=3), Site(), "mine", None) == "100"
    assert len(cluster.calls("sbatch")) == 2 and len(cluster.queue()) == len(runs)


@pytest.mark.parametrize("how", ["timeout-taken", "hang-taken"])
@pytest.mark.parametrize("runs", ["a", "ab"])
def test_a_job_that_slurm_took_without_saying_so_is_not_submitted_twice(
    cluster: Cluster, how: str, runs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "hang-taken":
        monkeypatch.setattr(slurm, "TIMEOUT_S", 0.5)
    for run in runs:
        _make_script(run)
    cluster.plan("sbatch", how)
    assert send(_batch(*runs, first=3), Site(), "mine", None) == "100"
    assert len(cluster.calls("sbatch")) == 1
    claim = claims.read_claim(runs[-1], "train")
    assert claim is not None and SlurmQueue().job_id(claim) == f"100_{2 + len(runs)}"


def test_while_it_is_not_known_whether_slurm_took_a_job_it_is_not_submitted_again(cluster: Cluster) -> None:
    _make_script("a")
    cluster.plan("sbatch", "timeout-taken")
    cluster.plan("squeue", "fail slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    with contextlib.suppress(slurm.NotReached):
        send(_batch("a"), Site(), "mine", None)
    assert [row.split("|")[0] for row in cluster.queue()] == ["100_0"]
    claim = claims.read_claim("a", "train")
    assert claim is not None and SlurmQueue(holds_lock=True).job_id(claim) == "100_0"


def test_a_slurm_that_stays_away_leaves_claims_from_which_the_next_call_goes_on(cluster: Cluster) -> None:
    _make_script("a")
    cluster.plan("sbatch", *[f"fail {TIMED_OUT}"] * slurm.SUBMIT_TRIES)
    with pytest.raises(slurm.NotReached, match="(?s)Socket timed out.*Nothing is lost: when Slurm answers again"):
        send(_batch("a"), Site(), "mine", None)
    assert len(cluster.calls("sbatch")) == slurm.SUBMIT_TRIES
    assert claims.read_claim("a", "train") is not None
    assert SlurmQueue(holds_lock=True).active("a", "train") is None
    assert send(_batch("a"), Site(), "mine", None) == "100"


REFUSALS = [
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
    "sbatch: error: invalid partition specified: gpuu",
    "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
]


@pytest.mark.parametrize("said", REFUSALS)
def test_a_job_that_slurm_refuses_is_given_back_with_slurms_words(cluster: Cluster, said: str) -> None:
    _make_script("a")
    cluster.plan("sbatch", f"fail {said}")
    with pytest.raises(UserError, match=f"^sbatch: refused the job: {re.escape(said)}\nCorrect site.yaml"):
        send(_batch("a"), Site(), "mine", None)
    assert claims.read_claim("a", "train") is None and len(cluster.calls("sbatch")) == 1


LIMITS = [
    AT_LIMIT.replace("\n", "\\n"),
    "sbatch: error: AssocMaxSubmitJobLimit\\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy",
    "sbatch: error: Job submit limit per user reached",
]


@pytest.mark.parametrize("said", LIMITS)
def test_a_limit_of_slurms_is_known_and_the_claims_are_given_back(cluster: Cluster, said: str) -> None:
    _make_script("a")
    cluster.plan("sbatch", f"fail {said}")
    with pytest.raises(slurm.LimitReached):
        send(_batch("a"), Site(), "mine", None)
    assert claims.read_claim("a", "train") is None


# Submitting a stage

RUNS = [f"lr{lr}" for lr in ("1e-5", "1e-4", "1e-3", "0.01", "0.1", "1")]
SITE = """\
backend: slurm
device: cpu
train: {time_min: 60, mem_gb: 4, cpus: 1, gpus: 1}
eval: {time_min: 30, mem_gb: 4, cpus: 1, gpus: 1}
poll_s: 1
"""


@pytest.fixture(scope="module", autouse=True)
def _hash_the_code_once() -> Iterator[None]:
    """Reading the code's syntax trees takes 0.2 s, and is not what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "code_versions", cache(code_versions))
        yield


def _validate(*names: str) -> None:
    """Write a green preflight of these runs, or of all."""
    work, entries = Work(), {}
    for run in planned_runs():
        digest = work.preflight_hash(run) if not names or run.id in names else "of former inputs"
        entries[run.id] = {"hash": digest, "errors": [], "warnings": []}
    write_json(paths.PREFLIGHT_JSON, {"runs": entries})


@pytest.fixture(scope="module")
def _validated_once(baked_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("validated") / "mine"
    shutil.copytree(baked_once, folder, symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        text = paths.EXPERIMENT_YAML.read_text(encoding="utf-8")
        factors = "factors: {lr: [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0]}\n"
        paths.EXPERIMENT_YAML.write_text(re.sub(r"(?s)factors:.*?(?=design:)", factors, text), encoding="utf-8")
        paths.SITE_YAML.write_text(SITE)
        assert stamp_stage.main([]) == 0 and split_stage.main([]) == 0
        _validate()
    return folder


@pytest.fixture
def mine(_validated_once: Path, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster, and an experiment of six runs and a control that is stamped, split and validated; the working folder."""
    shutil.copytree(_validated_once, tmp_path / "mine", symlinks=True)
    monkeypatch.chdir(tmp_path / "mine")
    assert [run.id for run in planned_runs()] == ["base", *RUNS]
    return cluster


def _submit(stage: str = "train", options: Options = SURE, **changes: Any) -> int:
    site = read_site(paths.SITE_YAML)
    return submit_stage(stage, Site(**{**vars(site), **changes}), options)


def _statuses(stage: str = "train") -> dict[str, str]:
    work = Work(SlurmQueue())
    return {run.id: work.state(run, stage).status for run in planned_runs() if stage == "eval" or run.kind == "trained"}


def _sent(cluster: Cluster) -> list[str]:
    """The --array of every call of sbatch."""
    return [word for call in cluster.calls("sbatch") for word in call if word.startswith("--array")]


def test_a_stage_is_submitted_as_one_array_once(mine: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert _submit() == 0
    assert _sent(mine) == ["--array=0-5"]
    assert "train: 6 jobs in 1 array, at most 6.0 GPU hours (walltime x GPUs x jobs)" in capsys.readouterr().err
    assert _statuses() == dict.fromkeys(RUNS, "submitted")
    assert _submit() == 0
    assert _sent(mine) == ["--array=0-5"] and deferred.read() == {"train": [], "eval": []}


def test_dry_shows_what_would_be_sent_and_does_nothing(mine: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert _submit(options=Options(is_dry=True, jobs=2)) == 0
    out = capsys.readouterr().out
    assert out.startswith("$ sbatch --parsable --array=0-5%2 ") and "\n== .scratch/submissions/DRY.sh\n#!/usr/bin/env bash" in out
    assert "\n".join(f"{number}\t{run}\t" for number, run in enumerate(RUNS[:1])) in out
    assert mine.calls("sbatch") == [] and not paths.CLAIMS_DIR.exists() and set(_statuses().values()) == {"ready"}


@pytest.mark.parametrize("how", ["fail slurm_load_jobs error: Unable to contact slurm controller", "hang"])
@pytest.mark.parametrize("stage", ["train", "eval"])
def test_nothing_is_submitted_while_slurm_does_not_answer(
    mine: Cluster, how: str, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "TIMEOUT_S", 0.2)
    mine.plan("squeue", how)
    with pytest.raises(slurm.NotReached, match="(?s)^squeue.*\nNothing was submitted, because what is in the queue"):
        _submit(stage)
    assert mine.calls("sbatch") == [] and not paths.CLAIMS_DIR.exists()


def test_evaluations_wait_for_their_own_trainings_and_the_control_for_none(mine: Cluster) -> None:
    assert _submit(options=Options(only="lr1e-*", is_sure=True)) == 0
    assert _submit("eval") == 0
    train, *evaluations = mine.calls("sbatch")
    words = {call[1]: [word for word in call if word.startswith("--dependency")] for call in evaluations}
    assert (train[1], words) == ("--array=0-2", {"--array=0": [], "--array=0-2": ["--dependency=aftercorr:100"]})
    assert _statuses("eval") == {
        run: "submitted" if run in ("base", *RUNS[:3]) else "waiting" for run in ("base", *RUNS)
    }
    assert _submit("eval") == 0 and len(mine.calls("sbatch")) == 3


def test_what_exceeds_slurms_limit_goes_in_by_halves_and_the_rest_later(
    mine: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.limit(4)
    assert _submit() == 0
    assert len(mine.queue()) == 4
    assert list(_statuses().values()) == ["submitted"] * 4 + ["ready"] * 2
    assert deferred.read() == {"train": RUNS[4:], "eval": []}
    assert "train: 2 later, by the next call or `make wait`: Slurm says: " in capsys.readouterr().err


def test_the_sites_cap_leaves_the_rest_for_later(mine: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    mine.show(_row("1", "RUNNING", folder=Path("/else")), _row("2", "COMPLETED", folder=Path("/else")))
    assert _submit(submit_cap=3) == 0
    assert _sent(mine) == ["--array=0-1"] and deferred.read()["train"] == RUNS[2:]
    assert "train: 4 later (submit_cap is 3), by the next call or `make wait`" in capsys.readouterr().err


def test_slurm_that_takes_not_even_one_job_is_an_error(mine: Cluster) -> None:
    mine.limit(0)
    with pytest.raises(UserError, match="(?s)QOSMaxSubmitJobPerUserLimit.*Slurm refuses even one job. Correct site.yaml"):
        _submit()
    assert not list(paths.CLAIMS_DIR.iterdir())


def test_arrays_are_no_longer_than_the_site_says(mine: Cluster) -> None:
    assert _submit(array_max=4) == 0
    assert _sent(mine) == ["--array=0-3", "--array=0-1"] and _statuses() == dict.fromkeys(RUNS, "submitted")


def test_what_was_left_for_later_is_submitted_as_soon_as_there_is_room_and_not_before(mine: Cluster) -> None:
    mine.limit(4)
    _submit()
    feeder, site, before = Feeder(), read_site(paths.SITE_YAML), len(_sent(mine))
    feeder.feed(site)
    after = len(_sent(mine))
    assert after > before and deferred.read()["train"] == RUNS[4:], "it tries once, not knowing of the limit"
    feeder.feed(site)
    assert len(_sent(mine)) == after, "as many jobs as before: no room"
    mine.show(*mine.queue()[:3])
    feeder.feed(site)
    assert len(mine.queue()) == 4 and deferred.read()["train"] == RUNS[5:]
    mine.show()
    feeder.feed(site)
    assert len(mine.queue()) == 1 and deferred.read()["train"] == []


@pytest.mark.parametrize("silent_calls", [1, 2, 3])
def test_a_silence_while_waiting_only_delays_what_was_left_for_later(mine: Cluster, silent_calls: int) -> None:
    mine.limit(4)
    _submit()
    mine.show()
    feeder, site = Feeder(), read_site(paths.SITE_YAML)
    silence = "fail slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    mine.plan("squeue", "answer", *[silence] * silent_calls)
    for _ in range(5):
        feeder.feed(site)
    assert deferred.read()["train"] == [] and len(mine.queue()) == 2


def test_a_job_that_ends_while_what_was_left_for_later_is_looked_at_does_not_keep_it_back(mine: Cluster) -> None:
    _submit()
    mine.show(*(row.replace("PENDING", "RUNNING") for row in mine.queue() if row.startswith("100_1|")))
    _change_inputs(RUNS[1])
    _validate()
    _submit(options=Options(only=RUNS[1], is_sure=True))
    assert deferred.read()["train"] == [RUNS[1]]
    feeder, site = Feeder(), read_site(paths.SITE_YAML)
    mine.plan("squeue", "answer", "answer", "empty")
    feeder.feed(site)
    mine.show()
    feeder.feed(site)
    assert _sent(mine) == ["--array=0-5", "--array=0"] and deferred.read()["train"] == []


def test_only_leaves_what_it_does_not_mean_for_later(mine: Cluster) -> None:
    mine.limit(2)
    _submit(options=Options(only="lr1e-*", is_sure=True))
    assert deferred.read()["train"] == [RUNS[2]]
    mine.limit(3)
    _submit(options=Options(only="lr0*", is_sure=True))
    assert sorted(deferred.read()["train"]) == sorted([RUNS[2], RUNS[4]])
    mine.limit(100)
    _submit(options=Options(only=RUNS[4], is_sure=True))
    assert deferred.read()["train"] == [RUNS[2]]


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"train": ["a"]}'])
def test_a_memory_of_what_is_left_that_is_not_whole_is_empty(cluster: Cluster, content: str | None) -> None:
    paths.DEFERRED_JSON.parent.mkdir()
    if content is not None:
        paths.DEFERRED_JSON.write_text(content)
    assert deferred.read() == {"train": [], "eval": []}


def _change_inputs(run: str) -> None:
    """Another learning rate, as `make stamp` would write it."""
    path = paths.RunPaths(run).finetune_yaml
    path.write_text(re.sub(r"(?m)^(  lr: ).*$", r"\g<1>0.123", path.read_text(), count=1))


def test_a_job_that_waits_for_inputs_that_have_changed_is_replaced(mine: Cluster) -> None:
    _submit()
    _change_inputs(RUNS[1])
    _validate()
    assert _submit() == 0
    assert mine.calls("scancel") == [["100_1"]] and _sent(mine) == ["--array=0-5", "--array=0"]
    claim = claims.read_claim(RUNS[1], "train")
    assert claim is not None and SlurmQueue().job_id(claim) == "101_0"


def test_inputs_that_nobody_validated_are_not_submitted_in_place_of_former_ones(mine: Cluster) -> None:
    _submit()
    _change_inputs(RUNS[1])
    _submit()
    assert _sent(mine) == ["--array=0-5"]


def test_force_submits_what_nobody_validated_in_place_of_former_inputs_too(
    mine: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    _submit()
    _change_inputs(RUNS[1])
    assert _submit() == 1 and "FORCE=1 goes on" in capsys.readouterr().err
    assert _submit(options=Options(is_sure=True, is_forced=True)) == 0
    assert mine.calls("scancel") == [["100_1"]] and _sent(mine) == ["--array=0-5", "--array=0"]


def test_a_run_that_cannot_be_stamped_is_not_to_be_forced(mine: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    path = paths.RunPaths(RUNS[0]).run_yaml
    path.write_text(path.read_text().replace("problems: []", "problems: [no such key]"))
    assert _submit(options=Options(is_sure=True, is_forced=True)) == 1
    said = capsys.readouterr().err
    assert "no such key" in said and "FORCE=1" not in said and _sent(mine) == ["--array=0-4"]


def test_a_job_that_runs_for_inputs_that_have_changed_is_let_run_and_followed(mine: Cluster) -> None:
    _submit()
    mine.show(*(row.replace("PENDING", "RUNNING") for row in mine.queue()))
    _change_inputs(RUNS[1])
    _validate()
    assert _submit() == 0
    assert mine.calls("scancel") == [] and _sent(mine) == ["--array=0-5"] and deferred.read()["train"] == [RUNS[1]]
    mine.show(*(row for row in mine.queue() if not row.startswith("100_1|")))
    Feeder().feed(read_site(paths.SITE_YAML))
    assert _sent(mine) == ["--array=0-5", "--array=0"] and deferred.read()["train"] == []


def test_what_failed_or_was_cancelled_is_told_apart_and_submitted_again(mine: Cluster) -> None:
    _submit()
    mine.show(*(row.replace("PENDING", "TIMEOUT" if "_2|" in row else "CANCELLED") for row in mine.queue()))
    statuses = _statuses()
    assert statuses == {run: "failed" if run == RUNS[2] else "ready" for run in RUNS}
    assert _submit() == 0 and _sent(mine) == ["--array=0-5"] * 2


def test_cancel_ends_this_experiments_jobs_and_no_others(mine: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    _submit()
    mine.show(*mine.queue(), _row("7", "RUNNING", "ftexp:mine:r1:train:h", folder=Path("/elsewhere")), _row("8", "RUNNING"))
    monkeypatch.setenv("ONLY", "lr1e-*")
    assert cancel_stage.main([]) == 0
    monkeypatch.delenv("ONLY")
    assert cancel_stage.main([]) == 0
    assert mine.calls("scancel") == [[f"100_{task}" for task in tasks] for tasks in (range(3), range(6))]
    mine.plan("squeue", "fail Unable to contact slurm controller")
    with pytest.raises(slurm.NotReached, match="Nothing was cancelled. Try again later."):
        cancel_stage.main([])


def test_cancel_without_the_lists_of_former_submissions_is_no_crash(mine: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    _submit()
    shutil.rmtree(paths.SUBMISSIONS_DIR)
    monkeypatch.setenv("ONLY", "lr1e-*")
    with contextlib.suppress(UserError):
        cancel_stage.main([])
    monkeypatch.delenv("ONLY")
    assert cancel_stage.main([]) == 0
    assert mine.calls("scancel")[-1] == [f"100_{task}" for task in range(6)]


def test_a_slurm_that_does_not_cancel_says_so(cluster: Cluster) -> None:
    cluster.plan("scancel", "fail Unable to contact slurm controller")
    with pytest.raises(UserError, match="^scancel: .*Unable to contact slurm controller. Nothing is known to be cancelled"):
        slurm.cancel(["1"])
    cluster.plan("scontrol", "fail Requested operation is presently disabled for job 1")
    with pytest.raises(slurm.NoAnswer, match="presently disabled"):
        slurm.requeue("1")


def test_many_jobs_are_cancelled_in_few_calls(cluster: Cluster) -> None:
    slurm.cancel([])
    assert cluster.calls("scancel") == []
    slurm.cancel([f"1_{task}" for task in range(1201)])
    assert [len(call) for call in cluster.calls("scancel")] == [500, 500, 201]


# Options


BAD_OPTIONS = [
    *((("JOBS", value), "JOBS: must be a whole number above 0, got ") for value in ("0", "-1", "two", "1.5", " 2", "²", "1e3")),
    *(((name, value), f"{name}: must be 1 or 0, got ") for name in ("DRY", "YES", "FORCE") for value in ("yes", "2", " ")),
]


@pytest.fixture
def _no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JOBS", "ONLY", "DRY", "YES", "FORCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_no_options")
@pytest.mark.parametrize(("option", "message"), BAD_OPTIONS)
def test_an_option_that_is_none_is_one_message(option: tuple[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*option)
    with pytest.raises(UserError, match=f"^{re.escape(message + repr(option[1]))}"):
        read_options()


@pytest.mark.usefixtures("_no_options")
def test_options_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_options() == Options()
    for name, value in {"JOBS": "3", "ONLY": "r16_*", "DRY": "1", "YES": "0", "FORCE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert read_options() == Options(3, "r16_*", is_dry=True, is_sure=False, is_forced=True)
    for name in ("JOBS", "DRY", "YES", "FORCE"):
        monkeypatch.setenv(name, "")
    assert read_options() == Options(only="r16_*")
    for nothing in ("", "  "):
        monkeypatch.setenv("ONLY", nothing)
        with pytest.raises(UserError, match="ONLY: is empty"):
            read_options()


def test_only_means_runs_by_a_pattern_and_has_to_mean_one() -> None:
    runs = [f"r{number}_a" for number in range(7)]
    assert [run for run in runs if Options(only="r[1-2]_*").picks(run)] == runs[1:3]
    assert not Options(only="R1_a").picks("r1_a")
    assert [run for run in runs if Options(only="r*", names=frozenset(runs[:1])).picks(run)] == runs[:1]
    with pytest.raises(UserError, match=re.escape("ONLY: no run's id matches 'r9*'. Runs are r0_a, r1_a, r2_a, r3_a, r4_a, ...")):
        Options(only="r9*").require_picked(runs)
    Options(names=frozenset()).require_picked(runs)


def test_only_takes_several_patterns_each_of_which_has_to_mean_a_run() -> None:
    runs = [f"r{number}_a" for number in range(4)]
    assert [run for run in runs if Options(only=" r1_*  r3_a ").picks(run)] == [runs[1], runs[3]]
    Options(only="r1_* r3_a").require_picked(runs)
    with pytest.raises(UserError, match=re.escape("ONLY: no run's id matches 'r9_a'. Runs are r0_a, r1_a, r2_a, r3_a")):
        Options(only="r1_* r9_a").require_picked(runs)


def test_only_a_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def __init__(self, answer: str) -> None:
            self.answer = answer

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return self.answer

        def write(self, text: str) -> None:
            pass

        def flush(self) -> None:
            pass

    assert confirm("Submit?", Options()), "there is none here"
    monkeypatch.setattr(sys, "stderr", Terminal(""))
    for answer, is_yes in {"y\n": True, " YES\n": True, "n\n": False, "\n": False, "": False}.items():
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        assert confirm("Submit?", Options()) == is_yes
        assert confirm("Submit?", SURE)


# Why a job died

CGROUPS = [
    # lines of /proc/self/cgroup, the file in the tree, its text; how many were killed
    ("0::/slurm/job_7/step_batch\n", "slurm/job_7/step_batch/memory.events", "low 0\nhigh 0\nmax 4\noom 2\noom_kill 3\n", 3),
    ("0::/\n", "memory.events", "oom_kill 1\noom_group_kill 0\n", 1),
    ("0::/a:b\n", "a:b/memory.events", "oom_kill 2\n", 2),
    ("0::/a\n", "b/memory.events", "oom_kill 2\n", 0),
    ("0::/a\n", "a/memory.events", "low 0\n", 0),
    (
        "11:cpu,cpuacct:/\n4:memory:/slurm/uid_0/job_7\n1:name=systemd:/\n0::/system.slice\n",
        "memory/slurm/uid_0/job_7/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", 5,
    ),
    ("4:memory:/job_7\n", "memory/job_7/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", 0),  # before Linux 4.13
    ("4:hugetlb,memory:/job_7\n", "memory/job_7/memory.oom_control", "oom_kill 2\n", 2),
    ("4:cpuset:/job_7\n", "memory/job_7/memory.oom_control", "oom_kill 2\n", 0),
    ("", "memory.events", "oom_kill 2\n", 0),
]  # fmt: skip


@pytest.mark.parametrize(("own", "file", "text", "kills"), CGROUPS)
def test_processes_that_the_kernel_killed_for_memory_are_counted(
    own: str, file: str, text: str, kills: int, tmp_path: Path
) -> None:
    (tmp_path / "own").write_text(own)
    path = tmp_path / "tree" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert diagnosis.cgroup_kills(tmp_path / "tree", tmp_path / "own") == kills


def test_this_machines_own_groups_can_be_read() -> None:
    assert diagnosis.cgroup_kills() >= 0


SIGNS = [
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "out of GPU memory"),
    ("OSError: [Errno 28] No space left on device", "disk full"),
    ("OSError: [Errno 122] Disk quota exceeded", "disk full"),
    ("RuntimeError: [enforce fail at inline_container.cc:603] . PytorchStreamWriter failed writing file data/3", "disk full"),
    ("ValueError: something else", None),
]


@pytest.mark.parametrize(("line", "sign"), SIGNS)
def test_a_sign_in_a_log_counts_from_where_this_try_began(line: str, sign: str | None, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    assert diagnosis.sign_in_log(log, 0) is None
    former = f"a former try: é \xff\n{line}\n"
    log.write_text(former, encoding="utf-8")
    begun = log.stat().st_size
    assert diagnosis.sign_in_log(log, 0) == sign
    assert diagnosis.sign_in_log(log, begun) is None
    with log.open("ab") as file:
        file.write(b"\xff\xfe" + line.encode())
    assert diagnosis.sign_in_log(log, begun) == sign
    assert diagnosis.sign_in_text(line) == sign
    assert sign is None or sign in diagnosis.ADVICE


# Told to stop

_TOLD = """\
import multiprocessing, os, sys, time
sys.path.insert(0, sys.argv[1])
from ftexp.jobs.interruption import when_told_to_stop

def work():
    print(os.getpid(), flush=True)
    time.sleep(60)

def stop(is_warning):
    with open("said", "a") as file:
        file.write("warning\\n" if is_warning else "end\\n")
    time.sleep(0.3)  # as long as writing and requeueing may take
    return 3 if is_warning else 143

before = [__import__("signal").getsignal(n) for n in (10, 15)]
with when_told_to_stop(stop):
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    if sys.argv[2] == "work":
        time.sleep(60)
    time.sleep(0.2)
    child.kill()
assert [__import__("signal").getsignal(n) for n in (10, 15)] == before
"""


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Callable[..., tuple["subprocess.Popen[str]", int]]]:
    """Starts a process that works until it is told to stop; with it its child's id."""
    started: list[subprocess.Popen[str]] = []

    def start(what: str = "work", **variables: str) -> tuple["subprocess.Popen[str]", int]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")} | variables
        command = [sys.executable, "-c", _TOLD, str(REPOSITORY / "scripts"), what]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()


def _is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.is_file() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def _ends_soon(pid: int) -> bool:
    """A killed process goes when the kernel comes to it, which on a busy machine is a moment later."""
    until = time.monotonic() + 5
    while _is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not _is_alive(pid)


TOLD = [
    ([signal.SIGUSR1], "warning", 3), ([signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1], "warning", 3),
    ([signal.SIGTERM], "end", 143), ([signal.SIGTERM, signal.SIGUSR1], "end", 143),
]  # fmt: skip


@pytest.mark.parametrize(("signals", "said", "code"), TOLD)
def test_a_job_that_is_told_to_stop_says_so_once_and_ends_with_its_children(
    told: Any, tmp_path: Path, signals: list[signal.Signals], said: str, code: int
) -> None:
    process, child = told(SLURM_JOB_ID="7")
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    assert process.wait(10) == code
    assert (tmp_path / "said").read_text() == f"{said}\n"
    assert _ends_soon(child)


def test_outside_a_job_a_signal_does_what_it_always_does(told: Any, tmp_path: Path) -> None:
    process, child = told()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    os.kill(child, signal.SIGKILL)
    assert not (tmp_path / "said").exists()


def test_after_the_work_a_signal_does_again_what_it_did_before(told: Any, tmp_path: Path) -> None:
    process, _ = told("end", SLURM_JOB_ID="7")
    assert process.wait(10) == 0
    assert not (tmp_path / "said").exists()


OWN_ID = [
    ({}, None), ({"SLURM_JOB_ID": "7"}, "7"),
    ({"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}, "7_3"),
]  # fmt: skip


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("variables", "job"), OWN_ID)
def test_a_job_knows_its_id_as_squeue_shows_it(
    variables: dict[str, str], job: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (own_job().id, own_job().restarts) == (job, 0)


@pytest.mark.parametrize("word", ["RUNNING", "TIMEOUT"])
def test_a_job_of_the_same_id_that_was_submitted_elsewhere_is_not_ours(
    cluster: Cluster, experiment: Path, word: str, tmp_path: Path
) -> None:
    """Ids begin anew on another cluster, and claims are copied with the folder."""
    _claim()
    cluster.show(_row("12_0", word, folder=tmp_path))
    queue = SlurmQueue()
    assert queue.active("r1", "train") is None
    outcome = queue.outcome("r1", "train", "hash")
    assert outcome is None or outcome.status == "ready"


def test_the_last_line_of_the_log_says_why_a_job_never_began(cluster: Cluster, experiment: Path) -> None:
    _claim()
    paths.RunPaths("r1").dir.mkdir(parents=True)
    paths.RunPaths("r1").log("train").write_text("first\nline 18: module: command not found\n\n")
    cluster.show(_row("12_0", "FAILED"))
    outcome = SlurmQueue().outcome("r1", "train", "hash")
    said = "its job ended before its work began: line 18: module: command not found (runs/r1/train.log)"
    assert outcome and outcome.reason == said


def test_cancel_picks_tasks_by_the_list_whatever_slurm_shows_as_their_comment(
    mine: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comment can be a sibling's: updating an array's last task by its plain id updates the whole array."""
    assert submit_stage("train", read_site(paths.SITE_YAML), SURE) == 0
    runs = [run.id for run in planned_runs() if run.kind == "trained"]
    wrong = [row.rsplit("|", 1)[0] + f"|ftexp:mine:{runs[-1]}:train:hash" for row in mine.queue()]
    mine.show(*wrong)
    monkeypatch.setenv("ONLY", runs[0])
    assert cancel_stage.main([]) == 0
    called = [call for call in (mine.folder / "calls").read_text().splitlines() if call.startswith("scancel")]
    assert called == ["scancel\x1f100_0"]


def test_cancel_forgets_what_was_left_for_later(mine: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run.id for run in planned_runs() if run.kind == "trained"]
    deferred.replace("train", Options(), runs)
    assert cancel_stage.main([]) == 0
    assert deferred.read() == {"train": [], "eval": []}
    assert f"cancel: 0 jobs, 0 of them running; {len(runs)} left for later" in capsys.readouterr().err


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


def test_the_docs_show_what_a_first_submit_of_the_demo_prints(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = read_site(REPOSITORY / "sites/slurm.yaml")
    runs = [a_run(f"r{number}", settings={"model": "tiny-instruct"}) for number in range(8)]
    tasks = [Task(str(run.id), "hash") for run in runs]
    slurm_backend._say_cost(slurm_backend.Plan(tasks), [Batch("train", (), dict(enumerate(tasks)))], "train", site, runs)
    announce(WorkList(to_do=[task.run for task in tasks]), "train")
    said = capsys.readouterr().err.splitlines()
    page = (REPOSITORY / "docs/slurm.md").read_text(encoding="utf-8").splitlines()
    assert len(said) == 2 and set(said) <= set(page)
