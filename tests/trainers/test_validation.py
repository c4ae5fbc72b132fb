"""Trainings that are looked at: nothing changes by it; which step is kept, when it stops; kills, several processes, scorers."""

import functools
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import split as split_stage
import yaml
from ftexp.design.judging import SCORERS
from ftexp.ground import paths
from ftexp.scoring.while_training import scores
from ftexp.trainers.transformers import train as trainer
from ftexp.trainers.transformers import validation
from ftexp.trainers.transformers.progress import StepLog
from ftexp.trainers.transformers.resume import best_dirs, kept_product
from ftexp.trainers.validation_csv import VALIDATION_CSV, read_looks
from helpers.tiny_models import ROWS, TinyExperiment, make_experiment, read_train_csv

EPOCHS, STEPS = 4, 5  # an epoch
NUMERIC = dict(SCORERS["numeric"].options)
Config = dict[str, Any]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyExperiment]:
    """An experiment with three rows to validate by, looked at twice an epoch; the working folder."""
    root = tmp_path_factory.mktemp("validation")
    made = make_experiment(
        root, "qwen2", "chatml", constants={"epochs": EPOCHS, "lr": 5e-2}, data={"validation": 0.2}, validation={"every": 0.4},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield made


def _config(tiny: TinyExperiment, folder: Path, **of_validation: Any) -> Config:
    """The run's config with another folder and rule."""
    config: Config = yaml.safe_load((tiny.root / paths.RunPaths(tiny.run).finetune_yaml).read_text())
    assert config["validation"]["every_steps"] == 2 and config["epochs"] == EPOCHS
    return {**config, "device": "cpu", "output_dir": str(folder), "validation": {**config["validation"], **of_validation}}


def _product(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _kept(folder: Path) -> dict[str, bytes]:
    return _product(kept_product(folder, EPOCHS))


def _values(folder: Path) -> list[tuple[int, float]]:
    return [(look.step, look.values["loss"]) for look in read_looks(folder / VALIDATION_CSV)]


@pytest.fixture(scope="module")
def whole(tiny: TinyExperiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training to its end of which the product of every look stays."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation.Rule, "best", lambda rule, looks: looks[-1])
        patch.setattr(validation.Validation, "forget_others", lambda self: None)
        trainer.train(_config(tiny, folder))
    assert [step for step, _ in _values(folder)] == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20] == sorted(best_dirs(folder))
    return folder


@pytest.fixture(scope="module")
def best(tiny: TinyExperiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, of which the best step is kept."""
    folder = tmp_path_factory.mktemp("best")
    trainer.train(_config(tiny, folder))
    return folder


def test_being_looked_at_changes_no_byte_of_a_training(tiny: TinyExperiment, best: Path, whole: Path, tmp_path: Path) -> None:
    config = _config(tiny, tmp_path)
    del config["validation"]
    trainer.train(config)
    assert _kept(tmp_path) == _product(best_dirs(whole)[EPOCHS * STEPS] / "product")
    assert read_train_csv(tmp_path / "train.csv") == read_train_csv(best / "train.csv")


def test_the_best_step_is_kept_and_it_is_that_step_byte_for_byte(best: Path, whole: Path) -> None:
    looks = read_looks(best / VALIDATION_CSV)
    kept = [look for look in looks if look.kept]
    assert len(kept) == 1 and kept[0].kept == "best" and kept[0].values["loss"] == min(look.values["loss"] for look in looks)
    assert kept[0].step < EPOCHS * STEPS, "the last is the best here, so that this test shows nothing"
    assert _values(best) == _values(whole)
    assert _kept(best) == _product(best_dirs(whole)[kept[0].step] / "product")


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_stopped_training_is_the_unstopped_one_at_that_step(
    tiny: TinyExperiment, whole: Path, best: Path, tmp_path: Path, keep: str
) -> None:
    trainer.train(_config(tiny, tmp_path, patience=1, keep=keep))
    looks = read_looks(tmp_path / VALIDATION_CSV)
    last = looks[-1].step
    assert last < EPOCHS * STEPS and _values(tmp_path) == _values(whole)[: len(looks)]
    assert [look.step for look in looks if look.kept] == [looks[-2].step if keep == "best" else last]
    assert _kept(tmp_path) == _product(best_dirs(whole)[looks[-2].step if keep == "best" else last] / "product")
    rows = read_train_csv(tmp_path / "train.csv")
    assert rows == read_train_csv(best / "train.csv")[:last], "the schedule is that of the whole training"


def _in_a_child(work: Callable[[], object]) -> int | None:
    """The exit code of a process that does it, forked from this one."""
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    return child.exitcode


def _train_until(config: Config, step: int) -> None:
    """Train, and be killed at the end of a step, whatever comes after its look."""
    noted = StepLog.on_step_end

    def on_step_end(self: StepLog, args: Any, state: Any, control: Any, **more: Any) -> None:
        noted(self, args, state, control, **more)
        if state.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    StepLog.on_step_end = on_step_end  # type: ignore[method-assign]
    trainer.train(config)


def test_killed_within_an_epoch_after_its_best_look_and_resumed_it_leaves_the_same_bytes(
    tiny: TinyExperiment, best: Path, tmp_path: Path
) -> None:
    config = _config(tiny, tmp_path)
    kept = next(look.step for look in read_looks(best / VALIDATION_CSV) if look.kept)
    killed = kept + 1
    assert killed % STEPS, "a kill at an epoch's end shows nothing"
    assert _in_a_child(functools.partial(_train_until, config, killed)) == -signal.SIGKILL
    assert kept in best_dirs(tmp_path) and not any(look.kept for look in read_looks(tmp_path / VALIDATION_CSV))
    trainer.train({**config, "resume_from_checkpoint": True})
    assert _kept(tmp_path) == _kept(best)
    assert (tmp_path / VALIDATION_CSV).read_bytes() == (best / VALIDATION_CSV).read_bytes()
    assert read_train_csv(tmp_path / "train.csv") == read_train_csv(best / "train.csv")


def test_killed_when_it_had_stopped_and_nothing_was_published_it_stops_there_again(tiny: TinyExperiment, tmp_path: Path) -> None:
    whole, killed = (_config(tiny, tmp_path / name, patience=1, every_steps=STEPS) for name in ("whole", "killed"))
    trainer.train(whole)

    def kill(self: validation.Validation) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation.Validation, "conclude", kill)
        assert _in_a_child(functools.partial(trainer.train, killed)) == -signal.SIGKILL
    trainer.train({**killed, "resume_from_checkpoint": True})
    assert _kept(tmp_path / "killed") == _kept(tmp_path / "whole")
    assert (tmp_path / "killed" / VALIDATION_CSV).read_bytes() == (tmp_path / "whole" / VALIDATION_CSV).read_bytes()


def _process(config: Config, rank: int, port: int) -> None:
    """One of two, as torchrun starts them."""
    named = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1"}
    os.environ.update({name: str(value) for name, value in {**named, "MASTER_PORT": port}.items()})
    trainer.train(config)


def test_two_processes_see_what_one_sees_and_stop_where_it_stops(tiny: TinyExperiment, tmp_path: Path) -> None:
    one, two = (_config(tiny, tmp_path / name, patience=1, keep="last") for name in ("one", "two"))
    trainer.train(one)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_process, args=(two, rank, port)) for rank in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0, 0]
    seen, wanted = _values(tmp_path / "two"), _values(tmp_path / "one")
    assert [step for step, _ in seen] == [step for step, _ in wanted]
    assert [loss for _, loss in seen] == pytest.approx([loss for _, loss in wanted], abs=1e-4)


def test_a_scorer_judges_what_the_model_says(tiny: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[list[str]] = []
    generated = validation.Validation._answers

    def answers(self: validation.Validation, prompts: list[list[int]]) -> list[str]:
        said.append(generated(self, prompts))
        targets = {tuple(asked): target for asked, target in self._asked}
        return [targets[tuple(prompts[0])], *["#" for _ in prompts[1:]]]

    monkeypatch.setattr(validation.Validation, "_answers", answers)
    judge = {"_component_": "ftexp.scoring.while_training.scores", "kind": "chrf", "options": {}}
    config = _config(tiny, tmp_path, metric="chrf", scorer=judge, max_tokens=8, every_steps=STEPS, patience=1)
    trainer.train(config)
    first, second = read_looks(tmp_path / VALIDATION_CSV)
    assert [first.values["chrf"], second.values["chrf"]] == pytest.approx([100 / 3, 100 / 3]), "one of three is right"
    assert first.values.keys() == {"loss", "chrf"} and len(said) == 2 and len(said[0]) == 3 and any(said[0])
    is_first = first.values["loss"] <= second.values["loss"]  # which decides between equal scores
    assert [look.kept for look in (first, second)] == (["best", ""] if is_first else ["", "best"])
    assert second.step == 2 * STEPS, "as good is not better, so that it stops"


def test_scores_while_training_are_those_of_make_score_with_gaps_where_there_is_none() -> None:
    given = (["so b", "7", "x"], ["so c", "7.0", "X"])
    assert scores(*given, kind="f1", options={}) == pytest.approx([0.5, 0, 1])
    assert scores(*given, kind="ignore_case", options={}) == [0, 0, 1]
    assert scores(*given, kind="rouge_l", options={})[0] == pytest.approx(0.5)
    assert scores(*given, kind="numeric", options=NUMERIC) == [None, 1, None]
    assert scores(["x y"], ["x y"], kind="chrf", options={}) == pytest.approx([100])


def test_an_answer_that_cannot_be_scored_is_left_out_and_without_any_the_score_is_no_number(
    tiny: TinyExperiment, tmp_path: Path
) -> None:
    judge = {"_component_": "ftexp.scoring.while_training.scores", "kind": "numeric", "options": NUMERIC}
    config = _config(tiny, tmp_path, metric="numeric", scorer=judge, max_tokens=8, every_steps=STEPS)
    trainer.train({**config, "epochs": 1})
    (look,) = read_looks(tmp_path / VALIDATION_CSV)
    assert look.kept == "last" and look.values["numeric"] != look.values["numeric"]  # words have no number in them
    assert _product(kept_product(tmp_path, 1)).keys() == {"adapter_config.json", "adapter_model.safetensors"}


def test_no_test_row_reaches_a_choice(tiny: TinyExperiment, best: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 16: with other answers to all rows that test, the same rows train and validate, and the same step is kept."""
    root = tmp_path / "poisoned"
    shutil.copytree(tiny.root, root, symlinks=True)
    monkeypatch.chdir(root)
    made = tiny.document()
    tested = {row["row"]["input"] for row in map(json.loads, _lines(paths.split_part(made.asked[0].test_set, "test")))}
    rows = [{**row, "output": "poison"} if row["input"] in tested else row for row in ROWS]
    assert len(tested) == len(ROWS) // 2
    before = {part: paths.split_part(made.training_set, part).read_bytes() for part in ("train", "validation")}
    Path("data/raw/rows.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    shutil.rmtree("data/splits")
    assert split_stage.main([]) == 0
    assert all("poison" in line for line in _lines(paths.split_part(made.asked[0].test_set, "test")))
    assert before == {part: paths.split_part(made.training_set, part).read_bytes() for part in before}
    trainer.train(_config(TinyExperiment(root, tiny.runs), tmp_path / "again"))
    assert _kept(tmp_path / "again") == _kept(best)
    assert (tmp_path / "again" / VALIDATION_CSV).read_bytes() == (best / VALIDATION_CSV).read_bytes()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_full_weights_of_steps_that_are_not_kept_do_not_stay(tiny: TinyExperiment, tmp_path: Path) -> None:
    config = _config(tiny, tmp_path, every_steps=1)
    whole = {"model": {"path": config["model"]["path"]}, "optimizer": {**config["optimizer"], "lr": 1e-3}}
    trainer.train({**config, **whole, "epochs": 2})
    looks = read_looks(tmp_path / VALIDATION_CSV)
    kept = next(look.step for look in looks if look.kept)
    assert len(looks) == 2 * STEPS and sum(a.values["loss"] > b.values["loss"] for a, b in itertools.pairwise(looks)) > 1
    assert list(best_dirs(tmp_path)) == [kept] and (kept_product(tmp_path, 2) / "model.safetensors").is_file()
