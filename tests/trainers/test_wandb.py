"""Weights & Biases beside train.csv, offline and for real; and that a secret in .env stays there through every stage."""

import csv
import json
import os
import shutil
import subprocess
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pandas
import pytest
import yaml
import zipfile_zstd  # noqa: F401  (lets zipfile read what inspect-ai packs)
from ftexp.checks.site_check import check_tracking
from ftexp.ground.errors import UserError
from ftexp.jobs.diagnosis import ADVICE, sign_in_text
from ftexp.jobs.job_script import check_template
from ftexp.jobs.site import Site, read_site
from ftexp.jobs.stages import StageFailed, require_tracking
from ftexp.life.rehearsal import local_site
from ftexp.trainers import tracking
from ftexp.trainers.tracker import Tracker, open_tracker
from ftexp.trainers.tracking import missing_key
from helpers.experiments import bake_small, edit, make
from helpers.runs import a_run
from warm.environment import warm_environment

TEMPLATE = Path(__file__).resolve().parents[2]
JOB_TEMPLATE = (TEMPLATE / "{{cookiecutter.experiment_name}}" / "job.slurm.template").read_text(encoding="utf-8")
SECRETS = {"WANDB_API_KEY": "5ec2e7" * 6 + "5ec2", "HF_TOKEN": "hf_5ec2e7ofATest", "OF_THE_LAB": "5ec2e7-of-a-lab"}
RUNS = ("r2_s1", "r2_s2")


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trainings in one process, evaluated and reported, with W&B offline and secrets in .env."""
    folder = bake_small(tmp_path_factory.mktemp("tracked"), factors="{lora_rank: [2], seed: [1, 2]}")
    edit(folder / "experiment.yaml", "epochs: 2, batch_size: 32", "epochs: 1, batch_size: 32, lr: 3.0e-3")
    edit(folder / "site.yaml", "wandb_project: null", "wandb_project: the lab's project")
    edit(folder / "site.yaml", "jobs: null", "jobs: 1")
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()), encoding="utf-8")
    (folder / ".env").chmod(0o600)
    make(folder, "setup", f"VENV={warm_environment()}")
    make(folder, "all")
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    return folder


def wandb_runs(folder: Path) -> dict[str, tuple[Any, dict[str, Any], list[dict[str, Any]]]]:
    """Per W&B run in logs/wandb, by its name, what it says of itself, its config, and its rows."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    found: dict[str, tuple[Any, dict[str, Any], list[dict[str, Any]]]] = {}
    for path in sorted(folder.glob("logs/wandb/offline-run-*/run-*.wandb")):
        store, about, config, rows = DataStore(), None, {}, []
        store.open_for_scan(str(path))
        while (data := store.scan_data()) is not None:
            record = wandb_internal_pb2.Record.FromString(data)
            if record.HasField("run"):
                about = record.run
            config |= {item.key: json.loads(item.value_json) for item in record.config.update if item.key}
            if record.HasField("history"):
                rows.append({item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item})
        assert about is not None and about.display_name not in found, path
        found[about.display_name] = (about, config, rows)
    return found


def trained_rows(folder: Path, run: str) -> list[dict[str, str]]:
    """train.csv without its one column that is a time."""
    with (folder / "runs" / run / "train.csv").open(encoding="utf-8", newline="") as file:
        return [{name: value for name, value in row.items() if name != "tokens_per_s"} for row in csv.DictReader(file)]


def test_each_training_is_a_wandb_run_of_its_own_with_the_losses_of_its_train_csv(tracked: Path) -> None:
    runs = wandb_runs(tracked)
    assert set(runs) == set(RUNS)
    assert len({about.run_id for about, _, _ in runs.values()}) == 2
    for name, (about, config, rows) in runs.items():
        assert (about.project, about.run_group) == ("the lab's project", "small")
        steps = [(row["global_step"], row["loss"]) for row in rows if "loss" in row]
        assert steps == [(int(row["step"]), float(row["loss"])) for row in trained_rows(tracked, name)] and len(steps) == 3
        assert config["model"]["lora_rank"] == 2 and config["seed"] == int(name[-1])


