"""Processes that tests start, look at and kill."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """All descendants of a process."""
    direct = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return direct + [grandchild for child in direct for grandchild in children_of(child)]


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for a moment in the life of a process that goes on."""
    until = time.monotonic() + 300
    while not condition():
        assert process.poll() is None and time.monotonic() < until, "the moment never came"
        time.sleep(0.005)
