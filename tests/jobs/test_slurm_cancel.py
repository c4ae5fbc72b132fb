"""Cancelling: this experiment's jobs, those that were meant, and no others."""

import contextlib
import shutil
from pathlib import Path

import cancel as cancel_stage
import pytest
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.options import Options
from ftexp.jobs.site import read_site
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.slurm import deferred
from ftexp.jobs.slurm.backend import submit_stage
from helpers.stand_in_slurm import Cluster, queue_row
from helpers.stand_in_stages import SURE, submit


def test_cancel_ends_this_experiments_jobs_and_no_others(mine: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    submit()
    others = queue_row("7", "RUNNING", "ftexp:mine:r1:train:h", folder=Path("/elsewhere")), queue_row("8", "RUNNING")
    mine.show(*mine.queue(), *others)
    monkeypatch.setenv("ONLY", "lr1e-*")
    assert cancel_stage.main([]) == 0
    monkeypatch.delenv("ONLY")
    assert cancel_stage.main([]) == 0
    assert mine.calls("scancel") == [[f"100_{task}" for task in tasks] for tasks in (range(3), range(6))]
    monkeypatch.setenv("ONLY", "lr1e-* r9*")
    with pytest.raises(UserError, match=r"ONLY: no run's id matches 'r9\*'"):
        cancel_stage.main([])
    assert len(mine.calls("scancel")) == 2
    mine.plan("squeue", "fail Unable to contact slurm controller")
    with pytest.raises(slurm.NotReached, match="Nothing was cancelled. Try again later."):
        cancel_stage.main([])


def test_cancel_without_the_lists_of_former_submissions_is_no_crash(mine: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    submit()
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