def test_every_secret_is_in_dot_env_and_in_no_other_file(tracked: Path) -> None:
    names = [path for path in tracked.rglob("*") if path.is_file() and ".venv" not in path.relative_to(tracked).parts]
    found = {str(path.relative_to(tracked)): _content(path) for path in names}
    # The search sees what is compressed: git's objects, DVC's cache, the logs of inspect-ai, the table of answers.
    kinds = {name.split("/")[0] for name, content in found.items() if b"r2_s1" in content}
    assert {".git", ".dvc", "logs", "runs", "results.csv", "report.html", "items.parquet", ".scratch"} <= kinds
    assert b"r2_s1" in found["runs/r2_s1/eval/test.eval"]
    assert {name for name, content in found.items() if any(value.encode() in content for value in SECRETS.values())} == {".env"}


def _content(path: Path) -> bytes:
    """A file's bytes, and what they hold once unpacked."""
    content = path.read_bytes()
    if ".git/objects" in str(path) and path.parent.name != "pack":
        return zlib.decompress(content)
    if content[:4] == b"PAR1":
        return content + pandas.read_parquet(path).to_csv().encode()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return content + b"".join(map(archive.read, archive.namelist()))
    return content


def test_nothing_of_wandb_outlives_the_training_or_lies_in_git_or_dvc(tracked: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=tracked, capture_output=True, text=True, check=True).stdout.split()
    assert "runs/r2_s1/train.csv" in listed and not [name for name in listed if name.startswith("logs") or "wandb" in name]
    assert "logs" in (tracked / ".dvcignore").read_text(encoding="utf-8").split()
    assert not [path for path in tracked.glob("logs/wandb/**/*") if path.is_symlink() and not path.exists()]
    assert not [pid for pid in Path("/proc").iterdir() if pid.name.isdigit() and _is_wandbs(pid, tracked)]


def _is_wandbs(process: Path, folder: Path) -> bool:
    try:
        return b"wandb-core" in (process / "cmdline").read_bytes() and (process / "cwd").resolve().is_relative_to(folder)
    except OSError:  # it has ended, or is another user's
        return False


def test_with_and_without_wandb_the_adapter_and_the_losses_are_the_same_bytes(tracked: Path, tmp_path: Path) -> None:
    plain = Path(shutil.copytree(tracked, tmp_path / "small", symlinks=True))
    edit(plain / "site.yaml", "wandb_project: the lab's project", "wandb_project: null")
    shutil.rmtree(plain / "logs")
    for name in ("train.json", "train.csv"):
        (plain / "runs/r2_s1" / name).unlink()
    shutil.rmtree(plain / "runs/r2_s1/checkpoint")
    assert "r2_s1" in make(plain, "submit", "ONLY=r2_s1").stderr
    weights = "runs/r2_s1/checkpoint/adapter_model.safetensors"
    assert not (plain / "logs").exists()
    assert (plain / weights).read_bytes() == (tracked / weights).read_bytes()
    assert trained_rows(plain, "r2_s1") == trained_rows(tracked, "r2_s1")


def test_naming_a_project_makes_nothing_stale(tracked: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tracked, tmp_path / "small", symlinks=True))
    edit(copy / "site.yaml", "wandb_project: the lab's project", "wandb_project: another")
    edit(copy / "site.yaml", "offline: true", "offline: false")
    said = make(copy, "status").stdout
    assert said.count(" done") == 5 and "stale" not in said and "FTEXP_WANDB_MODE=online" in (
        copy / "runs/r2_s1/finetune.slurm"
    ).read_text(encoding="utf-8")


