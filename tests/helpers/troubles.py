"""What befalls a stage: a disk that is full, a kill between two files; and what it says then."""

import contextlib
import errno
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ftexp.ground.errors import run_command

Stage = Callable[[list[str]], int]


def command(stage: Stage) -> tuple[int, list[str]]:
    """A stage's exit status and messages, as its command gives them."""
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        patch.setattr(sys, "argv", ["stage"])
        with pytest.raises(SystemExit) as end:
            run_command(stage)
    return int(end.value.code or 0), errors.getvalue().splitlines()


class FullDisk:
    """A disk that takes so many more files, and half of the next one."""

    def __init__(self, room: int) -> None:
        self.room, self.is_full = room, False
        self._write = Path.write_bytes

    def write(self, path: Path, data: bytes) -> int:
        if self.room <= 0:
            self.is_full = True
            self._write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= 1
        return self._write(path, data)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, "scripts")
rename, left = os.replace, [int(sys.argv[1])]
def replace(old, new):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(old, new)
os.replace = replace
import {stage}
sys.exit({stage}.main([]))
"""
