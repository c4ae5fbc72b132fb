"""Scores and probabilities of options: lm-evaluation-harness' formulas, written out."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ftexp.design.judging import NORMALIZATIONS
from ftexp.design.runs import expand
from ftexp.design.spec import check_experiment
from ftexp.ground.memories import FileHashes
from ftexp.results import judge_runs
from ftexp.scoring.options import normalized, probabilities
from helpers.questions import ANY
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

OPTIONS = ["agree", "disagree", "neither", "日本語", "é", "a b"]
LOGS = st.floats(min_value=-500, max_value=0)


@ANY
@given(st.lists(LOGS, min_size=6, max_size=6), st.lists(LOGS, min_size=6, max_size=6))
def test_normalizations_are_the_harness(conditional: list[float], unconditional: list[float]) -> None:
    """process_results of multiple_choice in lm_eval/api/task.py: as they are, by characters, bytes, less those after nothing."""
    wanted = {
        "none": conditional,
        "characters": [log / len(option) for log, option in zip(conditional, OPTIONS, strict=True)],
        "bytes": [log / len(option.encode("utf-8")) for log, option in zip(conditional, OPTIONS, strict=True)],
        "unconditional": [log - other for log, other in zip(conditional, unconditional, strict=True)],
    }
    assert tuple(wanted) == NORMALIZATIONS
    for name, scores in wanted.items():
        found = normalized(np.array(conditional), np.array(unconditional), OPTIONS, name)
        assert found.dtype == np.float64 and found == pytest.approx(scores, abs=1e-12)
        assert int(found.argmax()) == int(np.argmax(scores))


def test_characters_and_bytes_choose_otherwise_where_scripts_differ() -> None:
    logs, nothing = np.array([-6.0, -4.0]), np.zeros(2)
    by_characters, by_bytes = (normalized(logs, nothing, ["agreed", "日本語"], name) for name in ("characters", "bytes"))
    assert by_characters == pytest.approx([-1, -4 / 3]) and by_bytes == pytest.approx([-1, -4 / 9])


def test_what_has_no_length_or_no_name_is_refused() -> None:
    with pytest.raises(ValueError, match="an empty option has no length to divide by"):
        normalized(np.zeros(2), np.zeros(2), ["", "b"], "bytes")
    with pytest.raises(ValueError, match="no normalization: tokens"):
        normalized(np.zeros(2), np.zeros(2), ["a", "b"], "tokens")


@ANY
@given(st.lists(st.lists(st.floats(min_value=-1e5, max_value=1e5), min_size=3, max_size=3), min_size=1, max_size=4))
def test_probabilities_are_a_softmax(scores: list[list[float]]) -> None:
    found = probabilities(np.array(scores))
    assert found == pytest.approx(softmax(np.array(scores), axis=-1), abs=1e-12)
    assert found.sum(axis=-1) == pytest.approx(np.ones(len(scores)), abs=1e-12)


def test_ties_share_and_the_impossible_has_none() -> None:
    assert probabilities(np.array([-900.0, -900.0, -math.inf])).tolist() == [0.5, 0.5, 0.0]


def test_the_probabilities_of_a_head_are_not_divided_by_the_length_of_its_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    way = {"way": {"text": {"head": None}, "head": {"head": "classification"}}}
    document = {
        "experiment": "e", "data": {"source": "a.json"}, "constants": {"model": "tiny"}, "factors": way,
        "evaluation": {"normalization": "characters", "tasks": {"test": {"choices": ["even", "odd"]}}},
    }
    experiment = check_experiment(document, "experiment.yaml")
    said: list[str] = []
    monkeypatch.setattr(judge_runs, "outputs_of", lambda *_: {})

    def seen(_run: Any, asked: Any, _vouched: Any) -> bool:
        said.append(asked.normalization)
        return True

    monkeypatch.setattr(judge_runs, "is_current", seen)
    judge = judge_runs.Judge(experiment.evaluation, "code", FileHashes(Path("hashes.json")))
    for run in expand(experiment):
        judge.score(run, run.asked[0], is_quick=True)
    assert said == ["characters", "characters", "none"]