def _named(scratch: Path, *, is_resumed: bool, run: str = "r2") -> dict[str, Any]:
    tracking.name_wandb_run(a_run(run), scratch, is_resumed=is_resumed)
    return dict(json.loads(os.environ["FTEXP_WANDB_RUN"]))


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that logs online, on a machine that knows no key."""
    monkeypatch.setenv("FTEXP_WANDB_PROJECT", "p")
    monkeypatch.setenv("FTEXP_WANDB_MODE", "online")
    monkeypatch.setenv("FTEXP_WANDB_RUN", "")
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("online")
def test_a_training_that_goes_on_goes_on_in_its_wandb_run_and_one_that_begins_anew_does_not(tmp_path: Path) -> None:
    first = _named(tmp_path, is_resumed=False)
    assert (first["name"], first["group"], first["resume"]) == ("r2", "e", "allow")
    assert _named(tmp_path, is_resumed=True) == first
    assert _named(tmp_path, is_resumed=False)["id"] != first["id"]


def test_a_job_without_a_project_names_no_wandb_run_whatever_ran_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FTEXP_WANDB_RUN", "{}")
    monkeypatch.delenv("FTEXP_WANDB_PROJECT", raising=False)
    tracking.name_wandb_run(a_run("r2"), tmp_path, is_resumed=False)
    assert "FTEXP_WANDB_RUN" not in os.environ and open_tracker() is None


@pytest.mark.usefixtures("online")
def test_online_without_a_key_is_warned_of_and_ends_a_training_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    cure = "Put WANDB_API_KEY=<key> into .env, or set offline: true, or wandb_project: null"
    site = Site(wandb_project="p", offline=False)
    (warning,) = check_tracking(site, os.environ)
    assert warning.startswith("site.yaml: wandb_project: is set and offline is false, but there is no key") and cure in warning
    with pytest.raises(StageFailed, match="there is no key to Weights & Biases"):
        require_tracking()
    assert check_tracking(site, {"WANDB_API_KEY": "k"}) == []
    assert check_tracking(Site(wandb_project="p"), {}) == check_tracking(Site(offline=False), {}) == []
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password k\n", encoding="utf-8")
    (tmp_path / ".netrc").chmod(0o600)
    require_tracking()


def test_why_wandb_refused_is_a_reason_with_its_cure() -> None:
    sign = sign_in_text(f"wandb: setting up\n{tracking.REFUSED}: Failed to get resume status\n")
    assert sign is not None and "WANDB_API_KEY in .env" in ADVICE[sign] and "offline: true" in ADVICE[sign]


@pytest.mark.parametrize("name", ["a/b", "a#b", "a:b", "100%", "", " a", "a ", "a\nb", "x" * 129])
def test_a_project_that_wandb_would_refuse_is_refused_at_once(name: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump({"wandb_project": name}), encoding="utf-8")
    with pytest.raises(UserError, match="^site.yaml: wandb_project: must be a name of at most 128 characters without"):
        read_site(path)


def test_a_lab_template_that_would_log_nothing_is_refused_only_where_a_project_is_named() -> None:
    template = JOB_TEMPLATE.replace("{{wandb}}\n", "")
    check_template(template, Site(), "t")
    with pytest.raises(UserError, match=r"^t: names no \{\{wandb\}\}: site.yaml says wandb_project.* Put it back\.$"):
        check_template(template, Site(wandb_project="p"), "t")


def test_a_rehearsal_logs_nowhere() -> None:
    assert "wandb_project" not in local_site({"wandb_project": "p", "offline": False}, has_modules=False)


def test_a_tracker_that_is_lost_in_mid_training_ends_nothing_and_says_so_once(capfd: pytest.CaptureFixture[str]) -> None:
    class Dead:
        Error = RuntimeError

        def log(self, payload: object) -> None:
            raise ConnectionResetError("the service is gone")

        finish = teardown = log

    tracker = Tracker.__new__(Tracker)
    tracker._wandb, tracker._is_lost = Dead(), False
    for step in (1, 2):
        tracker.log_dict({"loss": 1.0}, step)
    tracker.close()
    said = capfd.readouterr().err
    assert said.count("Weights & Biases is lost from here on (the service is gone); train.csv has every step") == 1


@pytest.mark.parametrize("environment", [{"WANDB_BASE_URL": "http://[x"}, {"NETRC": "netrc"}])
def test_an_address_or_a_netrc_that_cannot_be_read_is_a_missing_key(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("netrc").write_bytes(b"machine api.wandb.ai login user password \xff")
    assert "there is no key to Weights & Biases" in (missing_key(environment) or "")
