"""A recipe in several processes, by torchrun on the CPU: the same training as in one, whole after a kill.

Each start takes about 12 s (imports, in torchrun and in its processes): few trainings, many looks at them.
"""

import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from ftexp.evaluation.tuned_model import load_model
from ftexp.ground import paths
from ftexp.state.publishing import publish_checkpoint
from ftexp.trainers.torchtune.components.checkpointer import ADAPTER_FILE, TRAINED_ADAPTER_FILE
from ftexp.trainers.torchtune.components.resume import epoch_dirs, finished_epochs
from ftexp.trainers.torchtune.process import run_recipe
from helpers.tiny_models import TinyExperiment, make_experiment, read_train_csv
from safetensors.torch import load_file
from torchtune import config as torchtune_config
from torchtune import training

pytestmark = pytest.mark.slow  # every training of theirs starts processes that import for themselves

RECIPE = "lora_finetune_distributed"
# What lets the recipes train on the CPU, and the doubles.
CPU_PATCH = Path(__file__).resolve().parents[1] / "helpers/cpu_patch"
# 14 training rows in batches of 2, two of which make a step: 3 steps an epoch, and a tail of 2 rows.
EPOCHS, STEPS_PER_EPOCH, BATCH, EFFECTIVE_BATCH = 3, 3, 2, 4
STEPS = EPOCHS * STEPS_PER_EPOCH
KILLED_AT = STEPS_PER_EPOCH + 2
# Float error of fp32: of a sum in another order, and of logits of about 10.
LOSS_TOLERANCE, LOGIT_TOLERANCE = 1e-5, 1e-3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    return make_experiment(
        tmp_path_factory.mktemp("made"), "qwen2", "chatml",
        constants={"recipe": RECIPE, "epochs": EPOCHS, "batch_size": BATCH, "gradient_accumulation_steps": 2, "warmup_steps": 2},
    )


def train_in(processes: int, experiment: TinyExperiment, output_dir: Path, *overrides: str, **environment: str) -> int:
    """Train by the stock recipe as `execute.py` does; give the exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(experiment.root)
        variables = {
            "PYTHONPATH": f"{CPU_PATCH}:scripts", "OMP_NUM_THREADS": "1", "ROWS_FILE": str(output_dir / "rows"), **environment,
        }
        for name, value in variables.items():
            patch.setenv(name, value)
        output_dir.mkdir(parents=True, exist_ok=True)
        words = ["device=cpu", f"output_dir={output_dir}", f"batch_size={BATCH // processes}", *overrides]
        return run_recipe(RECIPE, Path(f"runs/{experiment.run}/finetune.yaml"), words, processes=processes)


def recorded(component: str) -> str:
    return f"dataset._component_=doubles.{component}"


@pytest.fixture(scope="module")
def by_two(made: TinyExperiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a training in two processes."""
    folder = tmp_path_factory.mktemp("two")
    assert train_in(2, made, folder, recorded("RecordedRows")) == 0
    return folder


