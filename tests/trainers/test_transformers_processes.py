"""Trainings by transformers as a job and as a person starts them: in several processes by torchrun on the CPU, killed, by hand.

Each start takes about 12 s (imports): few trainings, many looks at them.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ftexp.evaluation.tuned_model import load_model
from ftexp.ground import paths
from ftexp.state.publishing import publish_checkpoint
from ftexp.trainers.device_file import device_used
from ftexp.trainers.transformers import trainer
from ftexp.trainers.transformers.process import MODULE, run_training
from ftexp.trainers.transformers.resume import finished_epochs
from helpers.experiments import adapter, bake_small, edit, make
from helpers.processes import children_of, wait_until
from helpers.tiny_models import TinyExperiment, make_experiment, read_train_csv
from safetensors.torch import load_file
from warm.environment import REAL_ENVIRONMENT, use, warm_environment

pytestmark = pytest.mark.slow

# 14 training rows in batches of 2, two of which make a step: 3 steps an epoch, and a tail of 2 rows.
EPOCHS, STEPS = 3, 9
LOSS_TOLERANCE, WEIGHT_TOLERANCE = 1e-5, 1e-4
FILE = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    return make_experiment(tmp_path_factory.mktemp("made"), "qwen2", "chatml", constants={
        "trainer": "transformers", "recipe": "lora_finetune_distributed", "epochs": EPOCHS, "gradient_accumulation_steps": 2,
        "warmup_steps": 2,
    })


def train_in(processes: int, experiment: TinyExperiment, output_dir: Path, *overrides: str) -> int:
    """Train as a job does; give the exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(experiment.root)
        patch.setenv("PYTHONPATH", "scripts")
        patch.setenv("OMP_NUM_THREADS", "1")
        words = ["device=cpu", f"output_dir={output_dir}", *overrides]
        return run_training(Path(f"runs/{experiment.run}/finetune.yaml"), words, processes=processes)


def product(output_dir: Path) -> bytes:
    return (trainer.product_dir(output_dir, EPOCHS) / FILE).read_bytes()


