"""inspect-ai's model provider `ftexp`: base and checkpoint, batches without waiting, the token ids of training.

It is found by inspect's own commands: eval.py puts `scripts/` on the path, and `scripts/ftexp-0.dist-info`
registers it where PYTHONPATH=scripts is set (`inspect eval-retry` resolves the model before it loads the task), the scorers
beside it (`inspect score` would take inspect-ai's own `exact` for ours).
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    Model,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    get_model,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from ftexp.evaluation.cut_documents import cut_ids
from ftexp.evaluation.head_logits import logits_of
from ftexp.evaluation.likelihood import Pair, Row, batches, check_lengths, score_rows
from ftexp.evaluation.loaded_model import LoadedModel, Weights
from ftexp.evaluation.sampling import Sampling
from ftexp.evaluation.tuned_model import generate
from ftexp.evaluation.waiting import Waiting
from ftexp.ground.errors import UserError
from ftexp.ground.paths import from_root
from ftexp.models.chat import Chat
from ftexp.models.config_json import read_model_config
from ftexp.models.generation import Answer
from ftexp.models.loading import Classifier

BATCH_SIZE = 64
MANY = 100_000
MODEL = LoadedModel()


@dataclass(eq=False)
class _Request:
    prompt: list[int]
    max_tokens: int
    sampling: Sampling | None
    stream: int
    answer: Answer | None = None

    @property
    def kind(self) -> tuple[int, float, float]:
        """What the requests of a batch share."""
        return (self.max_tokens, self.sampling.temperature, self.sampling.top_p) if self.sampling else (self.max_tokens, 0.0, 1.0)


@dataclass(eq=False)
class _Pairs:
    pairs: list[Pair]
    answer: list[list[float]] | None = None


@dataclass(eq=False)
class _Choice:
    prompt: list[int]
    answer: list[float] | None = None


class TunedModelAPI(ModelAPI):
    """One base model with one checkpoint, or the base alone.

    Attributes:
        chat: Its tokens.
        labels: What it chooses from; nothing where it writes text.
    """

    def __init__(
        self, model_name: str, base_url: str | None = None, api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(), *, base: str, checkpoint: str | None = None, dtype: str, date: str,
        quantize_base: bool = False, labels: Sequence[str] = (), template: str | None = None,
    ) -> None:
        """Say where the model lies; it is loaded with the first request, once for all tasks of a process that ask it.

        Args:
            base: Folder of the base model, relative to the experiment's root.
            checkpoint: The run's checkpoint, likewise; None for the control.
            quantize_base: Whether the base was quantised in training.
            labels: What it chooses from, where it writes no text.
            template: File of the chat template, where it is not the model's own, relative to the experiment's root.
        """
        super().__init__(model_name, base_url, api_key, [], config)
        self.chat = Chat(from_root(base), date, from_root(template) if template else None)
        self.labels = tuple(labels)
        classifier = Classifier(self.labels, self.chat.pad_id) if labels else None
        trained = from_root(checkpoint) if checkpoint else None
        self._weights = Weights(from_root(base), trained, dtype, quantize_base, classifier)
        self._generating = Waiting(self._answer_waiting)
        self._scoring = Waiting(self._score_waiting)
        self._choosing = Waiting(self._choose_waiting)

    @functools.cached_property
    def positions(self) -> int:
        """How many tokens the model can be given."""
        return read_model_config(self._weights.base_dir).longest

    @functools.cached_property
    def _files(self) -> tuple[Any, ...]:
        return self._weights.files()

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Answer one sample, in a batch with whatever else is asked at the time."""
        cut = cut_ids(self.chat, input)
        messages = [{"role": message.role, "content": message.text} for message in input]
        request = _request(cut[0] if cut else self.chat.prompt_ids(messages), config)
        await self._generating.answer(request)
        assert request.answer is not None
        return self._output(request, request.answer)

    async def log_likelihoods(self, pairs: Sequence[Pair]) -> list[list[float]]:
        """Per pair of token ids, given and continuation, the log-probabilities of the latter's tokens, in nats.

        They are computed in batches with whatever else is asked at the time, equal tokens once.

        Raises:
            UserError: If a pair is longer than the model's positions, or the logits are no numbers.
        """
        check_lengths(pairs, self.positions, str(self._weights.base_dir))
        request = _Pairs(list(pairs))
        await self._scoring.answer(request)
        assert request.answer is not None
        return request.answer

    async def label_logits(self, prompt: list[int]) -> list[float]:
        """The logits of the labels after a prompt of token ids, computed in a batch with whatever else is asked at the time."""
        request = _Choice(prompt)
        await self._choosing.answer(request)
        assert request.answer is not None
        return request.answer

    async def _choose_waiting(self, requests: list["_Choice"]) -> None:
        """Answer all that waits, in batches that do not depend on arrival."""
        requests.sort(key=lambda request: (len(request.prompt), request.prompt))
        for start in range(0, len(requests), BATCH_SIZE):
            await anyio.to_thread.run_sync(self._choose_batch, requests[start : start + BATCH_SIZE])

    def _choose_batch(self, requests: list["_Choice"]) -> None:
        with MODEL.use(self._weights, self._files) as model:
            found = logits_of(model, self.chat.pad_id, [request.prompt for request in requests])
        for request, logits in zip(requests, found, strict=True):
            request.answer = logits

    async def _answer_waiting(self, requests: list[_Request]) -> None:
        """Answer all that waits: sorted by length, so that batches hold little filling and do not depend on arrival.

        An item's answer is its own, whatever its neighbours, but for the rounding of logits. In bf16 that is enough to change
        some answers in a batch of another shape, greedy ones too; so the same requests must make the same batches.
        """
        requests.sort(key=lambda r: (r.kind, len(r.prompt), r.prompt, r.stream))
        for _, group in itertools.groupby(requests, key=lambda request: request.kind):
            alike = list(group)
            for start in range(0, len(alike), BATCH_SIZE):
                await anyio.to_thread.run_sync(self._answer_batch, alike[start : start + BATCH_SIZE])

    def _answer_batch(self, requests: list[_Request]) -> None:
        with MODEL.use(self._weights, self._files) as model:
            answers = generate(
                model, self.chat, [request.prompt for request in requests], requests[0].max_tokens,
                sampling=requests[0].sampling, streams=[request.stream for request in requests],
            )
        for request, answer in zip(requests, answers, strict=True):
            request.answer = answer

    async def _score_waiting(self, requests: list[_Pairs]) -> None:
        """Answer all that waits, in batches that do not depend on arrival either."""
        found: dict[Pair, list[float]] = {}
        for rows in batches(pair for request in requests for pair in request.pairs):
            found.update(await anyio.to_thread.run_sync(self._score_rows, rows))
        for request in requests:
            request.answer = [found[pair] for pair in request.pairs]

    def _score_rows(self, rows: list[Row]) -> dict[Pair, list[float]]:
        with MODEL.use(self._weights, self._files) as model:
            return score_rows(model, self.chat.pad_id, rows)

    def _output(self, request: _Request, answer: Answer) -> ModelOutput:
        choice = ChatCompletionChoice(
            message=ChatMessageAssistant(content=answer.text, model=self.model_name, source="generate"),
            stop_reason="stop" if answer.is_stopped else "max_tokens",
        )
        size = len(request.prompt)
        usage = ModelUsage(input_tokens=size, output_tokens=answer.token_count, total_tokens=size + answer.token_count)
        return ModelOutput(model=self.model_name, choices=[choice], usage=usage)

    async def count_text_tokens(self, text: str) -> int:
        """Tokens of a text, by the model's own tokenizer."""
        return len(self.chat.tokenizer(text, add_special_tokens=False)["input_ids"])

    def max_connections(self) -> int:
        """As many as there are samples: all are asked at once, and batched here."""
        return MANY

    def collapse_user_messages(self) -> bool:
        """Never: the turns are those that training saw."""
        return False

    def collapse_assistant_messages(self) -> bool:
        """Never, likewise."""
        return False


