"""An experiment on another machine: cloned, pulled, run again; and what DVC's cache may lose."""

import csv
import io
import json
import os
import subprocess
import sys
from hashlib import md5
from pathlib import Path

import collect_garbage
import pytest
from ftexp.ground import cores
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import dump_yaml, parse_yaml
from ftexp.reporting.metrics import write_metrics
from ftexp.results.table import NUMBERS
from ftexp.state import dvc_files
from ftexp.state.dvc_files import root_pipeline
from ftexp.state.garbage import CACHE_DIR, unneeded
from helpers.experiments import bake_small, edit, make, results
from helpers.runs import a_run
from warm.environment import warm_environment

IDENTITY = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
PRODUCTS = ("results.csv", "effects.csv", "runs/r2_s1/checkpoint/adapter_model.safetensors")


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *IDENTITY, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def dvc(folder: Path, *words: str) -> str:
    return subprocess.run([".venv/bin/dvc", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)


@pytest.mark.slow
def test_a_clone_gives_the_same_bytes_pulled_at_once_or_run_again(tmp_path: Path) -> None:
    folder = bake_small(tmp_path, factors="{lora_rank: [2, 4], seed: [1]}")
    edit(folder / "experiment.yaml", "epochs: 2, batch_size: 32", "epochs: 1, batch_size: 16, lr: 3.0e-3")
    make(folder, "setup", f"VENV={warm_environment()}")
    make(folder, "all")
    (tmp_path / "a store").mkdir()
    dvc(folder, "remote", "add", "--default", "store", "../a store")
    dvc(folder, "push")
    commit(folder, "results")
    products = {name: (folder / name).read_bytes() for name in PRODUCTS}
    pulled, again = tmp_path / "a clone", tmp_path / "another clone"
    for clone in (pulled, again):
        git(tmp_path, "clone", "-q", str(folder), str(clone))
        make(clone, "setup", f"VENV={warm_environment()}")
    dvc(pulled, "pull")
    made = make(pulled, "all")
    assert "train: 0 to do, 2 done" in made.stderr and "eval: 0 to do, 3 done" in made.stderr
    assert {line[3:] for line in git(pulled, "status", "--porcelain").splitlines()} <= {"events.jsonl"}
    assert "up to date" in dvc(pulled, "status")
    shown = list(csv.DictReader(io.StringIO(dvc(pulled, "metrics", "show", "--md").replace("|", ","))))
    assert len(shown) == 1 + len(results(pulled))  # and the rule under the header
    dvc(again, "repro")
    for clone in (pulled, again):
        assert {name: (clone / name).read_bytes() for name in PRODUCTS} == products
    assert "up to date" in dvc(again, "status")


def test_a_run_computes_with_as_many_threads_however_many_run_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for available, threads in ((1, 1), (2, 1), (4, 1), (6, 1), (8, 2), (64, 16)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, count=available: set(range(count)))
        assert cores.threads_on_cpu() == threads
        assert cores.threads_on_cpu() * cores.runs_on_cpu() <= available


def test_metrics_are_the_tables_numbers_run_by_run_and_a_missing_one_is_null(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    header = ["run", "kind", "task", "metric", *NUMBERS]
    rows = [
        ["r2", "trained", "test", "exact", "", "0.5", "0.1", "0.25", "", "", "", "1.25"],
        ["r2", "trained", "test", "f1", "0.9", "0.75", *[""] * 5, "1.25"],
        ["r4", "trained", "test", "exact", *[""] * 8],
    ]
    assert write_metrics(header, rows) and not write_metrics(header, rows)
    unknown = dict.fromkeys(name for name in NUMBERS if name != "train_loss")
    assert json.loads(Path("metrics/r2.json").read_text()) == {"train_loss": 1.25, "test": {
        "exact": {**unknown, "score": 0.5, "score_se": 0.1, "majority": 0.25}, "f1": {**unknown, "valid": 0.9, "score": 0.75},
    }}
    assert json.loads(Path("metrics/r4.json").read_text()) == {"train_loss": None, "test": {"exact": unknown}}
    assert write_metrics(header, rows[:1]) and [path.name for path in Path("metrics").iterdir()] == ["r2.json"]


def test_dvc_is_told_of_metrics_params_and_every_trainings_loss() -> None:
    kinds = {"base": "control", "r2": "trained", "r4": "trained"}
    runs = [a_run(name, kind, settings={"model": "m"}) for name, kind in kinds.items()]
    document = parse_yaml(root_pipeline(runs), "dvc.yaml")
    assert (document["metrics"], document["params"]) == (["metrics"], ["experiment.yaml"])
    assert document["plots"][0]["training loss"]["y"] == {"runs/r2/train.csv": "loss", "runs/r4/train.csv": "loss"}
    assert {"metrics": {"cache": False}} in document["stages"]["report"]["outs"]


def cached(content: bytes, suffix: str = "") -> str:
    """Put an object into the cache; its name."""
    digest = md5(content, usedforsecurity=False).hexdigest() + suffix
    path = CACHE_DIR / digest[:2] / digest[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digest


def lock(path: str, outputs: dict[str, str]) -> None:
    outs = [{"path": name, "hash": "md5", "md5": digest} for name, digest in outputs.items()]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(dump_yaml({"schema": "2.0", "stages": {"train": {"cmd": "x", "outs": outs}}}))
    listed = [{name: {"cache": False}} if name.endswith(".csv") else name for name in outputs]
    stages = {"train": {"wdir": "../..", "cmd": "x", "outs": listed}}
    Path(path).with_name("dvc.yaml").write_text(dump_yaml({"stages": stages}))


@pytest.fixture
def two_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run r2 was trained again since the first commit, r4 left the design; a part of r2's folder is in both versions."""
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "-q")
    subprocess.run([str(warm_environment() / "bin/dvc"), "init", "-q"], check=True)
    Path("experiment.yaml").write_text("")
    same, old, new = cached(b"config"), cached(b"1" * 2_000_000), cached(b"2" * 3_000_000)
    listings = [[{"md5": same, "relpath": "config"}, {"md5": part, "relpath": "weights"}] for part in (old, new)]
    versions = [cached(json.dumps(listing).encode(), ".dir") for listing in listings]
    lock("runs/r4/dvc.lock", {"runs/r4/checkpoint": cached(b"4" * 500)})
    lock("runs/r2/dvc.lock", {"runs/r2/checkpoint": versions[0], "runs/r2/train.csv": cached(b"loss of old")})
    commit(tmp_path, "first")
    lock("runs/r2/dvc.lock", {"runs/r2/checkpoint": versions[1], "runs/r2/train.csv": cached(b"loss of new")})
    commit(tmp_path, "second")
    cached(b"nobody's")
    return tmp_path


def objects() -> int:
    return len(list(CACHE_DIR.glob("??/*")))


@pytest.mark.usefixtures("two_commits")
def test_what_only_an_earlier_commit_needs_is_named_with_its_size() -> None:
    found = unneeded()
    (name, said), size = next(iter(found.of_commits.items()))
    assert len(found.of_commits) == 1 and name == "runs/r2/checkpoint" and said.endswith(" first")
    assert 2_000_000 < size < 2_001_000
    assert found.of_nobody == 3  # and the two tables that are in git


@pytest.mark.usefixtures("two_commits")
def test_gc_deletes_what_it_said_and_history_only_where_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(warm_environment() / "bin/python"))
    before = objects()
    monkeypatch.setenv("DRY", "1")
    assert collect_garbage.main([]) == 0 and objects() == before
    said = capfd.readouterr().out
    assert "only earlier commits need: 1 outputs, 2.0 MB: kept" in said and "runs/r2/checkpoint  2.0 MB  last in" in said
    monkeypatch.setenv("DRY", "0")
    assert collect_garbage.main([]) == 0
    assert unneeded().of_nobody == 0 and len(unneeded().of_commits) == 1
    monkeypatch.setenv("ALL", "1")
    assert collect_garbage.main([]) == 0
    assert not unneeded().of_commits and objects() == 4


@pytest.mark.usefixtures("two_commits")
def test_what_a_person_gave_dvc_is_needed(two_commits: Path) -> None:
    before = unneeded()
    digest = cached(b"a data file of many gigabytes")
    assert unneeded().of_nobody == before.of_nobody + 1
    Path("data/raw").mkdir(parents=True)
    named = Path("data/raw/extra.bin.dvc")
    named.write_text(dump_yaml({"outs": [{"md5": digest, "size": 29, "hash": "md5", "path": "extra.bin"}]}))
    assert unneeded() == before
    commit(two_commits, "with extra.bin")
    named.unlink()
    assert [name for name, _ in unneeded().of_commits] == ["extra.bin", "runs/r2/checkpoint"]


@pytest.mark.usefixtures("two_commits")
def test_a_lock_in_a_merge_conflict_is_named_and_stays() -> None:
    path = Path("runs/r2/dvc.lock")
    text = path.read_text().replace("stages:", "<<<<<<< HEAD\nstages:\n=======\nstages:\n>>>>>>> theirs")
    path.write_text(text)
    with pytest.raises(UserError, match=r"^runs/r2/dvc.lock: holds a merge conflict. Take one side"):
        dvc_files._read_lock(path)
    assert path.read_text() == text
    with pytest.raises(UserError, match="cannot be read .*Mend it; nothing was deleted"):
        unneeded()
    path.write_text("schema: '2.0'\nstages:\n  tra")  # as a kill leaves it
    assert dvc_files._read_lock(path) == {} and not path.exists()
    assert path.with_name("dvc.lock.unreadable").read_text().endswith("  tra")
