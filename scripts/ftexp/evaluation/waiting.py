"""Requests of many samples, answered together: they wait until no more come, without sleeping."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

import anyio

# Turns of the event loop without a new request after which all are there; samples start within a few.
QUIET_TURNS = 50


class Request(Protocol):
    """What is asked for; `answer` is None until it is known."""

    answer: Any


R = TypeVar("R", bound=Request)


class Waiting(Generic[R]):
    """The requests of one kind that have no answer yet."""

    def __init__(self, answer_all: Callable[[list[R]], Awaitable[None]]) -> None:
        """Say how they are answered.

        Args:
            answer_all: Sets the answer of every request that it is given.
        """
        self._answer_all = answer_all
        self._waiting: dict[int, R] = {}
        self._lock = anyio.Lock()

    async def answer(self, request: R) -> None:
        """Have a request answered, with whatever else is asked at the time.

        Where the sample that answers for all is cancelled, or fails, the next one answers for those that still wait.
        """
        self._waiting[id(request)] = request
        try:
            async with self._lock:
                if request.answer is None:
                    await self._until_quiet()
                    await self._answer_all([each for each in self._waiting.values() if each.answer is None])
        finally:
            del self._waiting[id(request)]

    async def _until_quiet(self) -> None:
        """Wait until the queue has stopped growing."""
        size, turns = -1, 0
        while turns < QUIET_TURNS:
            turns = turns + 1 if len(self._waiting) == size else 0
            size = len(self._waiting)
            await anyio.sleep(0)