def _request(prompt: list[int], config: GenerateConfig) -> _Request:
    """What a sample asks for.

    Raises:
        UserError: If tokens are to be drawn without a seed.
    """
    if not config.temperature:
        return _Request(prompt, config.max_tokens or 64, None, 0)
    if config.seed is None:
        raise UserError(
            f"temperature: needs a seed for each answer, got {config.temperature} without one. Set evaluation.temperature in "
            "experiment.yaml and run `make stamp`."
        )
    sampling = Sampling(config.temperature, 1.0 if config.top_p is None else config.top_p)
    return _Request(prompt, config.max_tokens or 64, sampling, config.seed)


@modelapi(name="ftexp")
def ftexp() -> type[ModelAPI]:
    """Register the provider under the name `ftexp`."""
    return TunedModelAPI


def tuned_model(
    run: str, *, base: str, checkpoint: str | None, dtype: str, date: str, quantize_base: bool = False,
    labels: Sequence[str] = (), template: str | None = None,
) -> Model:
    """The model of a run, for its eval.py."""
    # Without a number of connections of its own inspect-ai 0.3.285 begins with 20 at a time, and never asks the provider.
    config = GenerateConfig(max_connections=MANY)
    arguments: dict[str, Any] = {"base": base, "checkpoint": checkpoint, "dtype": dtype, "date": date}
    if quantize_base:
        arguments["quantize_base"] = True
    if labels:
        arguments["labels"] = list(labels)
    if template:
        arguments["template"] = template
    return get_model(f"ftexp/{run}", config=config, memoize=False, **arguments)
