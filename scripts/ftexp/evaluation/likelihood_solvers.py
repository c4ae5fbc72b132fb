"""What is asked of a model without a word generated: the log-likelihood of options, of a reference, of a document.

Each leaves its numbers in `state.metadata["likelihood"]`. Tokens are those of training; the end token after them is not counted,
as in lm-evaluation-harness: of a document neither, although it is trained.
"""

import math
from collections.abc import Iterator, Sequence

from inspect_ai.model import ModelOutput, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver

from ftexp.evaluation.cut_documents import CUT, DOCUMENT, cut_ids
from ftexp.evaluation.likelihood import Pair
from ftexp.evaluation.provider import TunedModelAPI
from ftexp.ground.errors import UserError

KEY = "likelihood"


@solver
def options_likelihoods() -> Solver:
    """The options are the sample's choices; the answer is the one that is most probable after the prompt.

    Left are `options`, their texts; `conditional`, the log-likelihood of each after the prompt; `unconditional`, that of the same
    tokens after the prefix token alone, as for lm-evaluation-harness' `acc_mutual_info`. All are sums in nats. The model computes
    the latter once for all samples that are asked together.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        api = _asked_model()
        options = [choice.value for choice in state.choices]
        if not options:
            raise UserError(f"item {state.sample_id}: choices: there are no options to choose from, got none.")
        conditional = _answers(api, state, options)
        unconditional: list[Pair] = [((api.chat.prefix_id,), tokens) for _, tokens in conditional]
        sums = [math.fsum(tokens) for tokens in await api.log_likelihoods([*conditional, *unconditional])]
        found = {"options": options, "conditional": sums[: len(options)], "unconditional": sums[len(options):]}
        best = max(range(len(options)), key=sums.__getitem__)
        return _answered(state, options[best], found)

    return solve


@solver
def reference_likelihood() -> Solver:
    """Of the target after the prompt: `nll`, its negative log-likelihood in nats, its `tokens`, and its `bytes` in UTF-8.

    Of a document that is cut, of all that follows the beginning.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        api = _asked_model()
        text = state.target.text
        cut = cut_ids(api.chat, state.messages)
        if cut:
            given, rest = cut
            said = state.messages[0].metadata or {}
            pair: Pair = (tuple(given), tuple(rest[:-1]))
            text = str(said[DOCUMENT])[state.metadata[CUT]:]
            return _answered(state, "", _of_text(text, await api.log_likelihoods([pair])))
        return _answered(state, "", _of_text(text, await api.log_likelihoods(_answers(api, state, [text]))))

    return solve


@solver
def document_likelihood(max_length: int | None = None) -> Solver:
    """Of the text of the one user message, without a template: `nll`, `tokens` and `bytes`, likewise.

    Args:
        max_length: Most tokens that the model is given at once; by default as many as it has positions.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        api = _asked_model()
        if len(state.messages) != 1 or state.messages[0].role != "user":
            roles = ", ".join(message.role for message in state.messages)
            raise UserError(f"item {state.sample_id}: a document is one user message, got messages of {roles}.")
        text = state.messages[0].text
        tokens = api.chat.document_ids(text)[1:-1]
        if not tokens:
            raise UserError(f"item {state.sample_id}: the document has no tokens, got {text!r}. Leave it out.")
        pairs = list(windows(tokens, api.chat.prefix_id, max_length or api.positions))
        return _answered(state, "", _of_text(text, await api.log_likelihoods(pairs)))

    return solve


def windows(tokens: Sequence[int], prefix_id: int, length: int) -> Iterator[Pair]:
    """A document in pieces, each of its tokens scored once: lm-evaluation-harness' get_rolling_token_windows, context_len=1.

    The first piece comes after the prefix token, the others after the last token of the one before; the last one, being shorter,
    after as many as fit. No pair needs more than `length` positions.
    """
    for start in range(0, len(tokens), length):
        end = min(start + length, len(tokens))
        before = tokens[max(end - length - 1, 0) : start] if start else [prefix_id]
        yield tuple(before), tuple(tokens[start:end])


def _asked_model() -> TunedModelAPI:
    """The task's model.

    Raises:
        UserError: If it is none of ours, which alone give log-likelihoods.
    """
    model = get_model()
    if not isinstance(model.api, TunedModelAPI):
        raise UserError(f"model: log-likelihoods are asked of a run's model (ftexp/<run>) only, got {model}. Leave out --model.")
    return model.api


def _answers(api: TunedModelAPI, state: TaskState, texts: Sequence[str]) -> list[Pair]:
    """The prompt's tokens with those of each text as its answer.

    Raises:
        UserError: If a text has no tokens, or the chat template takes its outer blanks away.
    """
    messages = [{"role": message.role, "content": message.text} for message in state.messages]
    pairs: list[Pair] = []
    for text, (prompt, answer) in zip(texts, api.chat.example_ids([(messages, text) for text in texts]), strict=True):
        tokens = answer[:-1]  # without the end token
        if not tokens:
            raise UserError(f"item {state.sample_id}: an answer without tokens has no likelihood, got {text!r}. Leave it out.")
        bare = {text.strip(), text.lstrip(), text.rstrip()} - {text}
        if any(api.chat.answer_ids(messages, other) == answer for other in sorted(bare)):
            raise UserError(
                f"item {state.sample_id}: the model's chat template takes the outer blanks of an answer away, got {text!r}. Take "
                "them out of the data."
            )
        pairs.append((tuple(prompt) or (api.chat.prefix_id,), tuple(tokens)))
    return pairs


def _of_text(text: str, log_probs: Sequence[Sequence[float]]) -> dict[str, float | int]:
    numbers = [number for part in log_probs for number in part]
    return {"nll": -math.fsum(numbers), "tokens": len(numbers), "bytes": len(text.encode("utf-8"))}


def _answered(state: TaskState, text: str, found: object) -> TaskState:
    state.metadata[KEY] = found
    state.output = ModelOutput.from_content(str(state.model), text)
    return state
