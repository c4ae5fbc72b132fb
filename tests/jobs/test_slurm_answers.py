"""What Slurm's commands print, on sites that print more; and whose a job is that has an id of ours."""

import datetime
import os
import time

import pytest
from ftexp.jobs.site import Site
from ftexp.jobs.slurm import claims
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.slurm.queue import SlurmQueue
from ftexp.jobs.slurm.submission import send
from helpers.stand_in_slurm import Cluster, batch_of, queue_row, take_claim, write_record, write_script

BANNER = "-------\\n   Welcome to Cluster 3\\n-------\\n--> Verifying access to 2 queues...OK\\n"
PRINTED = {
    "a banner before the id": f"print {BANNER}%s",
    "a banner around it": f"print {BANNER}%s\\nSee https://cluster-3.edu/usage\\n",
    "with the cluster's name": f"print {BANNER}%s;three\\n",
    "as without --parsable": "print Submitted batch job %s\\n",
    "so on a federation": "print Submitted batch job %s on cluster three\\n",
    "blank lines": "print \\n\\n%s\\n\\n",
    "a number in a banner": "print 2026\\nwelcome\\n%s\\n",
    "a number below": "print %s\\n2026\\n",
    "a banner alone": f"print {BANNER}",
    "nothing": "print \\n",
}


@pytest.mark.parametrize("printed", PRINTED.values(), ids=PRINTED)
def test_whatever_sbatch_prints_around_it_a_job_is_known_and_submitted_once(printed: str, cluster: Cluster) -> None:
    for run in ("a", "b"):
        write_script(run)
    cluster.plan("sbatch", printed)
    assert send(batch_of("a", "b"), Site(), "mine", None) == "100"
    assert len(cluster.calls("sbatch")) == 1 and claims.read_claim("a", "train") is not None
    found = SlurmQueue().active("b", "train")
    assert found is not None and (found.status, found.job) == ("submitted", "100_1")


def test_a_job_that_sbatch_took_without_a_name_and_nobody_can_find_is_not_submitted_again(cluster: Cluster) -> None:
    write_script("a")
    cluster.plan("sbatch", "print away\\n")
    cluster.plan("squeue", *["empty"] * slurm.SUBMIT_TRIES)
    with pytest.raises(slurm.NotReached, match="sbatch: it took the job, but did not say which: away\nNothing is lost"):
        send(batch_of("a"), Site(), "mine", None)
    assert len(cluster.calls("sbatch")) == 1


@pytest.mark.parametrize("looks", [1, slurm.SUBMIT_TRIES - 1])
def test_a_number_after_the_id_is_not_taken_for_it_by_a_queue_that_lags_behind(looks: int, cluster: Cluster) -> None:
    write_script("a")
    cluster.plan("sbatch", "print Balance 2026\\n%s\\n48\\n")
    cluster.plan("squeue", *["empty"] * looks)
    assert send(batch_of("a"), Site(), "mine", None) == "100"
    assert len(cluster.calls("sbatch")) == 1


def test_of_two_numbers_the_last_is_the_id_where_the_queue_does_not_know(cluster: Cluster) -> None:
    write_script("a")
    cluster.plan("sbatch", "print 2026\\n%s\\n")
    cluster.plan("squeue", *["empty"] * slurm.SUBMIT_TRIES)
    assert send(batch_of("a"), Site(), "mine", None) == "100"


def test_what_is_no_job_in_squeues_answer_is_passed_over(cluster: Cluster) -> None:
    take_claim()
    rows = ("Welcome to Cluster 3 | news: https://a|b|c|d|e|f", "", "CLUSTER: three", "JOBID|STATE|REASON|TIME|WORK_DIR|COMMENT")
    cluster.show(*rows, queue_row("12_0", "RUNNING"), "  ")
    assert list(SlurmQueue().jobs) == ["12_0"]


def test_a_line_about_a_job_of_ours_that_cannot_be_read_is_no_answer(cluster: Cluster) -> None:
    cluster.show(queue_row("job12", "RUNNING", "ftexp:mine:r1:train:hash"))
    queue = SlurmQueue()
    assert not queue.answers and queue.silence.startswith("squeue: its line is not of the form that was asked for: job12|")


