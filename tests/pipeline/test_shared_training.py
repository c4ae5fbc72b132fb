"""One training under several tests, from `make setup` to the results: trained once, evaluated on each, also by `dvc repro`."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from helpers.experiments import bake_small, edit, make, results
from warm.environment import warm_environment

TESTS = "{near: {data.test: data/raw/near.json}, far: {data.test: data/raw/far.json}}"


@pytest.mark.slow
def test_tests_as_a_factor_make_evaluations_and_no_trainings(tmp_path: Path) -> None:
    folder = bake_small(tmp_path, words=160, factors="{seed: [1]}")
    rows = json.loads((folder / "data/raw/words.json").read_text(encoding="utf-8"))
    for name, first, last in (("train", 0, 100), ("near", 96, 110), ("far", 110, 130), ("third", 130, 160)):
        (folder / f"data/raw/{name}.json").write_text(json.dumps(rows[first:last]), encoding="utf-8")
    spec = folder / "experiment.yaml"
    text = re.sub(r"  source:.*\n  split:.*\n", "  train: data/raw/train.json\n", spec.read_text(encoding="utf-8"))
    spec.write_text(text.replace("factors:\n", f"factors:\n  on: {TESTS}\n"), encoding="utf-8")
    edit(spec, "epochs: 2, batch_size: 32", "epochs: 1, batch_size: 16")
    make(folder, "setup", f"VENV={warm_environment()}")
    made = make(folder, "all")
    assert "train: 1 to do, 0 done" in made.stderr and "eval: 4 to do, 0 done" in made.stderr
    assert "96 training rows (4 removed, whose prompt another set has: 4 of near-" in made.stderr
    table = results(folder)
    assert list(table) == ["base_on-near", "base_on-far", "on-near_s1", "on-far_s1"]
    assert table["on-near_s1"]["train_loss"] == table["on-far_s1"]["train_loss"] != ""
    assert [table[f"on-{on}_s1"]["n"] for on in ("near", "far")] == ["14", "20"]
    assert [path.parent.name for path in folder.glob("runs/*/checkpoint")] == ["on-near_s1"]
    assert "up to date" in status_of_dvc(folder)
    before = (folder / "runs/on-near_s1/train.json").read_bytes()
    edit(spec, "near: {", "third: {data.test: data/raw/third.json}, near: {")
    make(folder, "repro")
    table = results(folder)
    assert [table[f"on-{on}_s1"]["eval_status"] for on in ("third", "near", "far")] == ["done"] * 3
    assert (folder / "runs/on-near_s1/train.json").read_bytes() == before
    assert [path.parent.name for path in folder.glob("runs/*/checkpoint")] == ["on-near_s1"]
    assert "up to date" in status_of_dvc(folder)
    made = make(folder, "all")
    assert "train: 0 to do, 1 done" in made.stderr and "eval: 0 to do, 6 done" in made.stderr
    cited = make(folder, "cite", "RUN=on-far_s1").stdout
    assert "training: on-near_s1\n" in cited
    make(folder, "merge", "RUN=on-far_s1")
    assert (folder / "runs/on-far_s1/merged/model.safetensors").is_file()


def status_of_dvc(folder: Path) -> str:
    return subprocess.run([".venv/bin/dvc", "status"], cwd=folder, capture_output=True, text=True, check=True).stdout
