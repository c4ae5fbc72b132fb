"""Evaluation: the scorers of an eval.py, the provider, and inspect's own commands on a stamped experiment."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inspect_ai
import pytest
import torch
from ftexp.data.rows import read_items
from ftexp.evaluation import provider
from ftexp.evaluation.tuned_model import generate, load_model
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import read_json, write_json
from ftexp.models.chat import Chat
from ftexp.scoring.inspect_scorers import scorers
from ftexp.state.publishing import publish_checkpoint
from ftexp.trainers.torchtune.components.resume import epoch_dirs
from helpers.tiny_models import DATE, TinyExperiment, enter, make_experiment, make_tiny_model, train
from inspect_ai.log import EvalLog, list_eval_logs, read_eval_log, write_eval_log
from inspect_ai.model import ChatMessageUser, ModelName, ModelOutput
from inspect_ai.scorer import Target
from inspect_ai.solver import TaskState
from transformers.generation.utils import GenerationMixin

BIN = Path(sys.executable).parent
ROWS = [{"input": f"word{number}{'x' * (number % 7)}", "output": f"Word{number}"} for number in range(40)]
TEST_ROWS, BATCH_SIZE = 20, 8
MAX_TOKENS = 8


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """An experiment whose run is trained, just enough that its answers are other ones than the base model's."""
    experiment = make_experiment(
        tmp_path_factory.mktemp("made"), "llama3_2", "llama3", rows=ROWS, constants={"batch_size": 4, "lr": 3e-2},
        evaluation={"max_tokens": MAX_TOKENS},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(experiment.root)
        train(experiment.config())
        publish_checkpoint(experiment.document(), epoch_dirs(paths.RunPaths(experiment.run).scratch_dir("train"))[0])
    return experiment


@pytest.fixture
def experiment(made: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> TinyExperiment:
    return enter(made, monkeypatch)


# The scorers.


def score(answer: str, target: str) -> float:
    """What `exact` says, as it stands in the run's eval.py; before it, what is recorded."""
    output = ModelOutput.from_content("run", answer)
    state = TaskState(model=ModelName("ftexp/run"), sample_id=1, epoch=1, input="", messages=[], output=output)
    recorded, exact = (asyncio.run(each(state, Target(target))) for each in scorers("test"))
    assert recorded is not None and recorded.metadata == {"epoch": 1, "answer": answer, "is_ended": True}
    assert exact is not None and exact.answer == answer and isinstance(exact.value, float)
    return exact.value


@pytest.mark.usefixtures("experiment")
@pytest.mark.parametrize("answer", ["Word", " Word\n", "\tWord "])
def test_outer_white_space_does_not_count(answer: str) -> None:
    assert score(answer, "Word") == score("Word", answer) == 1


@pytest.mark.usefixtures("experiment")
@pytest.mark.parametrize("answer", ["word", "WORD", "Wo rd", "Word.", "The Word", "Word Word", "Wörd", ""])
def test_anything_else_counts(answer: str) -> None:
    """inspect-ai's own `exact` takes the first, the second, the fourth and the fifth for right."""
    assert score(answer, "Word") == 0


# The provider.


@dataclass(frozen=True)
class Evaluated:
    """A run's log by `inspect_ai.eval`, the sizes of the batches that entered generate, and the answers without inspect."""

    log: EvalLog
    batches: list[int]
    wanted: dict[str, str]


@pytest.fixture(scope="module")
def evaluated(made: TinyExperiment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evaluated]:
    """The run and the control, evaluated in batches of 8."""
    with pytest.MonkeyPatch.context() as patch:
        enter(made, patch)
        patch.setattr(provider, "BATCH_SIZE", BATCH_SIZE)
        return {run: evaluate(run, tmp_path_factory.mktemp("logs"), patch) for run in (made.run, "base")}


def evaluate(run: str, log_dir: Path, patch: pytest.MonkeyPatch) -> Evaluated:
    wanted, batches = one_by_one(run), []
    original = GenerationMixin.generate

    def counting(model: Any, *args: Any, **kwargs: Any) -> Any:
        batches.append(len(kwargs["input_ids"]))
        return original(model, *args, **kwargs)

    with patch.context() as inner:
        inner.setattr(GenerationMixin, "generate", counting)
        log = inspect_ai.eval(str(paths.RunPaths(run).eval_py), log_dir=str(log_dir), display="none", max_samples=10_000)[0]
    assert log.status == "success", log.error
    return Evaluated(log, batches, wanted)


def answers(log: EvalLog) -> dict[str, str]:
    assert log.samples
    return {str(sample.id): sample.output.completion for sample in log.samples}


def item_rows() -> dict[str, dict[str, Any]]:
    return {item["item"]: item["row"] for item in read_items(next(Path("data/splits").glob("*/test.jsonl")))}


def one_by_one(run: str) -> dict[str, str]:
    """The answers by `ftexp.evaluation.tuned_model` alone, without inspect and without batches."""
    places, chat = paths.RunPaths(run), Chat(Path("models/tiny"), DATE)
    model = load_model(Path("models/tiny"), places.checkpoint_dir if places.checkpoint_dir.is_dir() else None, "fp32", "cpu")
    prompts = {name: [{"role": "user", "content": f"say: {row['input']}"}] for name, row in item_rows().items()}
    return {name: generate(model, chat, [chat.prompt_ids(turns)], MAX_TOKENS)[0].text for name, turns in prompts.items()}


def test_samples_are_answered_in_whole_batches_and_as_they_are_one_by_one(
    experiment: TinyExperiment, evaluated: dict[str, Evaluated]
) -> None:
    for run in (experiment.run, "base"):
        assert evaluated[run].batches == [BATCH_SIZE, BATCH_SIZE, TEST_ROWS - 2 * BATCH_SIZE]
        assert answers(evaluated[run].log) == evaluated[run].wanted
        assert len(set(evaluated[run].wanted.values())) > 2, "a model that always answers the same tells nothing"


def test_the_run_answers_by_its_checkpoint_and_the_control_without(
    experiment: TinyExperiment, evaluated: dict[str, Evaluated]
) -> None:
    assert answers(evaluated[experiment.run].log) != answers(evaluated["base"].log)


def test_a_log_identifies_its_experiment_run_and_kind(experiment: TinyExperiment, evaluated: dict[str, Evaluated]) -> None:
    for run, kind in ((experiment.run, "trained"), ("base", "control")):
        log = evaluated[run].log
        assert log.eval.metadata == {"experiment": "tiny", "run": run, "kind": kind, "asking": "test"}
        assert (log.eval.task, log.eval.model) == ("test", f"ftexp/{run}")
        assert log.samples and {sample.id for sample in log.samples} == set(item_rows())


def test_usage_counts_the_prompt_and_what_was_generated(experiment: TinyExperiment, evaluated: dict[str, Evaluated]) -> None:
    chat = Chat(Path("models/tiny"), DATE)
    samples = evaluated[experiment.run].log.samples
    assert samples
    for sample in samples:
        assert isinstance(sample.input, list) and isinstance(sample.input[0], ChatMessageUser)
        prompt = chat.prompt_ids([{"role": "user", "content": sample.input[0].text}])
        assert sample.output.usage and sample.output.usage.input_tokens == len(prompt)
        assert 0 < sample.output.usage.output_tokens <= MAX_TOKENS
        assert (sample.output.stop_reason == "stop") or sample.output.usage.output_tokens == MAX_TOKENS


def test_a_prompt_in_the_log_is_what_the_row_says(experiment: TinyExperiment, evaluated: dict[str, Evaluated]) -> None:
    log, items = evaluated[experiment.run].log, item_rows()
    assert log.samples and len(log.samples) == len(items) == TEST_ROWS
    for sample in log.samples:
        assert [message.text for message in sample.messages[:-1]] == [f"say: {items[str(sample.id)]['input']}"]
        assert sample.target == items[str(sample.id)]["output"]
    assert log.plan.config.temperature == 0


def test_a_missing_checkpoint_is_one_message(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "tiny", "qwen2", "chatml")
    with pytest.raises(UserError, match=r"there is no checkpoint\. Train the run first: `make submit`"):
        load_model(tmp_path / "tiny", tmp_path / "checkpoint", "fp32", "cpu")


# Generation.


class Scripted:
    """Stands for the weights: whatever was said, `script` is what is most likely next."""

    def __init__(self, model: Any, script: list[int], prompt_size: int) -> None:
        original = model.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            output = original(*args, **kwargs)
            # Where generation stands, by the cache: prompt first, then one more token each time.
            position = output.past_key_values.get_seq_length() - prompt_size
            output.logits.zero_()
            output.logits[:, -1, script[min(position, len(script) - 1)]] = 10.0
            return output

        model.forward = forward


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Path, Chat]:
    make_tiny_model(tmp_path / "tiny", "llama3_2", "llama3")
    return tmp_path / "tiny", Chat(tmp_path / "tiny", DATE)


PROMPT = [{"role": "user", "content": "go"}]


@pytest.mark.parametrize("end", ["<|eot_id|>", "<|end_of_text|>"])
def test_generation_stops_at_any_end_token_and_the_answer_is_without_it(end: str, tiny: tuple[Path, Chat]) -> None:
    folder, chat = tiny
    model, prompt = load_model(folder, None, "fp32", "cpu"), chat.prompt_ids(PROMPT)
    Scripted(model, chat.tokenizer(f"Yes{end}no", add_special_tokens=False)["input_ids"], len(prompt))
    answer = generate(model, chat, [prompt], 20)[0]
    assert (answer.text, answer.token_count, answer.is_stopped) == ("Yes", 4, True)


def test_generation_that_does_not_stop_ends_at_the_limit(tiny: tuple[Path, Chat]) -> None:
    folder, chat = tiny
    model, prompt = load_model(folder, None, "fp32", "cpu"), chat.prompt_ids(PROMPT)
    Scripted(model, chat.tokenizer("a" * 9, add_special_tokens=False)["input_ids"], len(prompt))
    answer = generate(model, chat, [prompt], 5)[0]
    assert (answer.text, answer.token_count, answer.is_stopped) == ("aaaaa", 5, False)


@pytest.mark.parametrize("text", ["Yes .", "do n't", "a  b ?", " ünï 日本 🙂"])
def test_an_answer_is_the_text_that_was_generated(text: str, tiny: tuple[Path, Chat]) -> None:
    """Llama 3's tokenizer_config.json asks for a cleaning up that turns `Yes .` into `Yes.`."""
    folder, chat = tiny
    model, prompt = load_model(folder, None, "fp32", "cpu"), chat.prompt_ids(PROMPT)
    ids = chat.answer_ids(PROMPT, text)
    Scripted(model, ids, len(prompt))
    assert generate(model, chat, [prompt], 40)[0].text == text.strip()


def test_what_the_models_own_generation_config_adds_changes_no_answer(tiny: tuple[Path, Chat]) -> None:
    folder, chat = tiny
    prompt = chat.prompt_ids(PROMPT)
    plain = generate(load_model(folder, None, "fp32", "cpu"), chat, [prompt], 30)[0]
    assert len(set(plain.text)) < len(plain.text), "nothing is repeated, so a penalty would change nothing"
    write_json(folder / "generation_config.json", {
        **read_json(folder / "generation_config.json"), "do_sample": True, "temperature": 5.0, "top_k": 3, "min_new_tokens": 30,
        "repetition_penalty": 9.0, "no_repeat_ngram_size": 1, "suppress_tokens": list(range(200)), "max_length": 7,
    })
    torch.manual_seed(0)
    assert generate(load_model(folder, None, "fp32", "cpu"), chat, [prompt], 30)[0] == plain


# inspect's own commands.


def inspect(root: Path, *words: str, **variables: str) -> None:
    """Run an inspect command in the experiment, with nothing else set."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    environment = {**kept, "HF_HUB_OFFLINE": "1", **variables}
    command = [str(BIN / "inspect"), *words]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def by_command(made: TinyExperiment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvalLog]:
    """The log of `inspect eval runs/<id>/eval.py`."""
    folder = tmp_path_factory.mktemp("logs")
    inspect(made.root, "eval", str(paths.RunPaths(made.run).eval_py), "--log-dir", str(folder), "--display", "none")
    yield read_eval_log(list_eval_logs(str(folder))[0])


def test_inspect_eval_needs_nothing_but_the_runs_file(
    experiment: TinyExperiment, by_command: EvalLog, evaluated: dict[str, Evaluated]
) -> None:
    assert by_command.status == "success"
    assert answers(by_command) == evaluated[experiment.run].wanted


@pytest.mark.slow
def test_inspect_eval_retry_finds_the_provider_and_finishes_the_log(
    experiment: TinyExperiment, by_command: EvalLog, tmp_path: Path
) -> None:
    assert by_command.samples
    kept = by_command.samples[:7]
    cut = by_command.model_copy(update={"status": "cancelled", "samples": kept, "results": None, "location": ""})
    write_eval_log(cut, str(tmp_path / "cut.eval"))
    inspect(
        experiment.root, "eval-retry", str(tmp_path / "cut.eval"), "--log-dir", str(tmp_path / "retried"), "--display", "none",
        PYTHONPATH="scripts",
    )
    log = read_eval_log(list_eval_logs(str(tmp_path / "retried"))[0])
    assert log.status == "success"
    assert answers(log) == answers(by_command)
    assert log.samples and {s.uuid for s in kept} <= {s.uuid for s in log.samples}, "the samples that were there were asked again"
