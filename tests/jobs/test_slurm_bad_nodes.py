"""Nodes on which a job cannot start: named with Slurm's reason, kept off, and the waiting ends with status 1."""

import json
from pathlib import Path

import pytest
import stamp
import status
import submit
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.jobs.slurm import bad_nodes, wait
from ftexp.jobs.slurm.commands import Job
from ftexp.jobs.slurm.queue import SlurmQueue
from helpers.stand_in_slurm import Cluster, queue_row, take_claim, write_record
from helpers.stand_in_stages import RUNS

AT = "2026-11-27T07:53:43"
# Slurm's state, reason and node in squeue, what accounting and the controller say; the node that is named, and whether it waits.
NOT_STARTED = {
    "no folder": (("FAILED", "JobLaunchFailure", "n1"), "", "", "n1", False),
    "no folder, by a squeue without nodes": (("FAILED", "JobLaunchFailure", None), "", " NodeList=n3 BatchHost=n3 ", "n3", False),
    "no log": (("FAILED", "RaisedSignal:53(Real-time_signal_19)", "n1"), "", "", "n1", False),
    "held": (("PENDING", "launch failed requeued held", ""), "", " NodeList=(null) ", "", True),
    "held, otherwise written": (("REQUEUE_HOLD", "launch_failed_requeued_held", ""), "", " BatchHost=n2 ", "n2", True),
    "forgotten": (None, "12_0|FAILED|0:53|Unknown|n4|", "", "n4", False),
}


@pytest.mark.parametrize(("shown", "accounted", "controller", "node", "is_held"), NOT_STARTED.values(), ids=NOT_STARTED)
def test_a_node_that_cannot_begin_a_job_is_named_with_slurms_reason(
    shown: tuple[str, str, str | None] | None, accounted: str, controller: str, node: str, is_held: bool, cluster: Cluster
) -> None:
    take_claim()
    (cluster.folder / "job").write_text(f"JobId=12{controller}\n")
    if shown:
        word, reason, nodes = shown
        row = queue_row("12_0", word, "ftexp:mine:r1:train:hash", reason=reason)
        cluster.show(row if nodes is None else f"{row}|{AT}|{nodes}")
    if accounted:
        cluster.account(accounted)
    queue = SlurmQueue()
    assert queue.active("r1", "train") is None
    found = queue.outcome("r1", "train", "hash")
    assert found is not None and (found.status, found.job, found.bad_node, found.is_held) == ("failed", "12_0", node, is_held)
    reason = shown[1] if shown else "0:53"
    where = f" on {node}" if node else ""
    assert found.reason.startswith(f"its job could not start{where} (Slurm: {reason}): is this folder there")


@pytest.mark.parametrize("reason", ["Priority", "NonZeroExitCode", "JobHeldUser", "RaisedSignal:9", "RaisedSignal:530", "1:53"])
def test_other_reasons_are_no_fault_of_a_node(reason: str) -> None:
    assert not Job("12", "FAILED", reason).could_not_start and not Job("12", "RUNNING", "JobLaunchFailure").could_not_start


def test_a_job_that_began_and_was_then_requeued_to_a_bad_node_has_failed_there(cluster: Cluster) -> None:
    take_claim()
    write_record("stopped")
    cluster.show(queue_row("12_0", "FAILED", "ftexp:mine:r1:train:hash", reason="JobLaunchFailure") + f"|{AT}|n1")
    found = SlurmQueue().outcome("r1", "train", "hash")
    assert found is not None and found.bad_node == "n1"


def test_a_job_whose_processes_were_killed_is_no_fault_of_its_node_whatever_slurm_says(cluster: Cluster) -> None:
    """Slurm can call that a launch failure; the job's own record says that it had begun."""
    take_claim()
    write_record("running")
    cluster.show(queue_row("12_0", "FAILED", "ftexp:mine:r1:train:hash", reason="JobLaunchFailure") + f"|{AT}|n1")
    found = SlurmQueue().outcome("r1", "train", "hash")
    assert found is not None and not found.bad_node and "failed without a word of its own" in found.reason
    cluster.show(queue_row("12_0", "PENDING", "ftexp:mine:r1:train:hash", reason="launch failed requeued held") + f"|{AT}|n1")
    found = SlurmQueue().outcome("r1", "train", "hash")
    assert found is not None and found.is_held, "requeued, it began nowhere a second time"


@pytest.fixture(autouse=True)
def _without_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "record_finished", lambda work, runs: None)


def fail_on(cluster: Cluster, node: str, word: str = "FAILED", reason: str = "JobLaunchFailure") -> None:
    """All that is in the queue could not start there."""
    rows = [row.split("|") for row in cluster.queue()]
    cluster.show(*("|".join([row[0], word, reason, *row[3:6], AT, node]) for row in rows))


def test_a_bad_node_ends_the_waiting_with_status_1_and_is_kept_off_from_then_on(
    mine: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    site = paths.SITE_YAML.read_text(encoding="utf-8")
    paths.SITE_YAML.write_text(site + "exclude: [n7]\n", encoding="utf-8")
    assert stamp.main([]) == submit.main([]) == 0
    assert not any(word.startswith("--exclude") for word in mine.calls("sbatch")[0]), "the script's own line says it"
    fail_on(mine, "n1")
    assert status.main(["--wait"]) == 1
    said = capsys.readouterr().err
    assert said.count("train failed: its job could not start on n1 (Slurm: JobLaunchFailure): is this folder there") == len(RUNS)
    assert list(bad_nodes.read()) == ["n1"]
    mine.show()  # Slurm has forgotten
    assert submit.main([]) == 0
    assert "--exclude=n7,n1" in mine.calls("sbatch")[-1]
    assert "train: kept off n1, where a job could not start. When that is mended, delete .scratch/bad_nodes.json" in (
        capsys.readouterr().err
    )
    mine.show()
    mine.plan("sbatch", "fail sbatch: error: Batch job submission failed: Requested node configuration is not available")
    with pytest.raises(UserError, match=r"node configuration is not available(?s:.*)Its jobs are kept off n1"):
        submit.main([])
    paths.BAD_NODES_JSON.unlink()
    assert submit.main([]) == 0 and not any(word.startswith("--exclude") for word in mine.calls("sbatch")[-1])


def test_a_job_that_slurm_holds_back_is_cancelled_when_its_run_is_submitted_again(mine: Cluster) -> None:
    assert submit.main([]) == 0
    held = [row.split("|")[0] for row in mine.queue()]
    fail_on(mine, "", "PENDING", "launch failed requeued held")
    assert status.main(["--wait"]) == 1, "it would wait for ever"
    assert submit.main([]) == 0
    assert mine.calls("scancel") == [held] and len(mine.calls("sbatch")) == 2


def test_a_memory_of_bad_nodes_that_is_not_whole_is_empty(cluster: Cluster) -> None:
    paths.BAD_NODES_JSON.parent.mkdir(exist_ok=True)
    for content in ("", "[]", json.dumps({"nodes": {}})):
        Path(paths.BAD_NODES_JSON).write_text(content)
        assert bad_nodes.exclusion(()) == []
