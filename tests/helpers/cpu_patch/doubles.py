"""Components for tests of trainings in several processes: ours, and something that the test wants to see or to happen."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftexp.trainers.torchtune.components.dataset import PromptedRows
from ftexp.trainers.torchtune.components.metric_logger import CsvLogger


class RecordedRows(PromptedRows):
    """Writes the numbers of the rows that this process reads, in order, to the file `$ROWS_FILE.<rank>`."""

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        """The row, noted down."""
        with Path(f"{os.environ['ROWS_FILE']}.{os.environ['RANK']}").open("a", encoding="utf-8") as file:
            file.write(f"{self.order[index]}\n")
        return super().__getitem__(index)


class LauncherKiller(CsvLogger):
    """Kills torchrun before it logs step `$KILL_AT`, and waits for what that does to its own process."""

    def log_dict(self, payload: Mapping[str, Any], step: int) -> None:
        """Log, up to that step."""
        if step == int(os.environ["KILL_AT"]):
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
        super().log_dict(payload, step)


class FailingLogger(CsvLogger):
    """Is killed, as by the system for its memory, before it logs the first step."""

    def log_dict(self, payload: Mapping[str, Any], step: int) -> None:
        """Never comes to it."""
        os.kill(os.getpid(), signal.SIGKILL)
