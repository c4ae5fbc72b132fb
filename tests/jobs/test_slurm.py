"""Experiments on real Slurm daemons: the good path, and every fault that can be injected. `make test-slurm`; about 15 minutes.

After each fault: no run is lost, none is trained twice, nothing wrong is called done, `make submit eval wait report` completes
the experiment, and its results are the bytes of an undisturbed local run. What came of each fault is written to
docs/slurm-faults.md.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter
from helpers.experiments import REPOSITORY as TEMPLATE
from helpers.experiments import edit, results
from helpers.processes import children_of
from helpers.slurm_cluster import Cluster, missing_packages
from helpers.slurm_experiments import (
    RUN,
    SITE,
    VENV,
    bake,
    has_finished_an_epoch,
    log,
    make,
    on_slurm,
    pause_training,
    record,
    stand_in,
    statuses,
    train_jobs,
)
from helpers.slurm_experiments import trained_adapter as adapter
from helpers.written_tables import promise
from helpers.written_tables import tell as tell_row
from warm.environment import use, warm_environment

promise("slurm-faults", re.findall(r'tell\("([^"]+)"', Path(__file__).read_text(encoding="utf-8")))
MISSING = ", ".join(missing_packages())
pytestmark = [
    pytest.mark.slurm, pytest.mark.skipif(bool(MISSING), reason=f"Slurm's daemons cannot be started here: no {MISSING}"),
]
TIMED_OUT = "slurm_load_jobs error: Socket timed out on send/recv operation"


def tell(fault: str, how: str, outcome: str) -> None:
    """A row of docs/slurm-faults.md; job ids and paths, which differ from run to run, are left out."""
    outcome = re.sub(r"\b\d+_\d+\b", "N", re.sub(r"/\S+/(?=runs|\.scratch)", "", outcome))
    tell_row("slurm-faults", fault, [fault, how, outcome])


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small experiment, finished by the local backend and never disturbed."""
    folder = use(warm_environment(), bake(tmp_path_factory.mktemp("local")))
    make(folder, None, "all")
    return folder


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes of one core."""
    with Cluster(tmp_path_factory.mktemp("s"), nodes=2, cpus_per_node=1) as running:
        yield running


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """The small experiment, its one training still to be done, on Slurm."""
    return on_slurm(finished, tmp_path, RUN)


def complete(folder: Path, cluster: Cluster, finished: Path, **variables: str) -> str:
    """What a person types after any fault; then all is as if nothing had happened. Returns what make said."""
    said = make(folder, cluster, "submit", "eval", "wait", "report", **variables).stderr
    assert_complete(folder, cluster, finished)
    return str(said)


def assert_complete(folder: Path, cluster: Cluster, finished: Path) -> None:
    assert (folder / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()
    assert adapter(folder) == adapter(finished)
    again = make(folder, cluster, "submit", "eval").stderr
    assert "train: 0 to do, 1 done" in again and "eval: 0 to do, 2 done" in again, "something would be done twice"


def submitted(folder: Path, cluster: Cluster, until: str = "epoch") -> str:
    """Submit the training, come back when its first epoch is finished (or when it `runs`), and return its job's id."""
    make(folder, cluster, "submit")
    ready = {"epoch": has_finished_an_epoch, "runs": lambda where: record(where).get("state") == "running"}[until]
    cluster.wait_until(lambda: ready(folder), timeout_s=120, what=f"the training: {until}")
    return str(record(folder)["job_id"])


def status(folder: Path, cluster: Cluster, stage: str = "train") -> str:
    row = statuses(folder, cluster)[RUN, stage]
    return f"{row['status']}: {row['reason']}" if row["reason"] else row["status"]


def wait_for_status(folder: Path, cluster: Cluster, wanted: str, stage: str = "train") -> str:
    cluster.wait_until(lambda: status(folder, cluster, stage).startswith(wanted), timeout_s=60, what=f"{stage} {wanted}")
    return status(folder, cluster, stage)