def test_a_squeue_that_reaches_no_controller_and_ends_with_0_is_no_empty_queue(cluster: Cluster) -> None:
    cluster.plan("squeue", "mutter slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    assert not SlurmQueue().answers


def test_a_persons_shell_hides_no_job(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SQUEUE_PARTITION", "SLURM_RESTART_COUNT", "SLURM_ARRAY_JOB_ID", "SLURM_TIME_FORMAT", "SLURM_CONF"):
        monkeypatch.setenv(name, "7")
    cluster.plan("squeue", "env")
    assert SlurmQueue().answers
    seen = (cluster.folder / "env").read_text().splitlines()
    assert [line for line in seen if line.startswith(("SQUEUE_", "SLURM_"))] == ["SLURM_CONF=7"]


def at(seconds_ago: float) -> str:
    return datetime.datetime.fromtimestamp(time.time() - seconds_ago).isoformat(timespec="seconds")


OWN, DAY = "ftexp:mine:r1:train:hash", 86_400.0
# The job's comment, how long ago it was submitted (None: not said), the record of the stage; whether it is ours.
WHOSE = {
    "our comment": (OWN, 0, None, True),
    "of our submission": ("ftexp:mine:@s:train:of the list", 0, None, True),
    "our comment, requeued": (OWN, -DAY, "running", True),
    "of another run": ("ftexp:mine:r2:train:hash", 0, None, False),
    "of another submission": ("ftexp:mine:@t:train:hash", 0, None, False),
    "of other inputs": ("ftexp:mine:r1:train:other", 0, None, False),
    "of another run, while ours is noted down as running": ("ftexp:mine:r2:train:hash", 0, "running", False),
    "no comment, of that time": ("(null)", 0, None, True),
    "no comment, no time": ("(null)", None, None, True),
    "no comment, of another day": ("(null)", -DAY, None, False),
    "no comment, of another day, requeued": ("(null)", -DAY, "stopped", True),
    "no comment, of a day after ours had ended": ("(null)", -DAY, "done", False),
    "somebody's comment, of another day": ("protein folding", -DAY, None, False),
    "somebody's comment, no time": ("protein folding", None, None, False),
    "a site's comment, of that time": ("cpu hours: 3", 0, None, True),
}


@pytest.mark.parametrize(("comment", "later_s", "record", "is_ours"), WHOSE.values(), ids=WHOSE)
def test_a_job_of_an_id_of_ours_is_ours_by_its_comment_or_its_time(
    comment: str, later_s: float | None, record: str | None, is_ours: bool, cluster: Cluster
) -> None:
    take_claim()
    if record:
        write_record(record, started=time.time())
    for word in ("RUNNING", "TIMEOUT"):
        time_and_node = "" if later_s is None else f"|{at(later_s)}|n1"
        cluster.show(queue_row("12_0", word, comment) + time_and_node)
        queue = SlurmQueue()
        found = queue.active("r1", "train") if word == "RUNNING" else queue.outcome("r1", "train", "hash")
        is_taken = found is not None and (word == "RUNNING" or "walltime" in found.reason)
        assert is_taken == is_ours, found


@pytest.mark.parametrize(("later_s", "status"), [(0.0, "failed"), (-DAY, "ready")])
def test_accounting_of_another_day_is_of_another_job(later_s: float, status: str, cluster: Cluster) -> None:
    take_claim()
    step = f"12_0.batch|FAILED|0:0|{at(0)}|n1|"
    cluster.account("Welcome|to|Cluster|3", f"12_0|OUT_OF_MEMORY|0:125|{at(later_s)}|n1|{os.getcwd()}", step)
    found = SlurmQueue().outcome("r1", "train", "hash")
    assert found is not None and found.status == status


def test_accounting_of_another_folder_is_of_another_job(cluster: Cluster) -> None:
    take_claim()
    cluster.account(f"12_0|OUT_OF_MEMORY|0:125|{at(0)}|n1|/elsewhere")
    found = SlurmQueue().outcome("r1", "train", "hash")
    assert found is not None and found.status == "ready"


def test_a_job_that_a_person_submitted_is_not_one_that_has_its_id_later(cluster: Cluster) -> None:
    write_record("running", job="44", submission="", started=time.time() - DAY)
    for later_s, is_ours in ((2 * DAY, True), (0.0, False)):
        cluster.show(queue_row("44", "RUNNING", "(null)") + f"|{at(later_s)}|n1")
        assert (SlurmQueue().active("r1", "train") is not None) == is_ours
