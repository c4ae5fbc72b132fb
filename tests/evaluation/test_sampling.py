"""Sampled answers: drawn as the definition says, by an item's own random numbers, and read into the tables."""

import asyncio
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import inspect_ai
import numpy as np
import pandas as pd
import pytest
import stamp
import torch
import yaml
from ftexp.data.rows import read_items
from ftexp.design.planning import make_plan, read_run, write_plan
from ftexp.evaluation import loaded_model, provider
from ftexp.evaluation.inspect_logs import log_path
from ftexp.evaluation.sampling import Sampling, draw_tokens, nucleus
from ftexp.evaluation.solver import stream_of
from ftexp.evaluation.tuned_model import generate, load_model
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.models.chat import Chat
from ftexp.state.publishing import write_manifest
from ftexp.state.work import Work
from helpers.fake_results import finish_eval, finish_training, ids, make_report, plan, read_csv, results, write_log
from helpers.tiny_models import DATE, TinyExperiment, enter, make_experiment, make_tiny_model
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessageUser, GenerateConfig

MAX_TOKENS = 6
SAMPLED = {"temperature": 0.8, "top_p": 0.9, "seed": 3, "epochs": 2, "max_tokens": MAX_TOKENS}
# Four prompts for twelve items: what an item is answered must not depend on which of its kind comes first.
ROWS = [{"input": f"word{number}", "output": f"Word{number}", "kind": "abcd"[number % 4]} for number in range(24)]


# One token.


def test_tokens_are_drawn_as_often_as_their_probability_says() -> None:
    """At evenly spaced numbers each token is drawn, to one, as often as softmax(logits / temperature) says."""
    torch.manual_seed(0)
    logits, count = torch.randn(1, 50) * 2, 20_000
    evenly = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    for temperature in (0.3, 1.0, 2.0):
        drawn = draw_tokens(logits.expand(count, -1), Sampling(temperature, 1.0), evenly)
        wanted = torch.softmax(logits[0].double() / temperature, dim=0) * count
        assert (torch.bincount(drawn, minlength=50) - wanted).abs().max() <= 1


def test_only_the_nucleus_is_drawn_from_in_the_models_proportions() -> None:
    logits, count = torch.tensor([[0.05, 0.5, 0.15, 0.3]]).log(), 800
    evenly = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    drawn = draw_tokens(logits.expand(count, -1), Sampling(1.0, 0.7), evenly)
    assert torch.bincount(drawn, minlength=4).tolist() == [0, 500, 0, 300]


@pytest.mark.parametrize("top_p", [0.01, 0.3, 0.5, 0.9, 0.999])
def test_the_nucleus_is_the_smallest_set_of_most_probable_tokens_that_holds_top_p(top_p: float) -> None:
    torch.manual_seed(1)
    rows = torch.softmax(torch.randn(30, 40) * 3, dim=-1).double()
    for row, kept in zip(rows.tolist(), nucleus(rows, top_p).tolist(), strict=True):
        chosen: list[int] = []
        for token in sorted(range(len(row)), key=lambda token: -row[token]):
            if sum(row[other] for other in chosen) >= top_p:
                break
            chosen.append(token)
        assert kept == [p if token in chosen else 0.0 for token, p in enumerate(row)]


