"""A stage on Slurm: what is submitted, what is not, and what is submitted again."""

from pathlib import Path

import pytest
from conftest import REPOSITORY
from ftexp.ground import paths
from ftexp.ground.options import Options
from ftexp.jobs.site import read_site
from ftexp.jobs.slurm import backend as slurm_backend
from ftexp.jobs.slurm import claims, deferred
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.slurm.queue import SlurmQueue
from ftexp.jobs.slurm.submission import Batch, Task
from ftexp.jobs.work_list import WorkList, announce
from helpers.runs import a_run
from helpers.stand_in_slurm import Cluster
from helpers.stand_in_stages import RUNS, change_inputs, sent_arrays, statuses_of, submit, validate_runs


def test_a_stage_is_submitted_as_one_array_once(mine: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit() == 0
    assert sent_arrays(mine) == ["--array=0-5"]
    assert "train: 6 jobs in 1 array, at most 6.0 GPU hours (walltime x GPUs x jobs)" in capsys.readouterr().err
    assert statuses_of() == dict.fromkeys(RUNS, "submitted")
    assert submit() == 0
    assert sent_arrays(mine) == ["--array=0-5"] and deferred.read() == {"train": [], "eval": []}


def test_dry_shows_what_would_be_sent_and_does_nothing(mine: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert submit(options=Options(is_dry=True, jobs=2)) == 0
    out = capsys.readouterr().out
    assert out.startswith("$ sbatch --parsable --array=0-5%2 ") and "\n== .scratch/submissions/DRY.sh\n#!/usr/bin/env bash" in out
    assert "\n".join(f"{number}\t{run}\t" for number, run in enumerate(RUNS[:1])) in out
    assert mine.calls("sbatch") == [] and not paths.CLAIMS_DIR.exists() and set(statuses_of().values()) == {"ready"}


@pytest.mark.parametrize("how", ["fail slurm_load_jobs error: Unable to contact slurm controller", "hang"])
@pytest.mark.parametrize("stage", ["train", "eval"])
def test_nothing_is_submitted_while_slurm_does_not_answer(
    mine: Cluster, how: str, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "TIMEOUT_S", 0.2)
    mine.plan("squeue", how)
    with pytest.raises(slurm.NotReached, match="(?s)^squeue.*\nNothing was submitted, because what is in the queue"):
        submit(stage)
    assert mine.calls("sbatch") == [] and not paths.CLAIMS_DIR.exists()


def test_evaluations_wait_for_their_own_trainings_and_the_control_for_none(mine: Cluster) -> None:
    assert submit(options=Options(only="lr1e-*", is_sure=True)) == 0
    assert submit("eval") == 0
    train, *evaluations = mine.calls("sbatch")
    words = {call[1]: [word for word in call if word.startswith("--dependency")] for call in evaluations}
    assert (train[1], words) == ("--array=0-2", {"--array=0": [], "--array=0-2": ["--dependency=aftercorr:100"]})
    assert statuses_of("eval") == {
        run: "submitted" if run in ("base", *RUNS[:3]) else "waiting" for run in ("base", *RUNS)
    }
    assert submit("eval") == 0 and len(mine.calls("sbatch")) == 3


def test_arrays_are_no_longer_than_the_site_says(mine: Cluster) -> None:
    assert submit(array_max=4) == 0
    assert sent_arrays(mine) == ["--array=0-3", "--array=0-1"] and statuses_of() == dict.fromkeys(RUNS, "submitted")


def test_a_job_that_waits_for_inputs_that_have_changed_is_replaced(mine: Cluster) -> None:
    submit()
    change_inputs(RUNS[1])
    validate_runs()
    assert submit() == 0
    assert mine.calls("scancel") == [["100_1"]] and sent_arrays(mine) == ["--array=0-5", "--array=0"]
    claim = claims.read_claim(RUNS[1], "train")
    assert claim is not None and SlurmQueue().job_id(claim) == "101_0"


def test_inputs_that_nobody_validated_are_not_submitted_in_place_of_former_ones(mine: Cluster) -> None:
    submit()
    change_inputs(RUNS[1])
    submit()
    assert sent_arrays(mine) == ["--array=0-5"]


def test_force_submits_what_nobody_validated_in_place_of_former_inputs_too(
    mine: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    submit()
    change_inputs(RUNS[1])
    assert submit() == 1 and "FORCE=1 goes on" in capsys.readouterr().err
    assert submit(options=Options(is_sure=True, is_forced=True)) == 0
    assert mine.calls("scancel") == [["100_1"]] and sent_arrays(mine) == ["--array=0-5", "--array=0"]


def test_a_run_that_cannot_be_stamped_is_not_to_be_forced(mine: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    path = paths.RunPaths(RUNS[0]).run_yaml
    path.write_text(path.read_text().replace("problems: []", "problems: [no such key]"))
    assert submit(options=Options(is_sure=True, is_forced=True)) == 1
    said = capsys.readouterr().err
    assert "no such key" in said and "FORCE=1" not in said and sent_arrays(mine) == ["--array=0-4"]


def test_what_failed_or_was_cancelled_is_told_apart_and_submitted_again(mine: Cluster) -> None:
    submit()
    mine.show(*(row.replace("PENDING", "TIMEOUT" if "_2|" in row else "CANCELLED") for row in mine.queue()))
    statuses = statuses_of()
    assert statuses == {run: "failed" if run == RUNS[2] else "ready" for run in RUNS}
    assert submit() == 0 and sent_arrays(mine) == ["--array=0-5"] * 2


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
