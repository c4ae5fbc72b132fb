"""What validate says of documents before anything is spent: tokens that end them, odd texts, copies, cuts, lengths."""

import json
from pathlib import Path
from typing import Any

import pytest
from ftexp.checks.design_check import check_differences
from ftexp.checks.token_check import TokenReport, check_tokens
from ftexp.design.planning import planned_runs
from ftexp.design.spec import read_experiment
from ftexp.ground import paths
from ftexp.ground.yamlfile import load_yaml
from ftexp.models.chat import Chat
from helpers.tiny_models import TinyExperiment, make_experiment

TEXTS = [f"The case {n} is known. It is not {n}." for n in range(20)]
HALF: dict[str, Any] = {"rest": {"complete": {"after": {"sentences": 0.5}}, "max_tokens": 30}}


def made(root: Path, texts: list[str], tasks: dict[str, Any] | None = None) -> TinyExperiment:
    return make_experiment(
        root, "llama3", None, rows=[{"text": text} for text in texts], prompt=None, evaluation={"tasks": tasks or {"whole": {}}},
        data={"source": "data/raw/rows.json", "text": "text", "split": {"train": 0.5, "test": 0.5}},
    )


def report(experiment: TinyExperiment, patch: pytest.MonkeyPatch, run: str | None = None) -> TokenReport:
    patch.chdir(experiment.root)
    return check_tokens(experiment.document(run), Chat(Path("models/tiny"), "2026-01-01"))


def test_sound_documents_are_shown_as_they_train_with_their_lengths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = report(made(tmp_path, TEXTS, {**HALF, "whole": {}}), monkeypatch)
    assert (found.errors, found.warnings) == ([], [])
    assert found.example.startswith("<|begin_of_text|>⟦The case ") and found.example.endswith(".<|end_of_text|>⟧")
    assert len(found.lengths) == 10 and set(found.lengths) <= {length + 2 for length in map(len, TEXTS)}


@pytest.mark.parametrize(("texts", "where", "what"), [
    ([*TEXTS, "Here it ends.<|end_of_text|> And goes on."] * 2, "errors",
     "holds <|end_of_text|>, which the model reads as a document's beginning or end. Take it out of the text"),
    ([*TEXTS, "[{'role': 'user', 'content': 'a'}]"] * 2, "errors", "holds turns that are written as one text"),
    (TEXTS * 4, "warnings", "the same document stands in other rows, and"),
])
def test_odd_documents_are_named(
    texts: list[str], where: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = made(tmp_path, [f"{text} " if number % 2 else text for number, text in enumerate(texts)] + ["Another text."] * 9)
    said = [*getattr(report(experiment, monkeypatch), where), *getattr(report(experiment, monkeypatch, "base"), where)]
    assert any(what in message and ".jsonl: item " in message for message in said), said


def test_a_limit_that_ends_completions_early_is_a_warning_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = {"rest": {**HALF["rest"], "max_tokens": 5}}
    found = report(made(tmp_path, TEXTS, tasks), monkeypatch, "base")
    assert found.errors == []
    what = "experiment.yaml: evaluation.max_tokens: is 5, and 10 of 10 references are longer (the longest has 15 tokens with its"
    what += " end)"
    assert [message.split(", so that")[0] for message in found.warnings] == [what]


def test_a_beginning_and_its_answer_fit_into_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = report(made(tmp_path, TEXTS, {"rest": {**HALF["rest"], "max_tokens": 20000}}), monkeypatch, "base")
    assert ["tokens with what follows, and the model takes 16384" in message for message in found.errors] == [True]


def test_documents_and_questions_as_levels_of_one_factor_differ_in_nothing_that_is_not_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"text": text, "input": f"word {number}", "output": "ab"[number % 2]} for number, text in enumerate(TEXTS)]
    (tmp_path / "own.json").write_text(json.dumps([{"text": "One. Two."}, {"text": "Three. Four."}]), encoding="utf-8")
    experiment = make_experiment(
        tmp_path, "llama3", None, rows=rows, evaluation={"tasks": {"own": {"data": "own.json", "document": "text"}}},
        factors={"by": {"asked": {"data.output": "output"}, "read": {"data.text": "text"}, "named": {"data.text": "input"}}},
    )
    monkeypatch.chdir(experiment.root)
    runs = [run for run in planned_runs() if not run.is_control]
    configs = {run.id: load_yaml(paths.RunPaths(run.id).finetune_yaml) for run in runs}
    assert [configs[run.id]["dataset"].get("text_column") for run in runs] == [None, "text", "input"]
    factors = read_experiment(Path("experiment.yaml")).factors
    assert check_differences(runs, configs, factors) == []
    configs["by-named"]["dataset"]["seed"] = 7
    assert [name for name, _ in check_differences(runs, configs, factors)] == ["by-named"]