def test_of_equally_probable_tokens_the_first_is_in_the_nucleus() -> None:
    assert nucleus(torch.full((1, 4), 0.25).double(), 0.5).tolist() == [[0.25, 0.25, 0.0, 0.0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_one_message(bad: float) -> None:
    with pytest.raises(UserError, match=r"the model's logits are not numbers, so that no token can be drawn\. Look at"):
        draw_tokens(torch.tensor([[0.0, bad]]), Sampling(1.0, 1.0), torch.tensor([0.5], dtype=torch.float64))


def test_every_answer_has_random_numbers_of_its_own() -> None:
    streams = {stream_of(seed, item, epoch) for seed in range(5) for item in ("a", "b", "1", "11") for epoch in range(1, 12)}
    assert len(streams) == 5 * 4 * 11 and all(0 <= stream < 2**53 for stream in streams)


# Whole answers.


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Chat]:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    make_tiny_model(folder, "llama3_2", "llama3")
    return load_model(folder, None, "fp32", "cpu"), Chat(folder, DATE)


def prompts(chat: Chat) -> list[list[int]]:
    return [chat.prompt_ids([{"role": "user", "content": "go " * (number % 5) + str(number)}]) for number in range(12)]


def by_definition(model: Any, chat: Chat, prompt: list[int], stream: int, sampling: Sampling) -> str:
    """An answer token by token, in numpy, each time from the whole text."""
    numbers, ids = random.Random(stream), list(prompt)
    for _ in range(MAX_TOKENS):
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0, -1].double().numpy() / sampling.temperature
        probabilities = np.exp(logits - logits.max())
        probabilities /= probabilities.sum()
        order = np.argsort(-probabilities, kind="stable")
        before = np.cumsum(probabilities[order]) - probabilities[order]
        probabilities[order[before >= sampling.top_p]] = 0
        cumulative = np.cumsum(probabilities)
        token = int(np.flatnonzero(cumulative > numbers.random() * cumulative[-1])[0])
        if token in chat.stop_ids:
            break
        ids.append(token)
    return chat.decode(ids[len(prompt) :])


@pytest.mark.parametrize("sampling", [Sampling(1.0, 1.0), Sampling(0.7, 0.8)])
def test_an_answer_in_a_batch_is_the_one_of_the_definition(sampling: Sampling, tiny: tuple[Any, Chat]) -> None:
    model, chat = tiny
    asked = prompts(chat)
    answers = generate(model, chat, asked, MAX_TOKENS, sampling=sampling, streams=range(len(asked)))
    wanted = [by_definition(model, chat, prompt, stream, sampling) for stream, prompt in enumerate(asked)]
    assert [answer.text for answer in answers] == wanted
    assert wanted != [answer.text for answer in generate(model, chat, asked, MAX_TOKENS)], "as greedy ones: nothing is shown"


def test_drawn_from_one_token_answers_are_the_greedy_ones(tiny: tuple[Any, Chat]) -> None:
    model, chat = tiny
    narrow = generate(model, chat, prompts(chat), MAX_TOKENS, sampling=Sampling(1.0, 1e-6), streams=range(12))
    assert narrow == generate(model, chat, prompts(chat), MAX_TOKENS)


# inspect-ai.


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    return make_experiment(
        tmp_path_factory.mktemp("made"), "llama3_2", "llama3", rows=ROWS, evaluation=SAMPLED, prompt={"user": "say: {kind}"},
        data={"split": {"train": 0.5, "test": 0.5, "seed": 0, "group": "kind"}},
    )


