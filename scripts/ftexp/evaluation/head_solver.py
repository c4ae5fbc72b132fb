"""What is asked of a classifier: which of its labels a prompt has, by the logits of them all."""

import math
from collections.abc import Sequence

from inspect_ai.model import ModelOutput, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver

from ftexp.evaluation.provider import TunedModelAPI
from ftexp.ground.errors import UserError


@solver
def labels_of_head() -> Solver:
    """The answer is the most probable label; where the sample has choices, of these.

    Left in `state.metadata["likelihood"]` are `options`, the texts to choose from; `conditional`, the logarithm of the
    probability of each among all labels, in nats; `logits`, as the model gives them. An option has no likelihood without a
    prompt: `unconditional` is 0 for each.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        model = get_model()
        if not isinstance(model.api, TunedModelAPI) or not model.api.labels:
            raise UserError(f"model: labels are asked of a run with a head (ftexp/<run>) only, got {model}. Leave out --model.")
        api = model.api
        messages = [{"role": message.role, "content": message.text} for message in state.messages]
        logits = await api.label_logits(api.chat.prompt_ids(messages))
        known = dict(zip(api.labels, _log_softmax(logits), strict=True))
        options = [choice.value for choice in state.choices] or list(api.labels)
        strange = [option for option in options if option not in known]
        if strange:
            what = f"the option {strange[0]!r} is none of the labels that the head was trained to choose from"
            raise UserError(f"item {state.sample_id}: choices: {what}. Give only labels of the training rows.")
        state.metadata["likelihood"] = {
            "options": options, "conditional": [known[option] for option in options], "unconditional": [0.0] * len(options),
            "logits": dict(zip(api.labels, logits, strict=True)),
        }
        state.output = ModelOutput.from_content(str(state.model), max(options, key=known.__getitem__))
        return state

    return solve


def _log_softmax(logits: Sequence[float]) -> list[float]:
    most = max(logits)
    total = most + math.log(math.fsum(math.exp(logit - most) for logit in logits))
    return [logit - total for logit in logits]