@pytest.fixture(scope="module")
def by_one(made: TinyExperiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a training in one process of torchrun's."""
    folder = tmp_path_factory.mktemp("one")
    assert train_in(1, made, folder) == 0
    return folder


@pytest.fixture(scope="module")
def by_two(made: TinyExperiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of the same training in two processes."""
    folder = tmp_path_factory.mktemp("two")
    assert train_in(2, made, folder) == 0
    return folder


def test_the_number_of_processes_changes_losses_rates_and_weights_by_float_error_only(by_one: Path, by_two: Path) -> None:
    one, two = (read_train_csv(folder / "train.csv") for folder in (by_one, by_two))
    assert [row[:2] for row in one] == [row[:2] for row in two] and len(one) == STEPS
    for expected, got in zip(one, two, strict=True):
        assert [float(value) for value in got[2:]] == pytest.approx([float(value) for value in expected[2:]], abs=LOSS_TOLERANCE)
    expected_weights, weights = (load_file(trainer.product_dir(folder, EPOCHS) / FILE) for folder in (by_one, by_two))
    assert weights.keys() == expected_weights.keys() and len(weights) == 2 * 2 * 7
    assert all(torch.allclose(matrix, expected_weights[name], atol=WEIGHT_TOLERANCE) for name, matrix in weights.items())
    assert (device_used(by_one), device_used(by_two)) == ("cpu", "2 x cpu")


def test_what_two_processes_trained_is_published_and_evaluated(
    made: TinyExperiment, by_two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.root)
    run = made.document()
    scratch = paths.RunPaths(run.id).scratch_dir("train")
    scratch.mkdir(parents=True)
    (scratch / "train.csv").write_bytes((by_two / "train.csv").read_bytes())
    publish_checkpoint(run, trainer.product_dir(by_two, EPOCHS))
    tokens = torch.randint(0, 250, (3, 17), generator=torch.Generator().manual_seed(0))
    published = paths.RunPaths(run.id).checkpoint_dir
    evaluated, base = (load_model(Path("models/tiny"), found, "fp32", "cpu") for found in (published, None))
    with torch.inference_mode():
        assert not torch.allclose(evaluated(tokens).logits, base(tokens).logits, atol=1)


def test_a_training_whose_launcher_is_killed_stops_and_ends_like_an_uninterrupted_one(
    made: TinyExperiment, by_two: Path, tmp_path: Path
) -> None:
    command = [
        str(REAL_ENVIRONMENT / "bin/torchrun"), "--standalone", "--nproc_per_node", "2", "-m", MODULE,
        f"runs/{made.run}/finetune.yaml", "device=cpu", f"output_dir={tmp_path}",
    ]
    environment = {**os.environ, "PYTHONPATH": "scripts", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=made.root, env=environment)
    wait_until(lambda: finished_epochs(tmp_path) > 0, process)
    workers = children_of(process.pid)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 5
    while left := [pid for pid in workers if is_training(pid)]:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.05)
    finished = finished_epochs(tmp_path)
    assert 1 <= finished <= EPOCHS
    assert train_in(2, made, tmp_path, "resume_from_checkpoint=true") == 0
    assert read_train_csv(tmp_path / "train.csv") == read_train_csv(by_two / "train.csv")
    assert product(tmp_path) == product(by_two)


def is_training(pid: int) -> bool:
    """Whether it lives, zombies aside."""
    try:
        return MODULE.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


# The pipeline.


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small experiment, set up and not run: 3 epochs."""
    folder = bake_small(tmp_path_factory.mktemp("pipeline"), factors="{lora_rank: [2], seed: [1]}")
    changes = "epochs: 3, batch_size: 16, lr: 3.0e-3, trainer: transformers"
    edit(folder / "experiment.yaml", "epochs: 2, batch_size: 32", changes)
    make(folder, "setup", f"VENV={warm_environment()}")
    return folder


@pytest.fixture(scope="module")
def finished(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same experiment after `make all`."""
    folder = copy_of(fresh, tmp_path_factory.mktemp("finished"))
    make(folder, "all")
    return folder


def copy_of(folder: Path, root: Path) -> Path:
    import shutil

    return Path(shutil.copytree(folder, root / folder.name, symlinks=True))


def test_started_by_hand_with_the_documented_command_it_gives_the_jobs_bytes(finished: Path, tmp_path: Path) -> None:
    text = (finished / "runs/r2_s1/finetune.yaml").read_text(encoding="utf-8")
    command = "python -m ftexp.trainers.transformers.train runs/r2_s1/finetune.yaml"
    assert command in text
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "PYTHONPATH")}
    words = [str(REAL_ENVIRONMENT / "bin/python"), *command.split()[1:], f"output_dir={tmp_path}"]
    subprocess.run(words, cwd=finished, env={**environment, "PYTHONPATH": "scripts"}, check=True, capture_output=True)
    assert product(tmp_path) == adapter(finished, "r2_s1")
    record = json.loads((finished / "runs/r2_s1/train.json").read_text(encoding="utf-8"))
    assert record["device"] == "cpu" and record["outputs"]["runs/r2_s1/train.csv"]


# In the order in which they come.
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "in the first epoch": lambda f: bool(list(f.glob(".scratch/train/*/train.csv"))),
    "after an epoch is whole": lambda f: bool(list(f.glob(".scratch/train/*/epoch_1/trained.safetensors"))),
    "after the last one": lambda f: bool(list(f.glob(".scratch/train/*/epoch_3/product"))),
}


def test_killed_at_many_moments_make_all_gives_the_same_results(finished: Path, fresh: Path, tmp_path: Path) -> None:
    folder = copy_of(fresh, tmp_path)
    use(REAL_ENVIRONMENT, folder)
    for moment, condition in MOMENTS.items():
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(["make", "all"], cwd=folder, start_new_session=True, **quiet)  # type: ignore[call-overload]
        wait_until(lambda now=condition: now(folder), process)  # type: ignore[misc]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (folder / "runs/r2_s1/train.json").exists(), moment
        time.sleep(1)
    make(folder, "all")
    assert adapter(folder, "r2_s1") == adapter(finished, "r2_s1")
    assert (folder / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()
