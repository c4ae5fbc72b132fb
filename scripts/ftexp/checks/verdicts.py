"""What the checks found, per run: errors, for which a run is not submitted, and warnings, which a careful person reads."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ftexp.ground.errors import sentence
from ftexp.ground.wording import first_of

# Runs that a line names, and lines that a terminal shows of one kind; preflight.json has all.
NAMED, SHOWN = 3, 30


@dataclass
class Verdicts:
    """Messages by run id; every run has an entry in both."""

    errors: dict[str, list[str]] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Iterable[str]) -> "Verdicts":
        """Nothing found yet."""
        names = list(runs)
        return cls({name: [] for name in names}, {name: [] for name in names})

    def add(self, run: str, *, errors: Iterable[str] = (), warnings: Iterable[str] = ()) -> None:
        """Note what was found of a run."""
        self.errors[run] += errors
        self.warnings[run] += warnings


def grouped(messages: Mapping[str, list[str]], all_in: str = "preflight.json") -> list[str]:
    """One line per message, with the runs that it is about; what goes beyond a screen is counted.

    Args:
        all_in: The file that has all of them.
    """
    runs_of: dict[str, list[str]] = {}
    for run, found in messages.items():
        for message in found:
            runs_of.setdefault(message, []).append(run)
    lines = [f"{first_of([f'runs/{run}' for run in runs], NAMED)}: {sentence(message)}" for message, runs in runs_of.items()]
    rest = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"and {rest} more messages, in {all_in}"] if rest > 0 else [])
