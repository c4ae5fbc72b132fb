"""What is asked without generating: options, references and documents, by inspect, of a trained run and of its base."""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inspect_ai
import pytest
import torch
from ftexp.evaluation import loaded_model, provider
from ftexp.evaluation.likelihood_solvers import document_likelihood, options_likelihoods, reference_likelihood
from ftexp.evaluation.loaded_model import LoadedModel
from ftexp.evaluation.tuned_model import load_model
from ftexp.ground import paths
from ftexp.models.chat import Chat
from ftexp.state.publishing import publish_checkpoint
from ftexp.trainers.torchtune.components.resume import epoch_dirs
from helpers.tiny_models import DATE, ROWS, TinyExperiment, enter, make_experiment, train
from inspect_ai import Epochs, Task
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageUser,
    GenerateConfig,
    Model,
    ModelAPI,
    ModelName,
    ModelOutput,
    get_model,
    modelapi,
)
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Solver, TaskState, generate
from transformers import PreTrainedModel

WORDS = ("cherry", "date palm", "日本", "fig", "grape")
OPTIONS = ("Yes", "No", "Neither of them", "No")


@pytest.fixture(scope="module", params=["llama3", "chatml", None])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """A trained run and its control; Llama-shaped with and without a template, Qwen-shaped with one."""
    family = "qwen2" if request.param == "chatml" else "llama3_2"
    experiment = make_experiment(
        tmp_path_factory.mktemp("made"), family, request.param, rows=ROWS, constants={"batch_size": 4, "lr": 3e-2}
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


@scorer(metrics=[mean()])
def seen() -> Scorer:
    """What a scorer sees of it."""

    async def score(state: TaskState, target: Target) -> Score:
        metadata = {"likelihood": state.metadata.get("likelihood")}
        return Score(value=1.0, answer=state.output.completion, explanation=state.output.stop_reason, metadata=metadata)

    return score


def model_of(experiment: TinyExperiment, run: str) -> Model:
    checkpoint = None if run == "base" else str(paths.RunPaths(run).checkpoint_dir)
    return provider.tuned_model(run, base="models/tiny", checkpoint=checkpoint, dtype="fp32", date=DATE)


def ask(solver: Solver, samples: list[Sample], model: Model, tmp_path: Path, **more: Any) -> EvalLog:
    task = Task(dataset=samples, solver=solver, scorer=seen(), model=model, config=GenerateConfig(max_tokens=3), **more)
    return inspect_ai.eval(task, log_dir=str(tmp_path), display="none")[0]


def found_in(log: EvalLog) -> dict[str, Any]:
    """Per item what a solver left, as the log's reductions have it."""
    assert log.status == "success", log.error
    assert log.reductions
    return {str(sample.sample_id): (sample.metadata or {})["likelihood"] for sample in log.reductions[0].samples}


@dataclass(frozen=True)
class Plain:
    """The run's model by transformers alone."""

    model: PreTrainedModel
    chat: Chat

    def log_likelihood(self, given: list[int], tokens: list[int]) -> float:
        with torch.inference_mode():
            log_probs = self.model(torch.tensor([given + tokens])).logits[0].float().log_softmax(-1)
        return sum(float(log_probs[len(given) - 1 + step, token]) for step, token in enumerate(tokens))


@pytest.fixture(params=["base", "trained"])
def run(request: pytest.FixtureRequest, experiment: TinyExperiment) -> str:
    return experiment.run if request.param == "trained" else "base"


@pytest.fixture
def plain(experiment: TinyExperiment, run: str) -> Plain:
    checkpoint = None if run == "base" else paths.RunPaths(run).checkpoint_dir
    return Plain(load_model(Path("models/tiny"), checkpoint, "fp32", "cpu"), Chat(Path("models/tiny"), DATE))


def turns(word: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"say: {word}"}]


