"""What an experiment is like after `make all`: whole, in git and DVC, nothing left to do, and itself in a clone."""

import subprocess
from pathlib import Path

from helpers.experiments import make, results, times
from helpers.pipeline_experiment import RUNS
from warm.environment import warm_environment


def test_make_all_fills_every_row(finished: Path) -> None:
    table = results(finished)
    assert list(table) == ["base", *RUNS]
    assert all(row["eval_status"] == "done" and row["score"] and row["n"] == "24" for row in table.values())
    assert all(table[run]["train_status"] == "done" and float(table[run]["train_loss"]) > 0 for run in RUNS)
    assert "://" not in (finished / "report.html").read_text(encoding="utf-8")


def test_who_may_read_an_experiment_is_for_the_umask_to_say(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in (tmp_path / "folder", tmp_path / "file")}
    parts = [finished / name for name in ("runs", "figures", "metrics", "data/splits")]
    listed = [*finished.glob("*.*"), *parts, *(path for part in parts for path in part.rglob("*"))]
    found = [path for path in listed if not path.is_symlink()]
    assert len(found) > 40 and not [str(path) for path in found if path.stat().st_mode & 0o777 != modes[path.is_dir()]]


def test_a_second_make_all_changes_no_file(finished: Path) -> None:
    before = times(finished)
    make(finished, "all")
    after = times(finished)
    assert {name for name in {*before, *after} if before.get(name) != after.get(name)} <= {"events.jsonl"}


def test_dvc_repro_has_nothing_to_do_after_make_all(finished: Path) -> None:
    result = subprocess.run([".venv/bin/dvc", "status"], cwd=finished, capture_output=True, text=True, check=True)
    assert "up to date" in result.stdout, result.stdout
    before = times(finished)
    subprocess.run([".venv/bin/dvc", "repro", "--quiet"], cwd=finished, check=True)
    changed = {name for name, stamp in times(finished).items() if before.get(name) != stamp}
    assert not [name for name in changed if not name.startswith(".dvc/")]


def test_nothing_committed_holds_a_machines_path(finished: Path) -> None:
    command = ["git", "ls-files", "--others", "--cached", "--exclude-standard"]
    listed = subprocess.run(command, cwd=finished, capture_output=True, text=True, check=True).stdout.split()
    guilty = [name for name in listed if str(finished).encode() in (finished / name).read_bytes()]
    assert "runs/r2_s1/finetune.yaml" in listed and not guilty


def test_the_effects_are_in_git_and_the_answers_in_dvc(finished: Path) -> None:
    command = ["git", "ls-files", "--others", "--cached", "--exclude-standard"]
    listed = subprocess.run(command, cwd=finished, capture_output=True, text=True, check=True).stdout.split()
    assert {"effects.csv", "figures/effect-lora_rank.svg", "figures/effect-lora_rank.png"} <= set(listed)
    assert "items.parquet" not in listed and (finished / "items.parquet").is_file()
    lock = (finished / "dvc.lock").read_text(encoding="utf-8")
    assert all(f"path: {name}" in lock for name in ("effects.csv", "items.parquet", "figures", "experiment.yaml"))


def test_a_number_of_the_table_is_cited_down_to_its_log(finished: Path) -> None:
    said = make(finished, "cite", "RUN=r2_s1").stdout
    score = results(finished)["r2_s1"]["score"]
    assert f"score: '{score}'" in said and "lora_rank: 2" in said and "runs/r2_s1/eval/test.eval: " in said
    assert said.count("device: cpu") >= 2, "training and evaluation say what they computed on"
    refused = make(finished, "cite", "RUN=r3_s1", check=False)
    assert refused.returncode == 2 and "RUN: there is no run 'r3_s1'. Did you mean 'r" in refused.stderr


def test_a_clone_of_the_committed_experiment_is_ready_after_setup_and_unchanged_by_it(copy: Path, tmp_path: Path) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "add", "-A"], cwd=copy, check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "results"], cwd=copy, check=True)
    clone = tmp_path / "a clone"
    subprocess.run(["git", "clone", "-q", str(copy), str(clone)], check=True)
    make(clone, "setup", f"VENV={warm_environment()}")
    make(clone, "split", "validate")
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True).stdout
    assert {line[3:] for line in changed.splitlines()} <= {"events.jsonl", "preflight.json"}, changed
