"""Confounds: what a factor changes beside what it is named for is said, once, with its numbers and with how to hold it fixed."""

import json
from pathlib import Path

import pytest
from ftexp.checks.cautions import cautions
from ftexp.design.confounds import confounds
from ftexp.design.planning import plan_with_answers
from ftexp.design.spec import check_experiment
from ftexp.ground.yamlfile import parse_yaml

BASE = """
experiment: caps
data: {source: data/raw/words.json, split: {train: 0.5, validation: 0, test: 0.5}, input: input, output: output}
"""
TWO_FILES = {"a": 100, "b": 60}


@pytest.fixture(autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 words, 100 of them for training; and two smaller files of other words."""
    monkeypatch.chdir(tmp_path)
    Path("data/raw").mkdir(parents=True)
    for name, count in {"words": 200, **TWO_FILES}.items():
        rows = [{"input": f"{name}{n}", "output": f"{name}{n}".title()} for n in range(count)]
        Path(f"data/raw/{name}.json").write_text(json.dumps(rows))


def said(factors: str, constants: str = "{model: tiny, batch_size: 8}", more: str = "") -> list[str]:
    text = f"{BASE}factors: {factors}\nconstants: {constants}\n{more}"
    experiment = check_experiment(parse_yaml(text, "experiment.yaml"), "experiment.yaml")
    runs, answers = plan_with_answers(experiment)
    found = confounds(runs, experiment.factors)
    assert cautions(experiment, runs, answers) == found
    return found


def test_a_batch_changes_rows_steps_and_warm_up() -> None:
    assert said("{batch_size: [4, 8, 32], seed: [1, 2]}", "{model: tiny}") == [
        "experiment.yaml: factors.batch_size: also changes how many rows train (100 at 4, 96 at 8, 96 at 32), the number of "
        "steps (25 at 4, 12 at 8, 3 at 32) and the warm-up (2 at 4, 1 at 8, 0 at 32 steps), so that its effect may be theirs. "
        "To hold them: train_size: 96 (the rows); named levels of one factor that set batch_size and epochs together (the "
        "steps); warmup_steps: 0 (the warm-up)"
    ]


def test_accumulation_that_drops_another_tail_changes_rows_and_steps() -> None:
    (line,) = said("{gradient_accumulation_steps: [1, 8]}")
    assert "how many rows train (96 at 1, 64 at 8), the number of steps (12 at 1, 1 at 8)" in line
    assert "train_size: 64 (the rows)" in line


def test_a_batch_that_is_accumulated_otherwise_is_no_confound() -> None:
    levels = "{much: {batch_size: 8}, little: {batch_size: 2, gradient_accumulation_steps: 4}}"
    assert said(f"{{memory: {levels}}}", "{model: tiny}") == []


def test_a_train_size_changes_steps_and_warm_up_unless_epochs_hold_them() -> None:
    (line,) = said("{train_size: [24, 96], lora_rank: [2, 4]}")
    assert "train_size: also changes the number of steps (3 at 24, 12 at 96) and the warm-up (0 at 24, 1 at 96 steps)" in line
    assert "named levels of one factor that set epochs and train_size together (the steps)" in line
    assert said("{size: {small: {train_size: 24, epochs: 4}, large: {train_size: 96, epochs: 1}}}") == []


def test_epochs_change_warm_up_and_decay_together() -> None:
    (line,) = said("{epochs: [1, 2]}")
    assert "the warm-up (1 at 1, 2 at 2 steps) and the decay of the learning rate, which ends with the last step (12 at 1" in line


def test_a_constant_rate_has_no_decay_and_a_share_of_warm_up_moves_with_the_steps() -> None:
    assert said("{epochs: [1, 2]}", "{model: tiny, batch_size: 8, schedule: constant, warmup_steps: 1}") == []
    (line,) = said("{epochs: [1, 2]}", "{model: tiny, batch_size: 8, schedule: constant, warmup_ratio: 0.25}")
    assert "also changes the warm-up (3 at 1, 6 at 2 steps), so that" in line
    assert line.endswith("To hold them: warmup_steps: 3 in place of warmup_ratio (the warm-up)")


def test_data_of_another_size_changes_rows_and_steps_and_data_that_is_tested_otherwise_is_said_to_be() -> None:
    lines = said("{corpus: {a: {data.source: data/raw/a.json}, b: {data.source: data/raw/b.json}}}")
    assert "how many rows train (48 at a, 24 at b) and the number of steps (6 at a, 3 at b)" in lines[0]
    assert "train_size: 24 (the rows)" in lines[0] and "(the steps)" not in lines[0]
    assert lines[1] == (
        "experiment.yaml: factors.corpus: each level is tested on items of its own, so that its effect may be of the tests. "
        "Let the levels set data.train, beside one data.test for all"
    )


def test_a_rank_under_one_alpha_changes_the_scale_of_the_update() -> None:
    (line,) = said("{lora_rank: [2, 16]}", "{model: tiny, lora_alpha: 16}")
    assert "also changes alpha / rank, by which the update is multiplied (8 at 2, 1 at 16). Leave lora_alpha out" in line
    assert said("{lora_rank: [2, 16]}") == [] == said("{lora_rank: [2, 16], lora_alpha: [4, 16]}", "{model: tiny}")[1:]


def test_a_precision_is_that_of_training_and_of_evaluation() -> None:
    (line,) = said("{dtype: [fp32, bf16]}")
    assert "factors.dtype: dtype is that of training and of evaluation, so that its effect may be of either" in line


@pytest.mark.parametrize("factors", [
    "{}", "{seed: [1, 2]}", "{lora_rank: [2, 16], lr: [1.0e-4, 3.0e-3], seed: [1, 2]}", "{warmup_steps: [0, 4]}",
    "{warmup_ratio: [0, 0.4]}", "{schedule: [linear, constant]}",
    "{batch_size: [8]}",
    '{wording: {plain: {prompt.user: "{input}"}, asked: {prompt.user: "Say {input}"}}}', "{loss: [completion, full]}",
])
def test_nothing_is_said_where_nothing_else_differs(factors: str) -> None:
    assert said(factors, "{model: tiny, batch_size: 8}" if "batch" not in factors else "{model: tiny}") == []


@pytest.mark.parametrize("design", ["design: one_at_a_time", "exclude: [{lora_rank: 4, train_size: 96}]"])
def test_a_confound_is_said_once_of_any_design(design: str) -> None:
    assert len(said("{lora_rank: [2, 4], train_size: [24, 96], seed: [1, 2]}", more=design)) == 1