def assert_every_task_says_its_own_run(folder: Path, cluster: Cluster) -> None:
    """Once tasks run, their comments name the run of their line in the list, and no sibling's."""
    (listed,) = (folder / ".scratch/submissions").glob("train-*.list")
    runs = {line.split("\t")[0]: line.split("\t")[1] for line in listed.read_text().splitlines()}

    def said() -> dict[str, str]:
        jobs = [job for job in cluster.jobs("RUNNING") if ":train:" in job.comment and "@" not in job.comment]
        return {job.id.split("_")[1]: job.comment.split(":")[2] for job in jobs}

    cluster.wait_until(lambda: len(said()) == 2, timeout_s=60, what="two tasks to run")
    assert all(runs[task] == run for task, run in said().items())


def test_the_demo_gives_the_results_of_the_local_backend(cluster: Cluster, tmp_path: Path) -> None:
    """`make demo`, on this machine, is done at once where it was done before."""
    make(TEMPLATE, None, "demo")
    (tmp_path / "site.yaml").write_text(SITE)
    answers = {"site": str(tmp_path / "site.yaml")}
    cookiecutter(str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(tmp_path), default_config=True)
    folder = tmp_path / "capitalization"
    make(folder, None, "setup", f"VENV={VENV}")
    make(folder, cluster, "split", "validate", "submit", "eval")
    assert_every_task_says_its_own_run(folder, cluster)
    assert "cancel: 2 jobs, " in make(folder, cluster, "cancel", ONLY="r16_lr3e-3_s2").stderr
    make(folder, cluster, "submit", "eval", "wait", "report")
    assert (folder / "results.csv").read_bytes() == (TEMPLATE / "demo/capitalization/results.csv").read_bytes()
    assert len(results(folder)) == 9 and all(row["score"] for row in results(folder).values())