@pytest.fixture(scope="module")
def by_one(made: TinyExperiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of the same training in one process."""
    folder = tmp_path_factory.mktemp("one")
    assert train_in(1, made, folder, recorded("RecordedRows")) == 0
    return folder


def adapter(output_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(output_dir / f"epoch_{EPOCHS - 1}" / ADAPTER_FILE)


def rows_of_steps(output_dir: Path, processes: int) -> list[set[str]]:
    """The rows of each step, of all processes together."""
    share = EFFECTIVE_BATCH // processes
    read = [(output_dir / f"rows.{rank}").read_text(encoding="utf-8").split() for rank in range(processes)]
    steps = [[rows[start : start + share] for start in range(0, len(rows), share)] for rows in read]
    return [{row for part in parts for row in part} for parts in zip(*steps, strict=True)]


def test_train_csv_is_written_once_with_one_row_per_step(by_two: Path) -> None:
    rows = read_train_csv(by_two / "train.csv")
    assert [(int(step), int(epoch)) for step, epoch, _, _ in rows] == [(n + 1, n // STEPS_PER_EPOCH + 1) for n in range(STEPS)]
    assert float(rows[-1][2]) < float(rows[0][2])


def test_a_step_of_two_processes_sees_the_rows_that_a_step_of_one_sees(by_one: Path, by_two: Path) -> None:
    steps = rows_of_steps(by_two, 2)
    assert steps == rows_of_steps(by_one, 1)
    assert len(steps) == STEPS
    assert all(len(rows) == EFFECTIVE_BATCH for rows in steps)


def test_the_number_of_processes_changes_losses_rates_and_weights_by_float_error_only(by_one: Path, by_two: Path) -> None:
    """So the gradient of a step is that of the mean over all its tokens, and the logged loss is that mean."""
    one, two = (read_train_csv(folder / "train.csv", ("loss", "lr")) for folder in (by_one, by_two))
    for expected, got in zip(one, two, strict=True):
        assert [float(value) for value in got] == pytest.approx([float(value) for value in expected], rel=LOSS_TOLERANCE)
    expected_weights, weights = adapter(by_one), adapter(by_two)
    assert weights.keys() == expected_weights.keys() and len(weights) == 2 * 2 * 7
    for name, matrix in weights.items():
        assert torch.allclose(matrix, expected_weights[name], atol=1e-3), name


def test_the_evaluated_model_is_the_trained_one(made: TinyExperiment, by_two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published adapter by transformers, against torchtune's model with the matrices as they were trained."""
    monkeypatch.chdir(made.root)
    last = epoch_dirs(by_two)[EPOCHS - 1]
    config = made.config(output_dir=str(by_two))
    model = torchtune_config.instantiate(config.model)
    model.load_state_dict(torchtune_config.instantiate(config.checkpointer).load_checkpoint()[training.MODEL_KEY], strict=False)
    trained = torch.load(last / TRAINED_ADAPTER_FILE, weights_only=True)
    assert not model.load_state_dict(trained, strict=False).unexpected_keys
    scratch = paths.RunPaths(made.run).scratch_dir("train")
    shutil.copytree(by_two, scratch)
    publish_checkpoint(made.document(), scratch / last.name)
    published = Path("runs") / made.run / "checkpoint"
    evaluated, base = (load_model(Path("models/tiny"), folder, "fp32", "cpu") for folder in (published, None))
    tokens = torch.randint(0, 250, (3, 17), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model.eval()(tokens)
        assert torch.allclose(evaluated(tokens).logits, expected, atol=LOGIT_TOLERANCE)
        assert not torch.allclose(base(tokens).logits, expected, atol=1)


def living_processes_of(output_dir: Path) -> list[str]:
    """Processes, zombies aside, that were started with `output_dir` on their command line, this one aside."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        if f"output_dir={output_dir}".encode() in words and int(process.name) != os.getpid():
            found.append(process.name)
    return found


def test_a_training_whose_launcher_is_killed_stops_and_ends_like_an_uninterrupted_one(
    made: TinyExperiment, by_two: Path, tmp_path: Path
) -> None:
    """Were a process left, it would write into the folder that the next attempt works in."""
    killer = "metric_logger._component_=doubles.LauncherKiller"
    assert train_in(2, made, tmp_path, killer, KILL_AT=str(KILLED_AT)) == -9
    deadline = time.monotonic() + 5
    while left := living_processes_of(tmp_path):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.1)
    assert finished_epochs(tmp_path) == 1
    assert train_in(2, made, tmp_path, "resume_from_checkpoint=True") == 0
    assert read_train_csv(tmp_path / "train.csv") == read_train_csv(by_two / "train.csv")
    last = f"epoch_{EPOCHS - 1}/{ADAPTER_FILE}"
    assert (tmp_path / last).read_bytes() == (by_two / last).read_bytes()


def test_a_process_that_is_killed_ends_the_training_with_an_error(
    made: TinyExperiment, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train_in(2, made, tmp_path, "metric_logger._component_=doubles.FailingLogger") == 1
    assert "Signal 9 (SIGKILL)" in capfd.readouterr().err
    assert not living_processes_of(tmp_path)
