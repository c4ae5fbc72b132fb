"""inspect-ai's model provider `ftexp`: base and checkpoint, batches without waiting, the token ids of training.

It is found by inspect's own commands: eval.py puts `scripts/` on the path, and `scripts/ftexp-0.dist-info`
registers it where PYTHONPATH=scripts is set (`inspect eval-retry` resolves the model before it loads the task).
"""

import itertools
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

from ftexp.evaluation.sampling import Sampling
from ftexp.evaluation.tuned_model import Answer, chosen_device, generate, load_model
from ftexp.ground.errors import UserError
from ftexp.ground.paths import from_root
from ftexp.models.chat import Chat

BATCH_SIZE = 64
MANY = 100_000
# Turns of the event loop without a new request after which a batch is complete; samples start within a few.
QUIET_TURNS = 50


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


class TunedModelAPI(ModelAPI):
    """One base model with one checkpoint, or the base alone."""

    def __init__(
        self, model_name: str, base_url: str | None = None, api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(), *, base: str, checkpoint: str | None = None, dtype: str, date: str,
        quantize_base: bool = False,
    ) -> None:
        """Say where the model lies; it is loaded with the first request.

        Args:
            base: Folder of the base model, relative to the experiment's root.
            checkpoint: The run's checkpoint, likewise; None for the control.
            quantize_base: Whether the base was quantised in training.
        """
        super().__init__(model_name, base_url, api_key, [], config)
        self._base_dir = from_root(base)
        self._checkpoint_dir = from_root(checkpoint) if checkpoint else None
        self._dtype = dtype
        self._is_quantized = quantize_base
        self.chat = Chat(self._base_dir, date)
        self._model: Any = None
        self._waiting: list[_Request] = []
        self._lock = anyio.Lock()

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Answer one sample, in a batch with whatever else is asked at the time."""
        messages = [{"role": message.role, "content": message.text} for message in input]
        request = _request(self.chat.prompt_ids(messages), config)
        self._waiting.append(request)
        async with self._lock:
            if request.answer is None:
                await self._until_quiet()
                await self._answer_waiting()
        assert request.answer is not None
        return self._output(request, request.answer)

    async def _until_quiet(self) -> None:
        """Wait until the queue has stopped growing, without sleeping."""
        size, turns = -1, 0
        while turns < QUIET_TURNS:
            turns = turns + 1 if len(self._waiting) == size else 0
            size = len(self._waiting)
            await anyio.sleep(0)

    async def _answer_waiting(self) -> None:
        """Answer all that waits: sorted by length, so that batches hold little filling and do not depend on arrival.

        An item's answer is its own, whatever its neighbours, but for the rounding of logits. In bf16 that is enough to change
        some answers in a batch of another shape, greedy ones too; so the same requests must make the same batches.
        """
        requests, self._waiting = self._waiting, []
        requests.sort(key=lambda r: (r.kind, len(r.prompt), r.prompt, r.stream))
        for _, group in itertools.groupby(requests, key=lambda request: request.kind):
            alike = list(group)
            for start in range(0, len(alike), BATCH_SIZE):
                await anyio.to_thread.run_sync(self._answer_batch, alike[start : start + BATCH_SIZE])

    def _answer_batch(self, requests: list[_Request]) -> None:
        if self._model is None:
            self._model = load_model(
                self._base_dir, self._checkpoint_dir, self._dtype, chosen_device(), quantize_base=self._is_quantized
            )
        answers = generate(
            self._model, self.chat, [request.prompt for request in requests], requests[0].max_tokens,
            sampling=requests[0].sampling, streams=[request.stream for request in requests],
        )
        for request, answer in zip(requests, answers, strict=True):
            request.answer = answer

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
    run: str, *, base: str, checkpoint: str | None, dtype: str, date: str, quantize_base: bool = False
) -> Model:
    """The model of a run, for its eval.py."""
    # Without a number of connections of its own inspect-ai 0.3.285 begins with 20 at a time, and never asks the provider.
    config = GenerateConfig(max_connections=MANY)
    arguments: dict[str, Any] = {"base": base, "checkpoint": checkpoint, "dtype": dtype, "date": date}
    if quantize_base:
        arguments["quantize_base"] = True
    return get_model(f"ftexp/{run}", config=config, memoize=False, **arguments)