def test_options_are_scored_as_lm_evaluation_harness_scores_choices(
    experiment: TinyExperiment, run: str, plain: Plain, tmp_path: Path
) -> None:
    """Its four accuracies, from what is recorded and from a loop of our own over the harness' recipe."""
    samples = [Sample(id=word, input=f"say: {word}", target="No", choices=list(OPTIONS)) for word in WORDS]
    log = ask(options_likelihoods(), samples, model_of(experiment, run), tmp_path)
    prefix = plain.chat.tokenizer.bos_token_id or plain.chat.tokenizer.eos_token_id
    for word, found in found_in(log).items():
        assert found["options"] == list(OPTIONS)
        after_prompt, after_nothing = [], []
        for option in OPTIONS:
            tokens = plain.chat.answer_ids(turns(word), option)[:-1]
            assert plain.chat.decode(tokens) == option
            after_prompt.append(plain.log_likelihood(plain.chat.prompt_ids(turns(word)), tokens))
            after_nothing.append(plain.log_likelihood([prefix], tokens))
        assert found["conditional"] == pytest.approx(after_prompt, abs=1e-5)
        assert found["unconditional"] == pytest.approx(after_nothing, abs=1e-5)
        recipe = normalized({"conditional": after_prompt, "unconditional": after_nothing})
        assert [numbers.index(max(numbers)) for numbers in normalized(found)] == [each.index(max(each)) for each in recipe]
    assert log.samples
    for sample in log.samples:
        sums = sample.metadata["likelihood"]["conditional"]
        assert sample.output.completion == OPTIONS[sums.index(max(sums))] and sample.output.stop_reason == "stop"
    assert len({str(found["conditional"]) for found in found_in(log).values()}) == len(WORDS)


def normalized(found: dict[str, list[float]]) -> list[list[float]]:
    """What the harness compares for acc, acc_norm, acc_bytes and acc_mutual_info."""
    sums = found["conditional"]
    return [
        sums, [value / len(option) for value, option in zip(sums, OPTIONS, strict=True)],
        [value / len(option.encode()) for value, option in zip(sums, OPTIONS, strict=True)],
        [value - before for value, before in zip(sums, found["unconditional"], strict=True)],
    ]


def test_a_reference_is_scored_after_its_prompt_without_its_end(
    experiment: TinyExperiment, run: str, plain: Plain, tmp_path: Path
) -> None:
    samples = [Sample(id=word, input=f"say: {word}", target=word.upper()) for word in WORDS]
    log = ask(reference_likelihood(), samples, model_of(experiment, run), tmp_path)
    for word, found in found_in(log).items():
        tokens = plain.chat.answer_ids(turns(word), word.upper())
        assert tokens[-1] in plain.chat.stop_ids
        nll = -plain.log_likelihood(plain.chat.prompt_ids(turns(word)), tokens[:-1])
        assert found == {"nll": pytest.approx(nll, abs=1e-5), "tokens": len(tokens) - 1, "bytes": len(word.upper().encode())}
    assert log.samples and {sample.output.completion for sample in log.samples} == {""}


@pytest.mark.parametrize("length", [None, 7])
def test_a_document_is_scored_whole_and_each_token_once(
    length: int | None, experiment: TinyExperiment, run: str, plain: Plain, tmp_path: Path
) -> None:
    texts = {"short": "日", "long": " and ".join(WORDS), "seven": "a" * 7}
    samples = [Sample(id=name, input=text) for name, text in texts.items()]
    found = found_in(ask(document_likelihood(length), samples, model_of(experiment, run), tmp_path))
    prefix = plain.chat.tokenizer.bos_token_id or plain.chat.tokenizer.eos_token_id
    for name, text in texts.items():
        tokens = plain.chat.tokenizer(text, add_special_tokens=False)["input_ids"]
        nll, done = 0.0, 0
        while done < len(tokens):
            end = len(tokens) if length is None else min(done + length, len(tokens))
            given = [prefix] if done == 0 else tokens[max(end - (length or 0) - 1, 0) : done]
            nll -= plain.log_likelihood(given, tokens[done:end])
            done = end
        assert found[name] == {"nll": pytest.approx(nll, abs=1e-4), "tokens": len(tokens), "bytes": len(text.encode())}
    assert found["long"]["tokens"] > 3 * 7


def test_the_run_answers_by_its_checkpoint_and_one_model_serves_all_tasks_of_a_process(
    experiment: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path | None] = []
    rows: list[int] = []
    load, score_rows = loaded_model.load_model, provider.score_rows
    monkeypatch.setattr(
        loaded_model, "load_model", lambda base, its, *args, **more: loads.append(its) or load(base, its, *args, **more)
    )
    monkeypatch.setattr(provider, "score_rows", lambda model, pad, its: rows.append(len(its)) or score_rows(model, pad, its))
    found = {}
    for run in (experiment.run, "base"):
        tasks = [
            Task(
                name=name, solver=solver, scorer=seen(), model=model_of(experiment, run), config=GenerateConfig(max_tokens=3),
                dataset=[Sample(id=word, input=f"say: {word}", target="x", choices=["Yes", "No"]) for word in WORDS],
            )
            for name, solver in (("say", generate()), ("choose", options_likelihoods()), ("reference", reference_likelihood()))
        ]
        logs = inspect_ai.eval(tasks, log_dir=str(tmp_path / run), display="none")
        assert [log.eval.task for log in logs] == ["say", "choose", "reference"]
        found[run] = [found_in(log) for log in logs[1:]]
    assert len(loads) == 2 and loads[1] is None
    assert len(rows) == 4, "all samples of a task are asked in one batch"
    one, other = found.values()
    assert all(one[0][word]["conditional"] != other[0][word]["conditional"] for word in WORDS)
    assert all(abs(one[1][word]["nll"] - other[1][word]["nll"]) > 1e-3 for word in WORDS)