@pytest.fixture
def experiment(made: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> TinyExperiment:
    return enter(made, monkeypatch)


def evaluate(log_dir: Path, **options: Any) -> EvalLog:
    """The control, which needs no training."""
    log = inspect_ai.eval(str(paths.RunPaths("base").eval_py), log_dir=str(log_dir), display="none", **options)[0]
    assert log.status == "success", log.error
    return log


def answers(log: EvalLog) -> dict[tuple[str, int], str]:
    return {(str(sample.id), sample.epoch): sample.output.completion for sample in log.samples or []}


def one_by_one() -> dict[tuple[str, int], str]:
    """The answers without inspect and without batches."""
    chat, model = Chat(Path("models/tiny"), DATE), load_model(Path("models/tiny"), None, "fp32", "cpu")
    said = {}
    for item in read_items(next(Path("data/splits").glob("*/test.jsonl"))):
        prompt = chat.prompt_ids([{"role": "user", "content": f"say: {item['row']['kind']}"}])
        for epoch in (1, 2):
            streams = [stream_of(SAMPLED["seed"], item["item"], epoch)]
            said[item["item"], epoch] = generate(
                model, chat, [prompt], MAX_TOKENS, sampling=Sampling(0.8, 0.9), streams=streams
            )[0].text
    return said


def test_answers_are_the_same_in_any_batch_order_and_process_and_the_log_says_how(
    experiment: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = one_by_one()
    assert len(wanted) == 24 and len(set(wanted.values())) > 12, "answers that are all alike tell nothing"
    log = evaluate(tmp_path / "whole")
    assert answers(log) == wanted
    monkeypatch.setattr(provider, "BATCH_SIZE", 5)
    assert answers(evaluate(tmp_path / "small", max_samples=7, sample_shuffle=1)) == wanted
    config = log.plan.config
    assert (config.temperature, config.top_p, log.eval.config.epochs) == (0.8, 0.9, 2)
    assert log.samples and log.plan.steps[0].params == {"seed": 3}
    seeds = {(str(s.id), s.epoch): e.config.seed for s in log.samples for e in s.events if e.event == "model"}
    assert seeds == {key: stream_of(3, *key) for key in wanted}


def test_in_bf16_whose_rounding_depends_on_the_batch_the_order_of_items_changes_no_answer(
    experiment: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are made of all requests, sorted; of others, as in a retry, a bf16 model gives other logits."""
    load = loaded_model.load_model
    monkeypatch.setattr(loaded_model, "load_model", lambda base, its, _, device, **more: load(base, its, "bf16", device, **more))
    monkeypatch.setattr(provider, "MODEL", loaded_model.LoadedModel())
    monkeypatch.setattr(provider, "BATCH_SIZE", 5)
    assert answers(evaluate(tmp_path / "one")) == answers(evaluate(tmp_path / "other", sample_shuffle=1))


def test_items_of_one_prompt_are_answered_independently(experiment: TinyExperiment) -> None:
    said = one_by_one()
    kinds = {item["item"]: item["row"]["kind"] for item in read_items(next(Path("data/splits").glob("*/test.jsonl")))}
    of_one_kind = [said[key] for key in said if kinds[key[0]] == Counter(kinds.values()).most_common(1)[0][0]]
    assert len(set(of_one_kind)) > len(of_one_kind) / 2


def test_more_epochs_leave_the_first_ones_as_they_are(experiment: TinyExperiment, tmp_path: Path) -> None:
    more = answers(evaluate(tmp_path, epochs=3))
    assert {key: text for key, text in more.items() if key[1] <= 2} == one_by_one()
    assert len(more) == 36


def test_a_temperature_without_a_seed_is_refused(experiment: TinyExperiment) -> None:
    api = provider.tuned_model("base", base="models/tiny", checkpoint=None, dtype="fp32", date=DATE).api
    call = api.generate([ChatMessageUser(content="x")], [], "none", GenerateConfig(temperature=0.7))
    with pytest.raises(UserError, match=r"temperature: needs a seed for each answer, got 0\.7 without one\. Set evaluation"):
        asyncio.run(call)


@pytest.mark.parametrize("key, value", [("temperature", 0.9), ("top_p", 0.5), ("seed", 4), ("epochs", 3)])
def test_another_way_of_sampling_makes_evaluations_stale_and_no_training(
    key: str, value: float, made: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(made.root, tmp_path / "copy"))
    before = {run: inputs(run) for run in made.runs}
    document = yaml.safe_load(paths.EXPERIMENT_YAML.read_text())
    paths.EXPERIMENT_YAML.write_text(yaml.safe_dump({**document, "evaluation": {**SAMPLED, key: value}}))
    assert stamp.main([]) == 0
    for run in made.runs:
        training, evaluation = inputs(run)
        assert training == before[run][0] and evaluation != before[run][1]


def inputs(run: str) -> tuple[dict[str, Any] | None, str]:
    """What a training, where there is one, and an evaluation are made from."""
    work, document = Work(), read_run(run)
    return work.inputs(document, "train") if document.kind == "trained" else None, work.submission_hash(document, "eval")


# From logs to tables.

EXPERIMENT = """\
experiment: caps
question: Does rank matter?
data: {source: rows.json, split: {train: 0.5, test: 0.5, seed: 0}}
factors: {lora_rank: [2, 4]}
constants: {model: tiny, batch_size: 2}
evaluation: {temperature: 0.7, epochs: 4, metrics: [macro_f1], seed: 2}
"""


@pytest.fixture
def reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten items of two labels, each answered four times."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/tiny").mkdir(parents=True)
    (tmp_path / "models/tiny/config.json").write_text("{}")
    (tmp_path / "models/tiny/model.safetensors").write_bytes(b"weights")
    rows = [{"input": f"w{number}", "output": "AB"[number % 2]} for number in range(20)]
    Path("rows.json").write_text(pd.DataFrame(rows).to_json(orient="records"))
    plan(EXPERIMENT)
    for run in ids():
        if run != "base":
            finish_training(run)
    finish_eval("base", lambda i: False)
    finish_eval("r2", lambda i: i < 15)  # all of the first epoch, half of the second
    finish_eval("r4", lambda i: i % 10 < 5)  # the same five items in every epoch
    make_report()
    return tmp_path


def test_a_score_is_the_mean_over_items_of_the_mean_over_epochs(reported: Path) -> None:
    of_items = np.array([0.5] * 5 + [0.25] * 5)
    row = results()["r2"]
    assert (row["n"], float(row["score"])) == ("10", pytest.approx(of_items.mean()))
    assert float(row["score_se"]) == pytest.approx(of_items.std(ddof=1) / 10**0.5, rel=1e-5)
    assert float(results()["r4"]["score_se"]) == pytest.approx(np.array([1.0] * 5 + [0.0] * 5).std(ddof=1) / 10**0.5, rel=1e-5)
    assert (float(row["diff_control"]), float(row["diff_control_se"])) == (float(row["score"]), float(row["score_se"]))


def test_every_answer_stands_in_items_parquet(reported: Path) -> None:
    items = pd.read_parquet(paths.ITEMS_PARQUET)
    assert len(items) == 3 * 10 * 4 and not items.duplicated(["run", "item", "epoch"]).any()
    assert items[items["run"] == "r2"].groupby("epoch")["exact"].sum().tolist() == [10, 5, 0, 0]


def test_effects_count_items_and_not_answers(reported: Path) -> None:
    table = [row for row in read_csv(paths.EFFECTS_CSV) if (row["kind"], row["metric"]) == ("level", "exact")]
    assert [row["n_items"] for row in table] == ["10"] * len(table) != []
    assert float(table[0]["estimate"]) == pytest.approx(0.5 - 0.375)


def test_macro_f1_is_over_all_answers(reported: Path) -> None:
    """r2 is right in 15 of 40 answers and says no label in the others, so that there is no false alarm."""
    items = pd.read_parquet(paths.ITEMS_PARQUET).query("run == 'r2'")
    given, hits = items.groupby("target").size(), items.groupby("target")["exact"].sum()
    wanted = (2 * hits / (given + hits)).mean()
    table = [row for row in read_csv(paths.EFFECTS_CSV) if (row["kind"], row["metric"]) == ("control", "macro_f1")]
    assert float(table[0]["estimate"]) == pytest.approx(wanted, rel=1e-5)


def test_the_report_says_how_answers_were_made_and_shows_several(reported: Path) -> None:
    page = paths.REPORT_HTML.read_text()
    assert "sampled at temperature 0.7 (seed 2), 4 answers an item, at most 64 new tokens" in page
    assert "2 of 4 ✓ 2 × &lt;b&gt;no&lt;/b&gt; | 2 × " in page or "2 of 4 ✓ 2 × A | 2 × &lt;b&gt;" in page


def test_a_log_that_lacks_an_epoch_does_not_count(reported: Path) -> None:
    paths.EXPERIMENT_YAML.write_text(EXPERIMENT.replace("epochs: 4", "epochs: 3"))
    write_plan(*make_plan())
    write_log(read_run("r4"), lambda i: True, path=Path("three.eval"))
    paths.EXPERIMENT_YAML.write_text(EXPERIMENT)
    write_plan(*make_plan())
    finish_eval("r4", lambda i: True)
    shutil.copy("three.eval", log_path("r4", "test"))
    write_manifest("r4", "eval", Work().inputs(read_run("r4"), "eval"))
    make_report()
    assert results()["r4"]["score"] == "" and "has no answer to 10 of 10 items" in results()["r4"]["reason"]
