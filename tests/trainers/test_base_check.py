"""A base that the trainer makes otherwise than transformers is refused by validate and by the job; what it can do is shown."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ftexp.checks.preflight import check_runs
from ftexp.checks.verdicts import Verdicts
from ftexp.design.planning import planned_runs
from ftexp.ground import machine_memory, paths
from ftexp.ground.yamlfile import dump_yaml, load_yaml
from ftexp.jobs import stages
from ftexp.jobs.stages import StageFailed, require_right_base
from ftexp.trainers import base_check
from ftexp.trainers.base_check import WITHIN, BaseCheck, check_base
from ftexp.trainers.choice import trainer_of
from ftexp.trainers.torchtune import base_model
from ftexp.trainers.torchtune.components.checkpointer import ResumableCheckpointer
from helpers.marks import slow_but
from helpers.model_table import FAMILIES
from helpers.tiny_models import TinyExperiment, make_experiment
from safetensors.torch import load_file, save_file
from torchtune import training

Config = dict[str, Any]


def make(root: Path, family: str, **constants: Any) -> TinyExperiment:
    return make_experiment(root, family, FAMILIES[family], constants=constants, evaluation={"max_tokens": 24})


def found_of(experiment: TinyExperiment, **model: Any) -> BaseCheck:
    """What the check finds with arguments of the builder put over the config's."""
    run = experiment.document()
    path = paths.RunPaths(run.id).finetune_yaml
    config = load_yaml(path, str(path))
    return check_base(trainer_of(run), run, {**config, "model": {**config["model"], **model}})


