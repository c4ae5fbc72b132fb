"""Rows that are counted aloud: work that takes long says how far it is."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

# Seconds between two lines; what takes less says nothing.
EVERY = 10.0
Thing = TypeVar("Thing")


def counted(things: Iterable[Thing], what: str, total: int | None = None) -> Iterator[Thing]:
    """The things, one by one; every ten seconds a line on stderr: `what: 300,000 of 800,000`."""
    last, of_all = time.monotonic(), f" of {total:,}" if total is not None else ""
    for number, thing in enumerate(things, 1):
        yield thing
        if number % 1000 == 0 and time.monotonic() - last >= EVERY:
            last = time.monotonic()
            print(f"{what}: {number:,}{of_all}", file=sys.stderr, flush=True)
