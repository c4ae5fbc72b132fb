"""An experiment on its way through the pipeline: what a stage refuses, what FORCE=1 does, a run that fails."""

import json
from pathlib import Path

import pytest
from helpers.experiments import edit, make, results
from helpers.pipeline_experiment import copy_into


def test_without_an_environment_make_says_what_to_do(fresh: Path, tmp_path: Path) -> None:
    folder = copy_into(fresh, tmp_path)
    (folder / ".venv").unlink()
    made = make(folder, "plan", check=False)
    assert made.returncode != 0 and "make setup" in made.stderr


def test_another_folder_of_models_needs_setup(fresh: Path, tmp_path: Path) -> None:
    folder = copy_into(fresh, tmp_path)
    edit(folder / "site.yaml", "models: data/models", "models: /nowhere")
    made = make(folder, "validate", check=False)
    assert made.returncode != 0 and "site.yaml: models" in made.stderr and "make setup" in made.stderr


def test_a_gpu_that_is_asked_for_and_not_there_is_an_error(fresh: Path, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    folder = copy_into(fresh, tmp_path)
    edit(folder / "site.yaml", "device: auto", "device: cuda")
    made = make(folder, "split", "validate", "submit", check=False)
    assert made.returncode != 0 and "finds no GPU" in made.stderr


def test_submit_refuses_a_run_that_was_not_validated(fresh: Path, tmp_path: Path) -> None:
    folder = copy_into(fresh, tmp_path)
    make(folder, "split")
    refused = make(folder, "submit", check=False)
    assert refused.returncode != 0 and "make validate" in refused.stderr
    assert not list(folder.glob("runs/*/train.json"))


@pytest.mark.slow
def test_force_goes_through_a_red_preflight_and_the_results_say_so(fresh: Path, tmp_path: Path) -> None:
    folder = copy_into(fresh, tmp_path)
    edit(folder / "experiment.yaml", "max_tokens: 16", "max_tokens: 2")
    red = make(folder, "split", "validate", check=False)
    message = "experiment.yaml: evaluation.max_tokens: is 2, but the longest reference answer has"
    assert red.returncode != 0 and message in red.stderr
    refused = make(folder, "submit", "eval", check=False)
    assert refused.returncode != 0 and "FORCE=1 goes on" in refused.stderr and not list(folder.glob("runs/*/train.json"))
    said = make(folder, "submit", "eval", "report", "FORCE=1")
    assert "Forced: 3 of 3 runs went on without a green `make validate`" in said.stdout
    assert "to run what is missing" not in said.stderr
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 0 < page.index("Forced: 3 of 3 runs") < page.index("<h2>")
    table = results(folder)
    assert len(table) == 3 and all(row["eval_status"] == "done" and row["n"] for row in table.values())
    for run, row in table.items():
        assert f"eval went on although its preflight said: {message}" in row["reason"]
        assert ("train went on" in row["reason"]) == (run != "base")
        assert message in json.loads((folder / f"runs/{run}/eval.json").read_text())["preflight"]


def test_a_failed_run_does_not_stop_the_others_and_is_tried_again(fresh: Path, tmp_path: Path) -> None:
    folder = copy_into(fresh, tmp_path)
    edit(folder / "experiment.yaml", "lora_rank: [2, 4]\n  seed: [1]", "loss.num_output_chunks: [8, 0]")
    made = make(folder, "all", check=False)
    table = results(folder)
    assert made.returncode != 0 and "num-output-chunks-0: train failed" in made.stderr
    good, bad = table["num-output-chunks-8"], table["num-output-chunks-0"]
    assert good["eval_status"] == "done" and good["score"]
    assert (bad["train_status"], bad["eval_status"], bad["score"], bad["n"]) == ("failed", "waiting", "", "") and bad["reason"]
    assert "1 to do, 1 done" in make(folder, "submit", check=False).stderr


def test_make_lists_the_targets_in_the_order_of_the_pipeline(fresh: Path) -> None:
    listed = [line.split()[1] for line in make(fresh).stdout.splitlines() if line.startswith("make ")]
    after, last = ["cite", "power"], ["merge", "import", "gc", "upgrade"]
    before_training = ["help", "setup", "plan", "stamp", "split", "validate", "rehearse"]
    running = ["submit", "status", "eval", "wait", "cancel"]
    assert listed == [*before_training, *running, "score", "report", *after, "all", "repro", *last]
