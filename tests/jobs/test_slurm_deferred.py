"""What has no room in Slurm's queue, or has to wait for a running job, is left for later, and submitted as soon as it can be."""

from pathlib import Path

import pytest
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.options import Options
from ftexp.jobs.site import read_site
from ftexp.jobs.slurm import deferred
from ftexp.jobs.slurm.wait import Feeder
from helpers.stand_in_slurm import Cluster, queue_row
from helpers.stand_in_stages import RUNS, change_inputs, sent_arrays, statuses_of, submit, validate_runs


def test_what_exceeds_slurms_limit_goes_in_by_halves_and_the_rest_later(
    mine: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.limit(4)
    assert submit() == 0
    assert len(mine.queue()) == 4
    assert list(statuses_of().values()) == ["submitted"] * 4 + ["ready"] * 2
    assert deferred.read() == {"train": RUNS[4:], "eval": []}
    assert "train: 2 later, by the next call or `make wait`: Slurm says: " in capsys.readouterr().err


def test_the_sites_cap_leaves_the_rest_for_later(mine: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    mine.show(queue_row("1", "RUNNING", folder=Path("/else")), queue_row("2", "COMPLETED", folder=Path("/else")))
    assert submit(submit_cap=3) == 0
    assert sent_arrays(mine) == ["--array=0-1"] and deferred.read()["train"] == RUNS[2:]
    assert "train: 4 later (submit_cap is 3), by the next call or `make wait`" in capsys.readouterr().err


def test_slurm_that_takes_not_even_one_job_is_an_error(mine: Cluster) -> None:
    mine.limit(0)
    with pytest.raises(UserError, match="(?s)QOSMaxSubmitJobPerUserLimit.*Slurm refuses even one job. Correct site.yaml"):
        submit()
    assert not list(paths.CLAIMS_DIR.iterdir())


def test_what_was_left_for_later_is_submitted_as_soon_as_there_is_room_and_not_before(mine: Cluster) -> None:
    mine.limit(4)
    submit()
    feeder, site, before = Feeder(), read_site(paths.SITE_YAML), len(sent_arrays(mine))
    feeder.feed(site)
    after = len(sent_arrays(mine))
    assert after > before and deferred.read()["train"] == RUNS[4:], "it tries once, not knowing of the limit"
    feeder.feed(site)
    assert len(sent_arrays(mine)) == after, "as many jobs as before: no room"
    mine.show(*mine.queue()[:3])
    feeder.feed(site)
    assert len(mine.queue()) == 4 and deferred.read()["train"] == RUNS[5:]
    mine.show()
    feeder.feed(site)
    assert len(mine.queue()) == 1 and deferred.read()["train"] == []


@pytest.mark.parametrize("silent_calls", [1, 2, 3])
def test_a_silence_while_waiting_only_delays_what_was_left_for_later(mine: Cluster, silent_calls: int) -> None:
    mine.limit(4)
    submit()
    mine.show()
    feeder, site = Feeder(), read_site(paths.SITE_YAML)
    silence = "fail slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    mine.plan("squeue", "answer", *[silence] * silent_calls)
    for _ in range(5):
        feeder.feed(site)
    assert deferred.read()["train"] == [] and len(mine.queue()) == 2


def test_a_job_that_ends_while_what_was_left_for_later_is_looked_at_does_not_keep_it_back(mine: Cluster) -> None:
    submit()
    mine.show(*(row.replace("PENDING", "RUNNING") for row in mine.queue() if row.startswith("100_1|")))
    change_inputs(RUNS[1])
    validate_runs()
    submit(options=Options(only=RUNS[1], is_sure=True))
    assert deferred.read()["train"] == [RUNS[1]]
    feeder, site = Feeder(), read_site(paths.SITE_YAML)
    mine.plan("squeue", "answer", "answer", "empty")
    feeder.feed(site)
    mine.show()
    feeder.feed(site)
    assert sent_arrays(mine) == ["--array=0-5", "--array=0"] and deferred.read()["train"] == []


def test_only_leaves_what_it_does_not_mean_for_later(mine: Cluster) -> None:
    mine.limit(2)
    submit(options=Options(only="lr1e-*", is_sure=True))
    assert deferred.read()["train"] == [RUNS[2]]
    mine.limit(3)
    submit(options=Options(only="lr0*", is_sure=True))
    assert sorted(deferred.read()["train"]) == sorted([RUNS[2], RUNS[4]])
    mine.limit(100)
    submit(options=Options(only=RUNS[4], is_sure=True))
    assert deferred.read()["train"] == [RUNS[2]]


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"train": ["a"]}'])
def test_a_memory_of_what_is_left_that_is_not_whole_is_empty(cluster: Cluster, content: str | None) -> None:
    paths.DEFERRED_JSON.parent.mkdir()
    if content is not None:
        paths.DEFERRED_JSON.write_text(content)
    assert deferred.read() == {"train": [], "eval": []}


def test_a_job_that_runs_for_inputs_that_have_changed_is_let_run_and_followed(mine: Cluster) -> None:
    submit()
    mine.show(*(row.replace("PENDING", "RUNNING") for row in mine.queue()))
    change_inputs(RUNS[1])
    validate_runs()
    assert submit() == 0
    assert mine.calls("scancel") == [] and sent_arrays(mine) == ["--array=0-5"] and deferred.read()["train"] == [RUNS[1]]
    mine.show(*(row for row in mine.queue() if not row.startswith("100_1|")))
    Feeder().feed(read_site(paths.SITE_YAML))
    assert sent_arrays(mine) == ["--array=0-5", "--array=0"] and deferred.read()["train"] == []
