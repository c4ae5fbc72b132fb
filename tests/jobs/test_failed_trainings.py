"""A training that learns nothing has failed, whoever trains: its record, and `make status`, say at which step, on which rows."""

import re
from pathlib import Path

import pytest
import status
from ftexp.design.planning import read_run
from ftexp.jobs.attempt import run_once
from ftexp.state.imported_code import ImportedCode
from ftexp.state.job_record import read_job
from ftexp.trainers.train_csv import NO_EFFECT
from helpers.tiny_models import TinyExperiment, enter, make_experiment

TRAINERS = ("torchtune", "transformers")
# Weights that grow ten million times with every step; and an adapter that is too little for any float to hold beside its base.
WAYS = {"wild": {"weight_decay": 2e9}, "still": {"lora_alpha": 1e-30}}
REASONS = {"wild": r"step \d+: the loss is nan, and nothing is learned from it, on rows \d+, \d+ of ", "still": NO_EFFECT}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    return make_experiment(tmp_path_factory.mktemp("made"), "qwen2", "chatml", factors={"trainer": [*TRAINERS], "way": WAYS})


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("way", WAYS)
def test_what_learned_nothing_has_failed_and_says_why(
    trainer: str, way: str, made: TinyExperiment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    enter(made, monkeypatch)
    [name] = [run for run in made.runs if read_run(run).levels == {"trainer": trainer, "way": way}]
    assert run_once(ImportedCode.before_imports("train"), name) == 1
    record = read_job(name, "train")
    assert record is not None and record["state"] == "failed" and re.match(REASONS[way], record["reason"])
    assert not Path(f"runs/{name}/checkpoint").exists() and not Path(f"runs/{name}/train.json").exists()
    capsys.readouterr()
    status.main([])
    assert re.search(REASONS[way], capsys.readouterr().out)
