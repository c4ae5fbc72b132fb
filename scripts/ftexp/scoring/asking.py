"""Scorers of inspect-ai's kind, asked about recorded answers outside an evaluation, all at once."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from inspect_ai.model import ChatMessage, ChatMessageUser, ModelName, ModelOutput
from inspect_ai.scorer import Score, Scorer, Target, value_to_float
from inspect_ai.solver import TaskState

from ftexp.ground.errors import UserError, one_line
from ftexp.scoring.verdicts import Question, Verdict

_MODEL = "ftexp/recorded"
_WORDS = ("C", "I", "P", "N", "yes", "no", "true", "false")


class UnusableScore(Exception):
    """A score that is no single number and never will be; the text says what it is."""


def outcomes(
    scorer: Scorer, questions: Sequence[Question], around: AbstractAsyncContextManager[Any] = nullcontext()
) -> list[Score | Exception | None]:
    """Per question the score that inspect-ai's scorer gives, or the exception that it raised.

    It sees a state as an evaluation leaves it: the prompt as `input` and user message, the answer as `output` and assistant
    message, the row as `metadata` and, as an evaluation has it, in its `row`, the item as `sample_id`.

    Args:
        around: Entered and left with the event loop, as a client that it is bound to must be.

    Raises:
        UserError: If the scorer raised it.
    """
    async def every() -> list[Score | BaseException | None]:
        async with around:
            asked = (scorer(_state(question), Target(question.target)) for question in questions)
            return await asyncio.gather(*asked, return_exceptions=True)

    found: list[Score | Exception | None] = []
    for outcome in asyncio.run(every()):
        if isinstance(outcome, UserError) or (isinstance(outcome, BaseException) and not isinstance(outcome, Exception)):
            raise outcome
        found.append(outcome)
    return found


def _state(question: Question) -> TaskState:
    output, row = ModelOutput.from_content(_MODEL, question.answer), dict(question.row or {})
    said: list[ChatMessage] = [ChatMessageUser(content=question.prompt), output.message]
    return TaskState(
        model=ModelName(_MODEL), sample_id=question.item, epoch=question.epoch, input=question.prompt, messages=said,
        target=Target(question.target), output=output, metadata={**row, "row": row}, completed=True,
    )


def verdict(outcome: Score | Exception | None) -> Verdict:
    """What an outcome is worth: C, P and I are 1, 0.5 and 0, and so on, as inspect-ai has it; what is no number is a gap.

    Raises:
        UnusableScore: If the value is a list or a mapping.
    """
    if isinstance(outcome, Exception):
        return Verdict(None, f"{type(outcome).__name__}: {one_line(str(outcome))}", is_final=False)
    if outcome is None:
        return Verdict(None, "the scorer gave no score")
    value, says = outcome.value, outcome.explanation or ""
    if not isinstance(value, str | int | float | bool):
        raise UnusableScore(one_line(repr(value)))
    number = _number(value)
    if number is None:
        return Verdict(None, one_line(str(outcome.reason or f"the scorer gave {value!r}, which is no number")), says)
    return Verdict(number, says=says)


def _number(value: str | int | float | bool) -> float | None:
    """By inspect-ai's `value_to_float`, which makes 0 of a text that it does not know; that is None here."""
    if isinstance(value, str) and value not in _WORDS and value.lower() not in _WORDS:
        try:
            value = float(value)
        except ValueError:
            return None
    number = float(value_to_float()(value))
    return number if math.isfinite(number) else None
