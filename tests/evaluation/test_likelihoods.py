"""Log-likelihoods of token pairs: against a plain loop, in any batches; and the one model and one user that a process has."""

import asyncio
import os
import random
import shutil
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from ftexp.evaluation import likelihood, loaded_model, provider
from ftexp.evaluation.likelihood import Pair, batches, check_lengths, log_likelihoods
from ftexp.evaluation.likelihood_solvers import windows
from ftexp.evaluation.loaded_model import LoadedModel, Weights
from ftexp.evaluation.tuned_model import load_model
from ftexp.evaluation.waiting import Waiting
from ftexp.ground.errors import UserError
from ftexp.models.chat import Chat
from helpers.tiny_models import DATE, WORDS, make_tiny_model
from inspect_ai.model import ChatMessageUser, GenerateConfig, get_model
from transformers import PreTrainedModel

SHAPES = [("llama3_2", "llama3"), ("llama3_2", None), ("qwen2", "chatml"), ("qwen2", None), ("gemma2", "chatml")]
ANSWERS = ("Yes", "No", "Nothing", "a", "b", "日本 is longer than the others, by some tokens")


@dataclass(frozen=True)
class Tiny:
    """A model with the pairs that are asked of it, and what a loop over them says."""

    model: PreTrainedModel
    chat: Chat
    pairs: list[Pair]
    plain: list[list[float]]


@pytest.fixture(scope="module", params=SHAPES, ids=[f"{family}-{template}" for family, template in SHAPES])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    make_tiny_model(folder, *request.param)
    model, chat = load_model(folder, None, "fp32", "cpu"), Chat(folder, DATE)
    turns = [[{"role": "user", "content": f"say: {word}"}] for word in WORDS[:5]]
    pairs: list[Pair] = [
        (tuple(chat.prompt_ids(messages)), tuple(chat.answer_ids(messages, answer)[:-1]))
        for messages in turns for answer in ANSWERS
    ]
    return Tiny(model, chat, pairs, [plain(model, pair) for pair in pairs])


def plain(model: PreTrainedModel, pair: Pair) -> list[float]:
    """One pair by transformers alone."""
    given, continuation = pair
    with torch.inference_mode():
        log_probs = model(torch.tensor([[*given, *continuation]])).logits[0].float().log_softmax(-1)
    return [float(log_probs[len(given) - 1 + step, token]) for step, token in enumerate(continuation)]


def assert_alike(found: list[list[float]], wanted: list[list[float]]) -> None:
    assert [len(numbers) for numbers in found] == [len(numbers) for numbers in wanted]
    assert [n for numbers in found for n in numbers] == pytest.approx([n for numbers in wanted for n in numbers], abs=1e-5)


# Numbers.


def test_they_are_those_of_a_plain_loop_over_the_pairs(tiny: Tiny) -> None:
    assert len({round(sum(numbers), 3) for numbers in tiny.plain}) > len(tiny.plain) / 2, "numbers all alike tell nothing"
    found = log_likelihoods(tiny.model, tiny.chat.pad_id, tiny.pairs)
    assert_alike(found, tiny.plain)
    assert {type(number) for numbers in found for number in numbers} == {float}


