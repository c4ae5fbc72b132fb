"""Claims: of many who want to submit a run exactly one does, and a job is known by its claim whoever was killed in between."""

import json
import multiprocessing
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from ftexp.ground import paths
from ftexp.jobs.site import Site
from ftexp.jobs.slurm import claims
from ftexp.jobs.slurm.queue import SlurmQueue
from ftexp.jobs.slurm.submission import send
from helpers.stand_in_slurm import Cluster, batch_of, queue_row, take_claim, write_record, write_script


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
    write_script("r1")
    path = paths.RunPaths("r1").claim("train")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert claims.read_claim("r1", "train") is None
    assert SlurmQueue(holds_lock=True).active("r1", "train") is None
    assert send(batch_of("r1"), Site(), "mine", None) == "100"
    claim = claims.read_claim("r1", "train")
    assert claim is not None and SlurmQueue().job_id(claim) == "100_0"


@pytest.mark.parametrize("content", [content for content in NOT_WHOLE if content != b"3"])
def test_a_record_that_is_not_whole_leaves_the_job_to_be_looked_for(cluster: Cluster, content: bytes) -> None:
    take_claim(job=None)
    claims.submission_path("s", "json").parent.mkdir(parents=True)
    claims.submission_path("s", "json").write_bytes(content)
    cluster.show(queue_row("55_0", "PENDING", "ftexp:mine:@s:train:of the list"))
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
    take_claim(job=None)
    path = paths.RunPaths("r1").claim("train")
    claim = json.loads(path.read_text())
    path.write_text(json.dumps({**claim, "host": host or claim["host"], "pid": pid, "claimed": time.time() - age_s}))
    found = SlurmQueue(holds_lock=holds_lock).active("r1", "train")
    assert (found is not None and found.status == "submitted") == is_under_way


@pytest.mark.parametrize("comment", ["ftexp:mine:@s:train:of the list", "ftexp:mine:r1:train:hash"])
@pytest.mark.parametrize("holds_lock", [True, False])
def test_a_job_whose_id_was_not_recorded_is_known_by_its_comment(cluster: Cluster, comment: str, holds_lock: bool) -> None:
    take_claim(job=None, task=3)
    cluster.show(queue_row("55_3", "PENDING", comment))
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
    take_claim(job=None)
    elsewhere = queue_row("56_0", "PENDING", "ftexp:mine:@s:train:h", folder=Path("/elsewhere"))
    cluster.show(queue_row("55_0", "PENDING", comment), elsewhere)
    assert SlurmQueue(holds_lock=True).active("r1", "train") is None
    assert claims.job_id_of("s") is None


def test_a_job_that_has_ended_is_adopted_by_the_record_that_it_left(cluster: Cluster) -> None:
    take_claim(job=None)
    write_record("failed", job="55_0")
    found = SlurmQueue(holds_lock=True).outcome("r1", "train", "hash")
    assert found is not None and (found.status, found.reason, found.job) == ("failed", "its own words", "55_0")
