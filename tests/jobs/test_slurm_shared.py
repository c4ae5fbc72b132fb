"""Runs that share a training, on Slurm: it is submitted once, and every evaluation on it waits for that one job."""

import shutil
from pathlib import Path

import pytest
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.options import Options
from ftexp.jobs.attempt import run_once
from ftexp.jobs.slurm import claims, deferred
from ftexp.state.imported_code import ImportedCode
from helpers.baking import entered_copy, give_test_files
from helpers.finished import finish
from helpers.stand_in_slurm import Cluster
from helpers.stand_in_stages import make_ready, sent_arrays, statuses_of, submit, validate_runs

OWNERS = ["lr1e-4_on-a", "lr1e-3_on-a"]
FOLLOWERS = ["lr1e-4_on-b", "lr1e-3_on-b", "lr1e-4_on-c", "lr1e-3_on-c"]


@pytest.fixture(scope="module")
def _validated_shared(baked_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with entered_copy(baked_once, tmp_path_factory.mktemp("shared") / "mine") as folder:
        give_test_files(train=(0, 300), a=(300, 320), b=(320, 340), c=(340, 360))
        tests = ", ".join(f"{name}: {{data.test: data/raw/{name}.json}}" for name in "abc")
        make_ready(f"{{lr: [1e-4, 1e-3], on: {{{tests}}}}}")
    return folder


@pytest.fixture
def shared(_validated_shared: Path, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster, and an experiment of two trainings and three tests of each; the working folder."""
    monkeypatch.chdir(shutil.copytree(_validated_shared, tmp_path / "shared", symlinks=True))
    return cluster


def dependencies(cluster: Cluster) -> list[tuple[str, str]]:
    """Per array of evaluations its tasks and what it waits for."""
    calls = [[word for word in call if word.startswith(("--array=", "--dependency="))] for call in cluster.calls("sbatch")]
    return [(call[0], call[1]) for call in calls if len(call) == 2]


def runs_of(submission: str) -> dict[str, str]:
    """Run by task, of a submission's list."""
    lines = claims.submission_path(submission, "list").read_text().splitlines()
    return {task: run for task, run, _ in (line.split("\t") for line in lines)}


def test_each_training_is_submitted_once_and_every_evaluation_waits_for_its_task(shared: Cluster) -> None:
    assert submit() == 0 and sent_arrays(shared) == ["--array=0-1"]
    assert submit("eval") == 0
    assert dependencies(shared) == [("--array=0-1", "--dependency=aftercorr:100")] * 3
    train = claims.read_claim(OWNERS[0], "train")
    assert train is not None and runs_of(train.submission) == {"0": OWNERS[0], "1": OWNERS[1]}
    for run in (*OWNERS, *FOLLOWERS):
        claim, task = claims.read_claim(run, "eval"), "0" if run.startswith("lr1e-4") else "1"
        assert claim is not None and runs_of(claim.submission)[task] == run, "a task has the number of its training's"
    assert set(statuses_of("eval").values()) == {"submitted"}
    assert submit() == 0 and submit("eval") == 0 and len(shared.calls("sbatch")) == 5, "nothing is sent twice"


def test_to_pick_a_run_is_to_pick_its_training_and_no_other_evaluation(shared: Cluster) -> None:
    only = Options(only="lr1e-3_on-c", is_sure=True)
    assert submit(options=only) == 0 and submit("eval", only) == 0
    assert [claims.read_claim(run, "train") is not None for run in OWNERS] == [False, True]
    assert [run for run in (*OWNERS, *FOLLOWERS) if claims.read_claim(run, "eval")] == ["lr1e-3_on-c"]
    assert dependencies(shared) == [("--array=0", "--dependency=aftercorr:100")]


def test_evaluations_of_a_training_that_had_no_room_follow_with_it(shared: Cluster) -> None:
    assert submit(submit_cap=1) == 0 and deferred.read()["train"] == OWNERS[1:]
    assert submit("eval", submit_cap=100) == 0
    assert [run for run in (*OWNERS, *FOLLOWERS) if claims.read_claim(run, "eval")] == [
        OWNERS[0], *(run for run in FOLLOWERS if run.startswith("lr1e-4"))
    ]
    assert set(deferred.read()["eval"]) == {OWNERS[1], *(run for run in FOLLOWERS if run.startswith("lr1e-3"))}
    picked = Options(only=FOLLOWERS[1], is_sure=True)
    assert submit(options=picked) == 0 and deferred.read()["train"] == []


def test_what_is_trained_is_evaluated_at_once_and_a_changed_training_makes_all_its_evaluations_wait(shared: Cluster) -> None:
    finish(OWNERS[0], ("train",))
    assert submit("eval") == 0
    sent = [run for run in (*OWNERS, *FOLLOWERS) if claims.read_claim(run, "eval")]
    assert sent == [OWNERS[0], FOLLOWERS[0], FOLLOWERS[2]] and dependencies(shared) == []
    assert [statuses_of("eval")[run] for run in (OWNERS[1], FOLLOWERS[1])] == ["waiting"] * 2
    path = paths.RunPaths(OWNERS[0]).finetune_yaml
    path.write_text(path.read_text().replace("epochs: 2", "epochs: 3"))
    validate_runs()
    assert submit() == 0 and submit("eval") == 0
    assert len(shared.calls("scancel")) == 1 and len(shared.calls("scancel")[0]) == 3, "what waited for the former checkpoint"
    assert dependencies(shared) == [("--array=0-1", "--dependency=aftercorr:101")] * 3


def test_a_run_without_a_training_of_its_own_is_not_trained_by_hand(shared: Cluster) -> None:
    with pytest.raises(UserError, match=f"^runs/{FOLLOWERS[0]}: is evaluated on the training of {OWNERS[0]}, so there"):
        run_once(ImportedCode("train", {}, {}), FOLLOWERS[0])
    assert not paths.RunPaths(FOLLOWERS[0]).script("train").exists() and not paths.RunPaths(FOLLOWERS[0]).finetune_yaml.exists()
