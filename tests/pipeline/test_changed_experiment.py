"""A finished experiment that is changed: what becomes stale and is done again, and what does not."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.experiments import edit, make, results, status_words, times
from helpers.pipeline_experiment import RUNS

DATASET_PY = "ftexp/trainers/prompted_rows.py"


def test_after_a_new_level_dvc_repro_runs_only_the_new_runs_and_the_report(copy: Path) -> None:
    before = times(copy)
    edit(copy / "experiment.yaml", "lora_rank: [2, 4]", "lora_rank: [2, 4, 8]")
    make(copy, "repro")
    after, table = times(copy), results(copy)
    assert list(table) == ["base", *RUNS, "r8_s1"] and table["r8_s1"]["eval_status"] == "done"
    products = ("train.json", "eval.json", ".safetensors", ".eval")
    old = [name for name in before if name.startswith("runs/") and name.endswith(products)]
    assert len(old) == 10 and all(before[name] == after[name] for name in old)
    status = subprocess.run([".venv/bin/dvc", "status"], cwd=copy, capture_output=True, text=True, check=True)
    assert "up to date" in status.stdout


def test_a_removed_run_is_kept_and_not_reported(copy: Path) -> None:
    edit(copy / "experiment.yaml", "lora_rank: [2, 4]", "lora_rank: [2]")
    made = make(copy, "all")
    assert list(results(copy)) == ["base", "r2_s1"]
    assert (copy / "runs/r4_s1/checkpoint/adapter_model.safetensors").is_file()
    assert "not in the design (kept, not reported): r4_s1\n" in made.stderr


def test_what_changes_no_number_makes_nothing_stale(copy: Path) -> None:
    edit(copy / "site.yaml", "jobs: null", "jobs: 1")
    edit(copy / "experiment.yaml", "# any column of the data", "# another comment")
    with (copy / "scripts/ftexp/models/chat.py").open("a", encoding="utf-8") as file:
        file.write("\n# a comment\n")
    with (copy / "scripts/report.py").open("a", encoding="utf-8") as file:
        file.write("\nUNUSED = 1\n")
    assert status_words(copy) == {"done"}


@pytest.mark.parametrize(
    ("change", "stage", "reason"),
    [
        (lambda f: edit(f / "experiment.yaml", "lr: 3.0e-3", "lr: 1.0e-3"), "train", "finetune.yaml"),
        (lambda f: edit(f / "experiment.yaml", "max_tokens: 16", "max_tokens: 17"), "eval", "eval.py"),
        (
            lambda f: edit(f / f"scripts/{DATASET_PY}", "IGNORED_LABEL = -100", "IGNORED_LABEL = -100 + 0"),
            "train", "the code",
        ),
        (lambda f: edit(f / "data/models/tiny-instruct/config.json", "{", "{ "), "train", "the base model"),
    ],
)
def test_what_changes_a_number_makes_it_stale(copy: Path, change: Callable[[Path], None], stage: str, reason: str) -> None:
    change(copy)
    rows = [line.split(maxsplit=4) for line in make(copy, "status").stdout.splitlines()]
    concerned = [row for row in rows if row and row[0] in RUNS and row[1] == stage]
    assert len(concerned) == len(RUNS)
    assert all(row[2] == "stale" and reason in row[4] for row in concerned), concerned


def test_a_changed_data_file_is_noticed_until_it_is_split_again(copy: Path) -> None:
    raw = copy / "data/raw/words.json"
    raw.write_text(json.dumps(json.loads(raw.read_text(encoding="utf-8"))[:-10]), encoding="utf-8")
    assert status_words(copy) == {"waiting"}
    refused = make(copy, "submit", check=False)
    assert refused.returncode != 0 and "make split" in refused.stderr


def test_what_git_brings_back_is_not_an_edit_by_hand(copy: Path) -> None:
    path = copy / "experiment.yaml"
    before = path.read_text(encoding="utf-8")
    old = (copy / "runs/r2_s1/run.yaml").read_text(encoding="utf-8")
    edit(path, "max_tokens: 16", "max_tokens: 17")
    make(copy, "stamp")
    path.write_text(before.replace("max_tokens: 16", "max_tokens: 18"), encoding="utf-8")
    (copy / "runs/r2_s1/run.yaml").write_text(old, encoding="utf-8")
    make(copy, "stamp")