def test_all_targets_typed_at_once_complete_the_experiment(finished: Path, cluster: Cluster, folder: Path) -> None:
    said = make(folder, cluster, "submit", "eval", "wait", "report").stderr
    assert "train: 1 job in 1 array, at most 0.0 GPU hours" in said and "eval: 1 job in 1 array" in said
    assert_complete(folder, cluster, finished)
    row = statuses(folder, cluster)[RUN, "train"]
    assert row["status"] == "done" and re.fullmatch(r"\d+_0", row["job"]) and re.fullmatch(r"\d+:\d\d", row["time"])
    known = subprocess.run([".venv/bin/dvc", "status"], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert "up to date" in known, known


def test_every_job_says_whose_it_is_and_nothing_is_submitted_twice(finished: Path, cluster: Cluster, folder: Path) -> None:
    before = train_jobs(cluster)
    make(folder, cluster, "submit", "eval")
    again = make(folder, cluster, "submit", "eval").stderr
    assert "0 to do, 0 done, 1 under way" in again and f"runs/{RUN}: skipped: " in again
    comments = {job.comment for job in cluster.jobs("PENDING,RUNNING")}
    assert len(comments) == 2 and all(re.fullmatch(rf"ftexp:small:{RUN}:(train|eval):[0-9a-f]{{64}}", text) for text in comments)
    assert len(train_jobs(cluster) - before) == 1
    make(folder, cluster, "wait", "report")
    assert_complete(folder, cluster, finished)


def test_cancel_ends_ours_only_and_the_run_is_ready_again(finished: Path, cluster: Cluster, folder: Path) -> None:
    other = cluster.run("sbatch", "--parsable", "--wrap", "sleep 600").strip()
    submitted(folder, cluster)
    make(folder, cluster, "eval")
    said = make(folder, cluster, "cancel").stderr
    assert "cancel: 2 jobs, 1 of them running" in said
    assert wait_for_status(folder, cluster, "ready").startswith("ready: was ")
    assert cluster.states(other) == ["RUNNING"] or cluster.states(other) == ["PENDING"]
    cluster.run("scancel", other)
    assert "resuming after epoch" in (complete(folder, cluster, finished) + log(folder))


def test_a_finished_experiment_can_be_pushed_and_pulled(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    complete(folder, cluster, finished)
    dvc = str(folder / ".venv/bin/dvc")
    subprocess.run([dvc, "remote", "add", "--default", "store", str(tmp_path / "store")], cwd=folder, check=True)
    subprocess.run([dvc, "push", "--quiet"], cwd=folder, check=True)
    shutil.rmtree(folder / ".dvc/cache")
    shutil.rmtree(folder / f"runs/{RUN}/checkpoint")
    subprocess.run([dvc, "pull", "--quiet"], cwd=folder, check=True)
    assert adapter(folder) == adapter(finished)


def test_report_says_at_any_time_what_is_missing(cluster: Cluster, folder: Path) -> None:
    submitted(folder, cluster, "runs")
    said = make(folder, cluster, "report").stderr
    assert f"runs/{RUN}: train running, eval waiting" in said
    assert results(folder)[RUN]["score"] == "" and results(folder)["base"]["score"] != ""
    make(folder, cluster, "cancel")


def test_killed_by_a_signal(finished: Path, cluster: Cluster, folder: Path) -> None:
    submitted(folder, cluster)
    pid = record(folder)["pid"]
    for process in [pid, *children_of(pid)]:
        os.kill(process, signal.SIGKILL)
    reason = wait_for_status(folder, cluster, "failed")
    complete(folder, cluster, finished)
    assert "resuming after epoch" in log(folder)
    tell("killed by a signal", "kill -9 of the job's processes after its first epoch", reason + "; resumed after that epoch")


def test_the_training_process_alone_killed(finished: Path, cluster: Cluster, folder: Path) -> None:
    submitted(folder, cluster)
    for process in children_of(record(folder)["pid"]):
        os.kill(process, signal.SIGKILL)
    reason = wait_for_status(folder, cluster, "failed")
    assert "killed by SIGKILL" in reason
    complete(folder, cluster, finished)
    tell("the training process alone killed", "kill -9 of the recipe's process, not of the job", reason + "; resumed")


def test_walltime_in_epoch_2_of_3(finished: Path, cluster: Cluster, folder: Path) -> None:
    job = submitted(folder, cluster)
    pause_training(folder)
    cluster.expire(job, 45)
    cluster.wait_until(lambda: record(folder).get("state") == "stopped", timeout_s=90, what="the warning of the walltime")
    reason = record(folder)["reason"]
    assert re.search(r"reached its walltime of 10 min; goes on after epoch [12]", reason)
    assert wait_for_status(folder, cluster, "submitted").startswith("submitted: reached its walltime")
    complete(folder, cluster, finished)
    assert "try 2" in log(folder) and "resuming after epoch" in log(folder)
    assert record(folder)["job_id"] == job, "the same job, requeued"
    tell("walltime in epoch 2 of 3", "the job's time limit moved to 45 s from now in epoch 2", f"{reason}; it requeued itself")


def test_walltime_without_a_warning(finished: Path, cluster: Cluster, folder: Path) -> None:
    edit(folder / "site.yaml", "warn_s: 20", "warn_s: 0")
    job = submitted(folder, cluster)
    pause_training(folder)
    cluster.expire(job, 1)
    cluster.wait_until(lambda: cluster.states(job) == ["TIMEOUT"], timeout_s=90, what="TIMEOUT")
    reason = wait_for_status(folder, cluster, "failed")
    assert "time_min" in reason
    complete(folder, cluster, finished)
    tell("walltime without a warning", "warn_s: 0, the job's time limit moved to now", reason + "; resumed by the next submit")


def test_tries_are_bounded(cluster: Cluster, folder: Path) -> None:
    edit(folder / "site.yaml", "warn_s: 20", "warn_s: 20\ntries: 1")
    job = submitted(folder, cluster)
    pause_training(folder)
    cluster.run("scancel", "--batch", "--signal=USR1", job)
    reason = wait_for_status(folder, cluster, "failed")
    assert "in the last of 1 tries" in reason and "Raise train.time_min or tries in site.yaml" in reason


def test_scontrol_requeue(finished: Path, cluster: Cluster, folder: Path) -> None:
    job = submitted(folder, cluster)
    pause_training(folder)
    cluster.run("scontrol", "requeue", job)
    reason = wait_for_status(folder, cluster, "submitted")
    complete(folder, cluster, finished)
    assert "try 2" in log(folder) and "resuming after epoch" in log(folder)
    tell("scontrol requeue", "`scontrol requeue` in epoch 2", reason + "; went on after the finished epoch")


def test_node_set_down_in_mid_job(finished: Path, cluster: Cluster, folder: Path) -> None:
    job = submitted(folder, cluster)
    pause_training(folder)
    node = cluster.run("squeue", "--noheader", "--format=%N", f"--jobs={job}").strip()
    cluster.node_down(node)
    try:
        reason = wait_for_status(folder, cluster, "submitted")
        complete(folder, cluster, finished)
    finally:
        cluster.node_up(node)
    tell("node set down in mid-job", "`scontrol update State=DOWN` in epoch 2", reason + "; requeued by Slurm, resumed elsewhere")


def test_out_of_memory(finished: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    hog = "import os\nos.register_at_fork(after_in_child=lambda: globals().update(held=b'x' * (3 << 30)))\n"
    (tmp_path / "hog").mkdir()
    (tmp_path / "hog/sitecustomize.py").write_text(hog)
    with Cluster(tmp_path_factory.mktemp("o"), nodes=1, cpus_per_node=2, memory_cgroup=True) as cluster:
        folder = on_slurm(finished, tmp_path, RUN, site=SITE + f"setup: export PYTHONPATH={tmp_path}/hog\n")
        make(folder, cluster, "submit")
        reason = wait_for_status(folder, cluster, "failed")
        assert "out of memory" in reason and "train.mem_gb" in reason
        (folder / "site.yaml").write_text(SITE)
        complete(folder, cluster, finished)
    tell("out of memory", "a training that takes 3 GB of a job's 1 GB, held to it by cgroups", reason)


def test_a_gpu_without_memory_left(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    """What torch raises then, raised in the recipe's first step."""
    raiser = """
import os

def refuse(*arguments, **named):
    import torch
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB")

def patch():
    import torch
    torch.optim.AdamW.step = refuse

os.register_at_fork(after_in_child=patch)
"""
    (tmp_path / "raiser").mkdir()
    (tmp_path / "raiser/sitecustomize.py").write_text(raiser)
    edit(folder / "site.yaml", "poll_s: 1", f"poll_s: 1\nsetup: export PYTHONPATH={tmp_path}/raiser")
    make(folder, cluster, "submit")
    reason = wait_for_status(folder, cluster, "failed")
    assert "out of GPU memory" in reason and "gradient_accumulation_steps (the effective batch stays)" in reason
    (folder / "site.yaml").write_text(SITE)
    complete(folder, cluster, finished)
    tell("a GPU without memory left", "torch's OutOfMemoryError raised in the first step", reason)


def test_a_dependency_that_can_never_be_met(finished: Path, cluster: Cluster, folder: Path) -> None:
    setup = '[ "${FTEXP_SUBMISSION%%-*}" != train ] || { echo no such thing; exit 3; }'
    edit(folder / "site.yaml", "poll_s: 1", f"poll_s: 1\nsetup: '{setup}'")
    said = make(folder, cluster, "submit", "eval", "wait", "report").stderr
    assert "missing, failed or forced in 1 of 2 runs" in said
    reason, waits = status(folder, cluster), status(folder, cluster, "eval")
    assert reason.startswith("failed: its job ended before its work began: no such thing (runs/") and waits.startswith("waiting")
    assert not (folder / f"runs/{RUN}/eval.job.json").exists(), "nothing is evaluated for a run that failed"
    (folder / "site.yaml").write_text(SITE)
    complete(folder, cluster, finished)
    tell("a dependency that can never be met", "a training that exits with 3 before it begins", f"{reason}; its eval {waits}")


def test_a_dependency_that_slurm_has_forgotten(finished: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Cluster(tmp_path_factory.mktemp("f"), nodes=1, cpus_per_node=2, min_job_age_s=2) as cluster:
        folder = on_slurm(finished, tmp_path, RUN)
        job = submitted(folder, cluster)
        for process in children_of(record(folder)["pid"]):
            os.kill(process, signal.SIGKILL)
        cluster.wait_until(lambda: not cluster.jobs(), timeout_s=60, what="Slurm to forget the training")
        reason = status(folder, cluster)
        assert reason.startswith("failed: killed by SIGKILL"), "known without Slurm and without accounting"
        made = cluster.run("sbatch", "--parsable", f"--dependency=afterok:{job}", f"runs/{RUN}/eval.slurm", cwd=folder).strip()
        output = folder / f"slurm-{made}.out"
        cluster.wait_until(lambda: output.is_file() and "cannot begin" in output.read_text(), timeout_s=60, what="the evaluation")
        assert "eval cannot begin: its training is failed" in output.read_text()
        assert not (folder / f"runs/{RUN}/eval").exists()
        complete(folder, cluster, finished)
    tell("a dependency on a job that Slurm has forgotten", "an evaluation that is to wait for a failed, forgotten training",
         "Slurm began it at once; it looked for itself and ended: `eval cannot begin: its training is failed`")


def test_a_kill_between_adapter_and_optimizer(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    killer = f"""
import os, signal
replace = os.replace
def dying(source, target, *rest):
    if str(target).endswith("recipe_state.pt") and "epoch_1" in os.listdir(os.path.dirname(os.path.dirname(target))):
        if not os.path.exists("{tmp_path}/died"):
            open("{tmp_path}/died", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target, *rest)
os.replace = dying
"""
    (tmp_path / "killer").mkdir()
    (tmp_path / "killer/sitecustomize.py").write_text(killer)
    edit(folder / "site.yaml", "poll_s: 1", f"poll_s: 1\nsetup: export PYTHONPATH={tmp_path}/killer")
    make(folder, cluster, "submit")
    reason = wait_for_status(folder, cluster, "failed")
    assert (tmp_path / "died").exists() and (folder / f".scratch/train/{RUN}/epoch_1").is_dir()
    complete(folder, cluster, finished)
    assert "resuming after epoch 1 of 3" in log(folder)
    tell("a kill between adapter and optimizer file", "kill -9 before epoch 2's recipe_state.pt is renamed into place",
         reason + "; resumed after epoch 1, of which both files are whole")


def test_slurmctld_stopped_and_started_under_running_jobs(finished: Path, cluster: Cluster, folder: Path) -> None:
    submitted(folder, cluster)
    pause_training(folder)
    cluster.stop_controller()
    try:
        while_down = make(folder, cluster, "status")
        assert "Slurm does not answer" in while_down.stderr and "running" in while_down.stdout
        refused = make(folder, cluster, "submit", check=False)
        assert refused.returncode != 0 and "Nothing was submitted" in refused.stderr
        pause_training(folder, signal.SIGCONT)
        cluster.wait_until(lambda: record(folder).get("state") == "done", timeout_s=120, what="the training")
    finally:
        cluster.start_controller()
    assert status(folder, cluster) == "done"
    complete(folder, cluster, finished)
    tell("slurmctld stopped and started under running jobs", "the daemon ended in epoch 2, started when the training was over",
         "status shows jobs as last known and says so; submit refuses; the training went on and is done")


def test_the_submit_cap_in_the_middle_of_a_submission(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = bake(tmp_path, factors="{lora_rank: [2], seed: [1, 2, 3]}")
    edit(folder / "experiment.yaml", "epochs: 3", "epochs: 1")
    (folder / "site.yaml").write_text(SITE)
    with Cluster(tmp_path_factory.mktemp("c"), nodes=2, cpus_per_node=1, submit_cap=2) as cluster:
        make(folder, cluster, "split", "validate")
        said = make(folder, cluster, "submit").stderr
        assert "later, by the next call or `make wait`: Slurm says" in said and "Job violates accounting/QOS policy" in said
        assert len({job.id for job in cluster.jobs("PENDING,RUNNING")}) == 2
        assert "2 under way" in make(folder, cluster, "submit").stderr
        make(folder, cluster, "eval", "wait", "report")
        assert all(row["eval_status"] == "done" and row["score"] for row in results(folder).values())
        starts = [log(folder, run=f"r2_s{seed}").count("train of ") for seed in (1, 2, 3)]
        assert starts == [1, 1, 1], "none is trained twice"
        known = make_known_cap(folder, cluster)
    tell("the submit cap in the middle of a submission", "a cap of 2 jobs, an array of 3",
         f"Slurm refused the array; parts of it went in up to the cap, the rest under `make wait`. With submit_cap: 2: {known}")


def make_known_cap(folder: Path, cluster: Cluster) -> str:
    """With the cap in site.yaml nothing is refused: what has no room is left for later."""
    edit(folder / "site.yaml", "poll_s: 1", "poll_s: 1\nsubmit_cap: 2")
    edit(folder / "experiment.yaml", "lr: 3.0e-3", "lr: 2.0e-3")
    said = str(make(folder, cluster, "validate", "submit").stderr)
    match = re.search(r"1 later \(submit_cap is 2\)", said)
    assert match and "Slurm says" not in said
    make(folder, cluster, "cancel")
    return match[0]


def test_an_sbatch_that_fails_once(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    words = "Batch job submission failed: Unable to contact slurm controller (connect failure)"
    text = f'if [ ! -e "$MEMORY" ]; then touch "$MEMORY"; echo "sbatch: error: {words}" >&2; exit 1; fi\nexec "$REAL" "$@"'
    before = train_jobs(cluster)
    make(folder, cluster, "submit", **stand_in(tmp_path, "sbatch", text))
    assert len(train_jobs(cluster) - before) == 1
    complete(folder, cluster, finished)
    tell("an sbatch that fails once", "a stand-in that says `Unable to contact slurm controller`", "it was tried again; one job")


def test_an_sbatch_whose_answer_is_lost(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    lose = f'touch "$MEMORY"; "$REAL" "$@" >/dev/null; echo "sbatch: error: {TIMED_OUT}" >&2; exit 1'
    text = f'if [ ! -e "$MEMORY" ]; then {lose}; fi\nexec "$REAL" "$@"'
    before = train_jobs(cluster)
    make(folder, cluster, "submit", **stand_in(tmp_path, "sbatch", text))
    assert len(train_jobs(cluster) - before) == 1, "Slurm had taken the job"
    complete(folder, cluster, finished)
    tell("an sbatch whose answer is lost", "a stand-in that submits, then says `Socket timed out`",
         "the job was found by its comment; one job")


def test_two_submits_at_once(finished: Path, cluster: Cluster, folder: Path) -> None:
    make(folder, cluster, "stamp")
    before = train_jobs(cluster)
    command = [".venv/bin/python", "scripts/submit.py"]
    both = [subprocess.Popen(command, cwd=folder, env=cluster.environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate()[1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert len(train_jobs(cluster) - before) == 1
    assert "skipped" in said[0] and "job " in said[1]
    complete(folder, cluster, finished)
    tell("two `make submit` at once", "two processes started together",
         "one submitted; the other waited for it, skipped the run and ended with exit status 0")


def test_kill_between_sbatch_and_its_record(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    text = 'answer=$("$REAL" "$@"); kill -9 "$PPID"; echo "$answer"'
    before = train_jobs(cluster)
    died = make(folder, cluster, "submit", check=False, **stand_in(tmp_path, "sbatch", text))
    assert died.returncode != 0 and not list((folder / ".scratch/submissions").glob("*.json"))
    again = make(folder, cluster, "submit").stderr
    assert "1 under way" in again and len(train_jobs(cluster) - before) == 1
    assert list((folder / ".scratch/submissions").glob("*.json")), "what Slurm had answered was found and recorded"
    complete(folder, cluster, finished)
    tell("kill -9 between sbatch and its record", "a stand-in that submits, then kills its caller",
         "the next submit found the job by its comment and skipped the run")


def test_kill_between_the_claim_and_sbatch(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    before = train_jobs(cluster)
    make(folder, cluster, "submit", check=False, **stand_in(tmp_path, "sbatch", 'kill -9 "$PPID"'))
    assert list((folder / ".scratch/claims").iterdir()) and train_jobs(cluster) <= before
    complete(folder, cluster, finished)
    assert len(train_jobs(cluster) - before) == 1
    tell("kill -9 between claim and sbatch", "a stand-in that kills its caller", "Slurm knew no such job; the claim was given up")


@contextmanager
def small_disk(folder: Path, *, size_kb: int) -> Iterator[None]:
    """A file system of its own on a folder."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here to be filled: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_the_disk_full(finished: Path, cluster: Cluster, folder: Path) -> None:
    scratch = folder / ".scratch/train"
    scratch.mkdir(parents=True)
    with small_disk(scratch, size_kb=200):
        make(folder, cluster, "submit")
        reason = wait_for_status(folder, cluster, "failed")
    assert "disk full" in reason or "No space left" in reason
    complete(folder, cluster, finished)
    tell("the disk full", "the trainings' scratch folder on a file system of 200 kB", reason)


def test_the_disk_full_under_submit(finished: Path, cluster: Cluster, folder: Path) -> None:
    make(folder, cluster, "stamp")
    before, claims = train_jobs(cluster), folder / ".scratch/claims"
    claims.mkdir()
    with small_disk(claims, size_kb=4):
        (claims / "full").write_bytes(b"x" * 4096)
        refused = make(folder, cluster, "submit", check=False)
    said = refused.stderr
    assert refused.returncode != 0 and "No space left on device. Make room" in said and "Traceback" not in said
    assert train_jobs(cluster) <= before
    complete(folder, cluster, finished)
    told = next(line for line in said.splitlines() if "No space" in line)
    tell("the disk full under `make submit`", "the folder of claims on a full file system", told)


def test_a_half_written_checkpoint(finished: Path, cluster: Cluster, folder: Path) -> None:
    complete(folder, cluster, finished)
    path = folder / f"runs/{RUN}/checkpoint/adapter_model.safetensors"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    reason = status(folder, cluster)
    assert reason.startswith("ready") and not status(folder, cluster, "eval").startswith("done")
    make(folder, cluster, "repro")
    assert_complete(folder, cluster, finished)
    tell("a half-written checkpoint", "the adapter of a finished training cut in half", reason + "; trained again")


def test_a_manifest_without_its_files(finished: Path, cluster: Cluster, folder: Path) -> None:
    complete(folder, cluster, finished)
    shutil.rmtree(folder / f"runs/{RUN}/checkpoint")
    reason = status(folder, cluster)
    assert reason.startswith("ready")
    complete(folder, cluster, finished)
    tell("a manifest without its files", "the checkpoint's folder deleted, train.json left", reason + "; trained again")


def test_experiment_edited_while_jobs_run(finished: Path, cluster: Cluster, folder: Path) -> None:
    submitted(folder, cluster)
    pause_training(folder)  # validate may take longer than this training
    edit(folder / "experiment.yaml", "lr: 3.0e-3", "lr: 2.0e-3")
    said = make(folder, cluster, "validate", "submit").stderr
    pause_training(folder, signal.SIGCONT)
    assert "for inputs that have changed since; follows when it has ended" in said
    make(folder, cluster, "eval", "wait", "report")
    assert adapter(folder) != adapter(finished) and results(folder)[RUN]["eval_status"] == "done"
    edit(folder / "experiment.yaml", "lr: 2.0e-3", "lr: 3.0e-3")
    make(folder, cluster, "validate")
    complete(folder, cluster, finished)
    tell("experiment.yaml edited while jobs run", "the learning rate changed in epoch 1",
         "the running job was let run, its result is stale; `make wait` submitted the run anew when it had ended")


def test_experiment_edited_while_jobs_wait(finished: Path, cluster: Cluster, folder: Path) -> None:
    nodes = [cluster.run("sbatch", "--parsable", "--wrap", "sleep 600").strip() for _ in range(2)]
    before = train_jobs(cluster)
    make(folder, cluster, "submit")
    edit(folder / "experiment.yaml", "lr: 3.0e-3", "lr: 2.0e-3")
    said = make(folder, cluster, "validate", "submit").stderr
    assert "1 jobs wait for inputs that have changed, and are replaced" in said
    edit(folder / "experiment.yaml", "lr: 2.0e-3", "lr: 3.0e-3")
    make(folder, cluster, "validate")
    for node in nodes:
        cluster.run("scancel", node)
    (new,) = [job for job in train_jobs(cluster) if job not in before and cluster.states(job) != ["CANCELLED"]]
    cluster.wait_until(lambda: cluster.states(new) == ["FAILED"], timeout_s=60, what="the job of the other rate")
    assert "its inputs changed after it was submitted, so this job does nothing" in log(folder)
    complete(folder, cluster, finished)
    tell("experiment.yaml edited while jobs wait", "the learning rate changed before the job began, and back after a submit",
         "the waiting job was replaced; one that began for other inputs than the present ones refused to")


def test_squeue_that_times_out(finished: Path, cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    before = train_jobs(cluster)
    text = f'echo "{TIMED_OUT}" >&2; exit 1'
    refused = make(folder, cluster, "submit", check=False, **stand_in(tmp_path, "squeue", text))
    assert refused.returncode != 0 and "Nothing was submitted" in refused.stderr and train_jobs(cluster) <= before
    every_other = 'n=$(cat "$MEMORY" 2>/dev/null || echo 0); echo $((n + 1)) >"$MEMORY"; [ $((n % 2)) = 1 ]'
    flaky = f'if {every_other}; then {text}; fi\nexec "$REAL" "$@"'
    make(folder, cluster, "submit", "eval")
    (tmp_path / "stand-ins/squeue").unlink()
    make(folder, cluster, "wait", **stand_in(tmp_path, "squeue", flaky))
    complete(folder, cluster, finished)
    tell("squeue that times out", "a stand-in that answers every other call with `Socket timed out`",
         "submit refuses, because it cannot know what is in the queue; wait asks again")


def test_a_job_by_hand_and_a_submit_do_not_train_twice(finished: Path, cluster: Cluster, folder: Path) -> None:
    make(folder, cluster, "stamp")
    cluster.run("sbatch", f"runs/{RUN}/finetune.slurm", cwd=folder)
    cluster.wait_until(lambda: record(folder).get("state") == "running", timeout_s=60, what="the job by hand")
    assert "1 under way" in make(folder, cluster, "submit").stderr
    complete(folder, cluster, finished)


def test_a_distributed_recipe_takes_the_gpus_of_the_profile(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two processes, one on each of two GPUs that are none; what torchtune lacks on a CPU is patched, for the test only."""
    folder = bake(tmp_path, factors="{lora_rank: [2], seed: [1]}")
    edit(folder / "experiment.yaml", "constants: {", "constants: {recipe: lora_finetune_distributed, ")
    profile = SITE.replace("mem_gb: 1, cpus: 1, gpus: 0}", "mem_gb: 4, cpus: 1, gpus: 2}", 1)
    (folder / "site.yaml").write_text(profile + f"setup: export PYTHONPATH={TEMPLATE}/tests/helpers/cpu_patch\n")
    with Cluster(tmp_path_factory.mktemp("g"), nodes=1, cpus_per_node=2, gpus_per_node=2) as cluster:
        said = make(folder, cluster, "split", "validate", "submit", "eval", "wait", "report").stderr
    assert "1 job in 1 array, at most 0.3 GPU hours" in said
    assert "batch_size: 8" in log(folder), "each of two processes takes half of 16 rows"
    assert results(folder)[RUN]["eval_status"] == "done" and float(results(folder)[RUN]["train_loss"]) < 5
