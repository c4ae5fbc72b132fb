"""Whole documents, of a trained run and of its base: the tokens of training in perplexity and in generation, and the numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import inspect_ai
import pytest
import torch
from ftexp.checks.read_back import check_read_back
from ftexp.data.rows import read_items
from ftexp.evaluation import provider
from ftexp.evaluation.loaded_model import LoadedModel
from ftexp.evaluation.tuned_model import generate, load_model
from ftexp.ground import paths
from ftexp.ground.yamlfile import load_yaml
from ftexp.models.chat import Chat
from ftexp.state.publishing import publish_checkpoint
from ftexp.trainers.choice import trainer_of
from ftexp.trainers.torchtune.components.resume import epoch_dirs
from helpers.tiny_models import TinyExperiment, enter, make_experiment, train
from inspect_ai.log import EvalLog
from transformers import PreTrainedModel

WORDS = ("cells", "light", "graphs", "oceans", "proofs", "stones", "rivers", "fields")
ROWS = [
    {"abstract": f"We see {WORDS[n % 8]} and {WORDS[n % 5]}. In case {n} it is “so”! More is needed.\n\nÖl {n}?", "year": str(n)}
    for n in range(24)
]
TASKS: dict[str, Any] = {
    "whole": {}, "half": {"complete": {"after": {"sentences": 0.5}}, "scorers": ["rouge_l", "perplexity"]},
    "words": {"complete": {"after": {"words": 3}}, "temperature": 0.9, "epochs": 2},
    "tokens": {"complete": {"after": {"tokens": 0.5}}},
}


@pytest.fixture(scope="module", params=["llama3", "chatml"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """A trained run and its control; with a template that no document may see, with BOS and without."""
    family = "qwen2" if request.param == "chatml" else "llama3_2"
    experiment = make_experiment(
        tmp_path_factory.mktemp("made"), family, request.param, rows=ROWS, prompt=None, evaluation={"tasks": TASKS},
        data={"source": "data/raw/rows.json", "text": "abstract"}, constants={"batch_size": 4, "lr": 3e-2},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(experiment.root)
        train(experiment.config())
        publish_checkpoint(experiment.document(), epoch_dirs(paths.RunPaths(experiment.run).scratch_dir("train"))[0])
    return experiment


@pytest.fixture
def experiment(made: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyExperiment]:
    monkeypatch.setattr(provider, "MODEL", LoadedModel())
    yield enter(made, monkeypatch)


@pytest.fixture(params=["base", "trained"])
def run(request: pytest.FixtureRequest, experiment: TinyExperiment) -> str:
    return experiment.run if request.param == "trained" else "base"


def chat() -> Chat:
    return Chat(Path("models/tiny"), "2026-01-01")


def ask(run: str, asking: str, logs: Path) -> EvalLog:
    log = inspect_ai.eval(f"runs/{run}/eval.py@{asking}", log_dir=str(logs), display="none")[0]
    assert log.status == "success", log.error
    return log


def documents(experiment: TinyExperiment, part: str = "test") -> dict[str, str]:
    run = experiment.document()
    name = run.training_set if part == "train" else run.asked[0].test_set
    return {item["item"]: item["row"]["abstract"] for item in read_items(paths.split_part(name, part))}


def likelihoods(log: EvalLog) -> dict[str, Any]:
    assert log.reductions
    return {str(sample.sample_id): (sample.metadata or {})["answers"][0] for sample in log.reductions[0].samples}


def model_of(run: str) -> PreTrainedModel:
    return load_model(Path("models/tiny"), None if run == "base" else paths.RunPaths(run).checkpoint_dir, "fp32", "cpu")


def nll(model: PreTrainedModel, ids: list[int], first: int) -> float:
    """Of the tokens from `first` on but the last, by transformers alone."""
    with torch.inference_mode():
        log_probs = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    return -sum(float(log_probs[place - 1, ids[place]]) for place in range(first, len(ids) - 1))


def test_every_token_is_trained_from_what_stands_before_a_document_to_its_end(experiment: TinyExperiment) -> None:
    run, tokens, texts = experiment.document(), chat(), [*documents(experiment, "train").values()]
    path = paths.RunPaths(run.id).finetune_yaml
    config = load_yaml(path)
    section = {key: value for key, value in config["dataset"].items() if key != "_component_"}
    assert section == {
        "file": str(paths.split_part(run.training_set, "train")), "text_column": "abstract", "loss": "full",
        "rows": run.steps["train_rows"], "seed": 1, "max_seq_len": None,
    }
    assert check_read_back(run, config) == []
    wrong = {**config, "dataset": {**config["dataset"], "text_column": "year"}}
    assert any("dataset.text_column: is 'year', but " in message for message in check_read_back(run, wrong))
    rows = list(trainer_of(run).training_rows(run))
    assert len(rows) == run.steps["train_rows"] > 0
    for row in rows:
        assert row.tokens == tokens.document_ids(texts[row.index]) and row.labels == [None, *row.tokens[1:]]
        assert row.tokens[0] == tokens.prefix_id and row.labels[-1] == tokens.end_id in tokens.stop_ids


def test_perplexity_is_of_the_same_tokens_but_the_end(experiment: TinyExperiment, run: str, tmp_path: Path) -> None:
    found = likelihoods(ask(run, "whole", tmp_path))
    texts, model = documents(experiment), model_of(run)
    assert found.keys() == texts.keys()
    for item, text in list(texts.items())[:3]:
        ids, said = chat().document_ids(text), found[item]["likelihood"]
        assert said["nll"] == pytest.approx(nll(model, ids, 1), abs=2e-4)
        assert (said["tokens"], said["bytes"]) == (len(ids) - 2, len(text.encode()))


def test_a_beginning_reaches_the_model_as_the_first_tokens_of_the_document(
    experiment: TinyExperiment, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[int]] = []

    def seen(model: Any, chat: Chat, prompts: list[list[int]], *args: Any, **more: Any) -> Any:
        given.extend(prompts)
        return generate(model, chat, prompts, *args, **more)

    monkeypatch.setattr(provider, "generate", seen)
    log, texts = ask(run, "half", tmp_path), documents(experiment)
    assert log.samples and len(given) == len(texts)
    wholes = {tuple(chat().document_ids(text)) for text in texts.values()}
    assert all(any(whole[: len(ids)] == tuple(ids) for whole in wholes) for ids in given)
    for sample in log.samples:
        text = texts[str(sample.id)]
        beginning, rest = text.split("! ", 1)
        assert sample.input[0].text == beginning + "!" and sample.target == rest  # type: ignore[union-attr]
        assert "<|" not in str(sample.input[0].text)  # type: ignore[union-attr]


def test_perplexity_of_the_rest_is_of_the_tokens_that_follow_the_beginning(
    experiment: TinyExperiment, run: str, tmp_path: Path
) -> None:
    found, texts = likelihoods(ask(run, "half.reference", tmp_path)), documents(experiment)
    model = model_of(run)
    for item, text in list(texts.items())[:3]:
        said, cut = found[item]["likelihood"], found[item]["cut"]
        ids = chat().document_ids(text)
        assert text[:cut].endswith("!") and said["bytes"] == len(text[cut:].encode())
        assert said["nll"] == pytest.approx(nll(model, ids, len(ids) - 1 - said["tokens"]), abs=2e-4)
        assert chat().decode(ids[len(ids) - 1 - said["tokens"] :]).strip() == text[cut:].strip()


def test_drawn_continuations_differ_and_the_cut_is_recorded_with_each(experiment: TinyExperiment, tmp_path: Path) -> None:
    log = ask("base", "words", tmp_path)
    assert log.reductions and log.samples and len(log.samples) == 2 * len(documents(experiment))
    for sample in log.reductions[0].samples:
        answers = (sample.metadata or {})["answers"]
        assert [answer["cut"] for answer in answers] == [answers[0]["cut"]] * 2
    assert len({sample.output.completion for sample in log.samples}) > len(documents(experiment))


def test_after_a_share_of_tokens_half_of_them_are_given(experiment: TinyExperiment, tmp_path: Path) -> None:
    log = ask("base", "tokens", tmp_path)
    assert log.samples
    for sample in log.samples:
        said = sample.input[0].metadata or {}  # type: ignore[union-attr]
        own = len(chat().document_ids(said["document"])) - 2
        assert abs(said["tokens"] - own / 2) <= 2, "of a character of several tokens none is cut"