@pytest.mark.parametrize("tokens, scored", [(150, 9), (10_000, 7)])
def test_what_they_are_asked_with_changes_nothing(tokens: int, scored: int, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = len(batches(tiny.pairs))
    monkeypatch.setattr(likelihood, "BATCH_TOKENS", tokens)
    monkeypatch.setattr(likelihood, "SCORED_TOKENS", scored)
    order = random.Random(tokens).sample(range(len(tiny.pairs)), len(tiny.pairs))
    assert len(batches(tiny.pairs)) > whole
    assert_alike(log_likelihoods(tiny.model, tiny.chat.pad_id, [tiny.pairs[k] for k in order]), [tiny.plain[k] for k in order])


def test_batches_do_not_depend_on_the_order_of_what_is_asked(tiny: Tiny) -> None:
    assert batches(reversed(tiny.pairs)) == batches(tiny.pairs) == batches([*tiny.pairs, *tiny.pairs[:5]])


@pytest.mark.parametrize("scored", [7, 64, 999])
def test_a_long_text_goes_through_piece_by_piece(scored: int, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gemma 2's window is 64 tokens here."""
    pair: Pair = (tiny.pairs[0][0], tuple(random.Random(1).choices(range(20, 90), k=170)))
    widths: list[int] = []
    handle = tiny.model.get_input_embeddings().register_forward_pre_hook(lambda _, given: widths.append(given[0].shape[1]))
    monkeypatch.setattr(likelihood, "SCORED_TOKENS", scored)
    found = log_likelihoods(tiny.model, tiny.chat.pad_id, [pair])
    handle.remove()
    size = len(pair[0]) + 169
    assert max(widths) == min(scored, size) and sum(widths) == size
    assert_alike(found, [plain(tiny.model, pair)])


def test_equal_tokens_go_through_once_and_the_head_computes_what_is_wanted_alone(tiny: Tiny) -> None:
    pairs = [pair for pair in tiny.pairs if len(pair[1]) == 1]
    prompts = {pair[0] for pair in pairs}
    assert len(pairs) > len(prompts)
    rows: list[int] = []
    logits: list[int] = []
    handles = [
        tiny.model.get_input_embeddings().register_forward_hook(lambda _, given, output: rows.append(len(given[0]))),
        tiny.model.get_output_embeddings().register_forward_hook(lambda _, given, output: logits.append(output.shape[1])),
    ]
    twice = [*pairs, *pairs]
    assert_alike(log_likelihoods(tiny.model, tiny.chat.pad_id, twice), [plain(tiny.model, pair) for pair in twice])
    for handle in handles:
        handle.remove()
    assert sum(rows[: len(batches(pairs))]) == len(prompts) and sum(logits[: len(batches(pairs))]) == len(pairs)


# What is refused.


def test_more_tokens_than_positions_are_refused_and_the_last_one_needs_none(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny.model.config, "max_position_embeddings", 10)
    long: Pair = (tuple(range(20, 28)), (30, 31, 32))
    assert_alike(log_likelihoods(tiny.model, tiny.chat.pad_id, [long]), [plain(tiny.model, long)])
    with pytest.raises(UserError, match=r"tiny: max_position_embeddings: the model has 10 positions, got 9 tokens of a prompt"):
        log_likelihoods(tiny.model, tiny.chat.pad_id, [long, ((9, *long[0]), long[1])])


@pytest.mark.parametrize("pair", [((), (1,)), ((1,), ())])
def test_a_pair_with_nothing_in_it_is_a_mistake_of_the_code(pair: Pair) -> None:
    with pytest.raises(ValueError, match="of which one is empty"):
        check_lengths([pair], 9, "models/tiny")


def test_logits_that_are_no_numbers_are_said(tiny: Tiny) -> None:
    head: Any = tiny.model.get_output_embeddings()
    handle = head.register_forward_hook(lambda _, given, output: output * torch.nan)
    with pytest.raises(UserError, match="the model's logits are not numbers, so no text has a likelihood"):
        log_likelihoods(tiny.model, tiny.chat.pad_id, tiny.pairs)
    handle.remove()


# Documents.


def rolling(tokens: list[int], prefix_id: int, length: int) -> list[tuple[list[int], list[int]]]:
    """lm-evaluation-harness' windows, written out: what the model is given, and what it predicts at its end."""
    first = min(length, len(tokens))
    made = [([prefix_id, *tokens[: first - 1]], tokens[:first])]
    while (done := sum(len(predicted) for _, predicted in made)) < len(tokens):
        end = min(done + length, len(tokens))
        made.append((tokens[end - length - 1 : end - 1], tokens[done:end]))
    return made


@pytest.mark.parametrize("size, length", [(1, 5), (4, 5), (5, 5), (6, 5), (10, 5), (11, 5), (14, 5), (3, 1), (40, 7)])
def test_a_documents_windows_score_each_token_once_after_what_lm_evaluation_harness_gives(size: int, length: int) -> None:
    tokens = list(range(100, 100 + size))
    made = list(windows(tokens, 1, length))
    assert [token for _, continuation in made for token in continuation] == tokens
    assert [([*given, *continuation[:-1]], list(continuation)) for given, continuation in made] == rolling(tokens, 1, length)
    check_lengths(made, length, "models/tiny")


# One model, one user.


@dataclass
class Loads:
    """What was loaded, and whether what was held before was gone by then."""

    wanted: list[tuple[Path, Path | None]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    alive: list["weakref.ref[Any]"] = field(default_factory=list)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    seen = Loads()

    def counting(base: Path, checkpoint: Path | None, *args: Any, **kwargs: Any) -> PreTrainedModel:
        seen.wanted.append((base, checkpoint))
        seen.held.append(sum(reference() is not None for reference in seen.alive))
        model = load_model(base, checkpoint, *args, **kwargs)
        seen.alive.append(weakref.ref(model))
        return model

    monkeypatch.setattr(loaded_model, "load_model", counting)
    return seen


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    for name, family in (("one", "llama3_2"), ("two", "llama3_2")):
        make_tiny_model(tmp_path / name, family, "llama3")
    return [tmp_path / "one", tmp_path / "two"]


def test_a_model_is_loaded_once_and_gone_before_the_next_one(folders: list[Path], loads: Loads) -> None:
    one, two = (Weights(folder, None, "fp32") for folder in folders)
    held = LoadedModel()
    for weights in (one, one, Weights(folders[0], None, "fp32"), two, one):
        with held.use(weights, weights.files()) as model:
            assert model.config.name_or_path == str(weights.base_dir)
        del model
    assert [base for base, _ in loads.wanted] == [folders[0], folders[1], folders[0]]
    assert loads.held == [0, 0, 0]


def test_weights_that_were_written_anew_are_loaded_anew(folders: list[Path], loads: Loads) -> None:
    base, checkpoint = folders
    weights, held = Weights(base, checkpoint, "fp32"), LoadedModel()
    before = weights.files()
    with held.use(weights, before):
        pass
    shutil.copy(checkpoint / "model.safetensors", checkpoint / "new")
    os.replace(checkpoint / "new", checkpoint / "model.safetensors")
    with held.use(weights, weights.files()):
        assert len(loads.wanted) == 2
    with pytest.raises(UserError, match=r"two: the model's files were written anew while it was evaluated\. Run the evaluation"):
        held.use(weights, before).__enter__()


def api_of(folder: Path) -> provider.TunedModelAPI:
    api = provider.tuned_model("base", base=str(folder), checkpoint=None, dtype="fp32", date=DATE).api
    assert isinstance(api, provider.TunedModelAPI)
    return api


def test_answers_and_likelihoods_of_one_model_are_never_computed_at_the_same_time(
    folders: list[Path], loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "MODEL", LoadedModel())
    running, most = 0, 0

    def alone(original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal running, most
            running, most = running + 1, max(most, running + 1)
            try:
                return original(*args, **kwargs)
            finally:
                running -= 1
        return call

    monkeypatch.setattr(provider, "generate", alone(provider.generate))
    monkeypatch.setattr(provider, "score_rows", alone(provider.score_rows))
    apis = [api_of(folders[0]), api_of(folders[0])]
    prompts = [[ChatMessageUser(content=f"say: {word}")] for word in WORDS]

    async def all_at_once() -> list[Any]:
        asked = [api.generate(prompt, [], "none", GenerateConfig(max_tokens=3)) for api in apis for prompt in prompts]
        scored = [api.log_likelihoods([((1, 20, n), (30, 31))]) for api in apis for n in range(20, 30)]
        return await asyncio.gather(*asked, *scored)

    found = asyncio.run(all_at_once())
    assert len(found) == 2 * len(WORDS) + 20 and most == 1
    assert len(loads.wanted) == 1
    assert_alike([numbers for [numbers] in found[-10:]], [plain(loads.alive[0](), ((1, 20, n), (30, 31))) for n in range(20, 30)])


def test_samples_that_ask_at_the_same_time_are_answered_in_the_same_batches(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "MODEL", LoadedModel())
    seen: list[list[Pair]] = []
    original = provider.score_rows
    monkeypatch.setattr(provider, "score_rows", lambda model, pad, rows: seen.append(list(rows)) or original(model, pad, rows))

    async def ask(order: list[int]) -> list[list[list[float]]]:
        api = api_of(folders[0])
        return await asyncio.gather(*[api.log_likelihoods([((1, 20), (n,)), ((2,), (n, 7))]) for n in order])

    there = asyncio.run(ask(list(range(20, 40))))
    back = asyncio.run(ask(list(range(39, 19, -1))))
    assert there == back[::-1] and len(seen) == 2 and seen[0] == seen[1]


def test_a_sample_that_asks_too_much_is_refused_alone(folders: list[Path]) -> None:
    api = api_of(folders[0])

    async def ask() -> list[Any]:
        fine, long = [((1,), (20, 21))], [((1,), tuple([20] * api.positions)), ((1,), tuple([20] * (api.positions + 1)))]
        return await asyncio.gather(api.log_likelihoods(fine), api.log_likelihoods(long), return_exceptions=True)

    fine, refused = asyncio.run(ask())
    assert len(fine[0]) == 2
    assert isinstance(refused, UserError) and "one: max_position_embeddings: the model has 16384 positions, got 1" in str(refused)


@dataclass(eq=False)
class Asked:
    """A request for its own number."""

    number: int
    answer: int | None = None


@pytest.mark.parametrize("trouble", ["cancelled", "failed"])
def test_where_the_sample_that_answers_for_all_does_not_come_to_it_the_next_one_does(trouble: str) -> None:
    calls: list[int] = []

    async def answer_all(requests: list[Asked]) -> None:
        calls.append(len(requests))
        if len(calls) == 1:
            if trouble == "failed":
                raise OSError("no room")
            await asyncio.sleep(60)
        for request in requests:
            request.answer = request.number

    async def ask() -> list[Any]:
        waiting, requests = Waiting(answer_all), [Asked(number) for number in range(5)]
        tasks = [asyncio.create_task(waiting.answer(request)) for request in requests]
        while not calls:
            await asyncio.sleep(0)
        if trouble == "cancelled":
            tasks[0].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        return [type(done[0]), *[request.answer for request in requests]]

    assert asyncio.run(ask()) == [OSError if trouble == "failed" else asyncio.CancelledError, None, 1, 2, 3, 4]
    assert calls == [5, 4]


def test_our_provider_is_found_by_its_name(folders: list[Path]) -> None:
    model = get_model("ftexp/base", memoize=False, base=str(folders[0]), dtype="fp32", date=DATE)
    assert isinstance(model.api, provider.TunedModelAPI) and model.api.chat.prefix_id == model.api.chat.tokenizer.bos_token_id