def permuted(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The rows of one layer's q in another order."""
    name = "layers.1.attn.q_proj.weight"
    return {**weights, name: weights[name].flip(0)}


def exchanged(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The two matrices of a gated MLP one for the other."""
    one, other = "layers.0.mlp.w1.weight", "layers.0.mlp.w3.weight"
    return {**weights, one: weights[other], other: weights[one]}


def other_norm(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name = "layers.0.sa_norm.scale"
    return {**weights, name: weights[name] * 1.01}


def load_through(change: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the trainer's model be filled with changed weights."""
    load = ResumableCheckpointer.load_checkpoint

    def changed(self: ResumableCheckpointer) -> dict[str, Any]:
        state = load(self)
        return {**state, training.MODEL_KEY: change(state[training.MODEL_KEY])}

    monkeypatch.setattr(ResumableCheckpointer, "load_checkpoint", changed)


@pytest.mark.parametrize("family", slow_but(FAMILIES, "gemma2"))
def test_both_models_are_one_and_a_wrong_one_is_refused(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make(tmp_path, family, dtype="bf16")
    monkeypatch.chdir(tmp_path)
    right = found_of(experiment)
    assert right.apart < 3 * right.rounding and right.rounding < 1e-5
    assert right.objection(Path("models/tiny")) is None
    section = load_yaml(paths.RunPaths(experiment.run).finetune_yaml, "finetune.yaml")["model"]
    wrong = [found_of(experiment, rope_base=section["rope_base"] * 1.1)]
    if not family.startswith("gemma"):  # whose hidden states are large beside any such constant
        wrong.append(found_of(experiment, norm_eps=section["norm_eps"] * 10))
    for change in (permuted, exchanged, other_norm):
        with monkeypatch.context() as patch:
            load_through(change, patch)
            wrong.append(found_of(experiment))
    assert all(found.apart > 5 * WITHIN * found.rounding for found in wrong), wrong
    assert "the trainer makes another model of it than transformers" in str(wrong[0].objection(Path("models/tiny")))


def test_the_loss_is_that_of_the_trained_tokens_and_doubted_where_guessing_is_as_good() -> None:
    logits = [torch.zeros(3, 5)]
    row = base_check.TrainingRow(0, [1, 2, 3], [None, None, 3])
    assert base_check._loss(logits, [row]) == pytest.approx(math.log(5))
    knowing = BaseCheck(loss=3.2149, rows=8, vocabulary=256, apart=0.0, rounding=1e-6)
    said = "base tiny-instruct: before any training its loss is 3.21 a token on 8 training rows; guessing would cost 5.55"
    assert knowing.in_words("tiny-instruct") == said
    said = BaseCheck(5.6, 8, 256, 0.0, 1e-6).in_words("random")
    assert said.endswith("guessing among its 256 tokens would cost no more (5.55): it was never trained, or on other texts")
    assert BaseCheck(5.6, 8, 256, math.nan, 1e-6).objection(Path("models/x")) is not None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    return make(tmp_path_factory.mktemp("made"), "llama3_2")


@pytest.fixture
def experiment(made: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> TinyExperiment:
    monkeypatch.chdir(made.root)
    return made


def checked() -> tuple[Verdicts, dict[str, tuple[str, bool]]]:
    runs = planned_runs()
    verdicts = Verdicts.of(run.id for run in runs)
    return verdicts, check_runs(runs, verdicts).bases


def test_validate_looks_once_and_a_job_takes_what_it_found(
    experiment: TinyExperiment, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    verdicts, bases = checked()
    assert not any(verdicts.errors.values())
    line = bases["tiny"]
    assert line.startswith("base tiny: before any training its loss is ") and "5.56" in line
    monkeypatch.setattr(base_model, "base_logits", lambda *_: pytest.fail("looked at again"))
    assert checked()[1] == bases
    require_right_base(experiment.document())
    assert line in capfd.readouterr().out


def test_a_wrong_conversion_is_an_error_of_each_run_and_ends_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make(tmp_path, "llama3_2")
    monkeypatch.chdir(tmp_path)
    load_through(permuted, monkeypatch)
    verdicts, _ = checked()
    [message] = verdicts.errors[experiment.run]
    assert message.startswith("models/tiny: the trainer makes another model of it than transformers")
    with pytest.raises(StageFailed, match="another model of it than transformers"):
        require_right_base(experiment.document())


@pytest.mark.parametrize(("bad", "said"), [(math.nan, "NaN"), (-math.inf, "infinite")])
def test_a_base_whose_weights_are_no_numbers_is_none_for_its_controls_too(
    bad: float, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make(tmp_path, "llama3_2")
    monkeypatch.chdir(tmp_path)
    path, name = Path("models/tiny/model.safetensors"), "model.layers.1.mlp.up_proj.weight"
    held = load_file(path)
    held[name][3, 5] = bad
    save_file(held, path, metadata={"format": "pt"})
    verdicts, bases = checked()
    [message] = verdicts.errors[experiment.run]
    assert message.startswith(f"{path}: {name}: weights are {said}, 1 of {held[name].numel():,}, so that no answer can come")
    assert verdicts.errors["base"] == [message] and not bases
    with pytest.raises(StageFailed, match=f"{name}: weights are {said}"):
        require_right_base(experiment.document())


def test_where_nobody_looked_the_job_does_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make(tmp_path, "qwen2")
    monkeypatch.chdir(tmp_path)
    require_right_base(experiment.document())
    [found] = paths.BASE_CHECKS_DIR.iterdir()
    monkeypatch.setattr(stages, "check_and_remember", lambda *_: pytest.fail("looked at again"))
    require_right_base(experiment.document())
    found.unlink()
    path = paths.RunPaths(experiment.run).finetune_yaml
    config = load_yaml(path, str(path))
    config["model"]["rope_base"] *= 2
    path.write_text(dump_yaml(config), encoding="utf-8")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageFailed, match="another model of it than transformers"):
        require_right_base(experiment.document())


def test_a_model_that_does_not_fit_is_said_not_to_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = make(tmp_path, "qwen2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base_check, "free_gigabytes", lambda: 0.0)
    _, bases = checked()
    assert bases["tiny"] == "base tiny: not checked here: needs 0 GB of memory; each training job checks it first"
    require_right_base(experiment.document())
    assert "base tiny: not checked: needs 0 GB of memory" in capsys.readouterr().out


def test_free_memory_is_what_machine_group_and_job_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 900 kB\nMemAvailable: 8000000 kB\n", encoding="ascii")
    monkeypatch.setattr(machine_memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine_memory, "_CGROUPS", tmp_path)
    monkeypatch.delenv("FTEXP_MEM_GB", raising=False)
    assert machine_memory.free_gigabytes() == pytest.approx(8.192)
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    (tmp_path / "memory.current").write_text("1000000000\n", encoding="ascii")
    assert machine_memory.free_gigabytes() == pytest.approx(8.192)
    (tmp_path / "memory.max").write_text("5000000000\n", encoding="ascii")
    assert machine_memory.free_gigabytes() == pytest.approx(4.0)
    monkeypatch.setenv("FTEXP_MEM_GB", "2")
    assert machine_memory.free_gigabytes() == pytest.approx(2.0)