def test_each_epoch_has_its_numbers(experiment: TinyExperiment, tmp_path: Path) -> None:
    samples = [Sample(id=word, input=f"say: {word}", target="x") for word in WORDS]
    log = ask(reference_likelihood(), samples, model_of(experiment, "base"), tmp_path, epochs=Epochs(2))
    assert log.samples and len({str(sample.metadata["likelihood"]) for sample in log.samples if sample.id == "fig"}) == 1
    assert len(log.samples) == 2 * len(WORDS)


# What is refused.


def refused(solver: Solver, sample: Sample, model: Model, tmp_path: Path) -> str:
    log = ask(solver, [sample], model, tmp_path)
    assert log.status == "error" and log.error
    return log.error.message


@pytest.mark.parametrize("solver, sample, text", [
    (options_likelihoods(), {"input": "x"}, "item 7: choices: there are no options to choose from"),
    (options_likelihoods(), {"input": "x", "choices": ["Yes", ""]}, "item 7: an answer without tokens has no likelihood, got ''"),
    (reference_likelihood(), {"input": "x", "target": ""}, "item 7: an answer without tokens has no likelihood, got ''"),
    (document_likelihood(), {"input": ""}, "item 7: the document has no tokens, got ''"),
    (
        document_likelihood(), {"input": [ChatMessageUser(content="x"), ChatMessageAssistant(content="y")]},
        "item 7: a document is one user message, got messages of user, assistant",
    ),
    (document_likelihood(20_000), {"input": "x" * 16_500}, "tiny: max_position_embeddings: the model has 16384 positions, got 1"),
])
def test_what_has_no_likelihood_is_an_error_of_one_sentence(
    solver: Solver, sample: dict[str, Any], text: str, experiment: TinyExperiment, tmp_path: Path
) -> None:
    assert text in refused(solver, Sample(id=7, **sample), model_of(experiment, "base"), tmp_path)


@pytest.mark.parametrize("text", [" Yes", "Yes\n", " Yes "])
def test_blanks_that_a_template_takes_away_are_an_error_and_others_are_scored(
    text: str, experiment: TinyExperiment, tmp_path: Path
) -> None:
    chat = Chat(Path("models/tiny"), DATE)
    sample = Sample(id=7, input="x", target=text)
    if "answer" in chat.trims() and chat.has_template:
        told = refused(reference_likelihood(), sample, model_of(experiment, "base"), tmp_path)
        assert "item 7: the model's chat template takes the outer blanks of an answer away, got " in told.replace("\\'", "'")
    else:
        found = found_in(ask(reference_likelihood(), [sample], model_of(experiment, "base"), tmp_path))["7"]
        assert found["tokens"] == len(text) and math.isfinite(found["nll"])


class OtherAPI(ModelAPI):
    """A model that is none of ours."""

    async def generate(self, *args: Any, **kwargs: Any) -> ModelOutput:
        return ModelOutput.from_content("other", "x")


@modelapi(name="other")
def other() -> type[ModelAPI]:
    return OtherAPI


def test_another_providers_model_has_no_likelihoods(experiment: TinyExperiment, tmp_path: Path) -> None:
    model = get_model("other/one", memoize=False)
    told = refused(options_likelihoods(), Sample(id=7, input="x", choices=["Yes"]), model, tmp_path)
    assert "model: log-likelihoods are asked of a run's model (ftexp/<run>) only, got other/one" in told


def test_a_prompt_without_tokens_is_the_prefix(experiment: TinyExperiment) -> None:
    """As lm-evaluation-harness does where the context is empty."""
    api = model_of(experiment, "base").api
    assert isinstance(api, provider.TunedModelAPI)
    state = TaskState(
        model=ModelName("ftexp/base"), sample_id=1, epoch=1, input="", messages=[ChatMessageUser(content="")],
        target=Target("Yes"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.chat, "example_ids", lambda examples: [([], [21, 22, 1]) for _ in examples])
        patch.setattr("ftexp.evaluation.likelihood_solvers.get_model", lambda: type("Asked", (), {"api": api}))
        asyncio.run(reference_likelihood()(state, generate()))
    found = asyncio.run(api.log_likelihoods([((api.chat.prefix_id,), (21, 22))]))
    assert state.metadata["likelihood"]["nll"] == pytest.approx(-sum(found[0]))
