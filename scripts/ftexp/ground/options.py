"""What a person says on make's command line: JOBS, ONLY, DRY, YES, FORCE, RUN; handed on in the environment, read by no shell."""

import fnmatch
import os
import re
import sys
from dataclasses import dataclass, replace

from ftexp.ground.errors import UserError, one_line, suggestion


@dataclass(frozen=True)
class Options:
    """How a stage is to be submitted.

    Attributes:
        jobs: Runs at a time; None: as site.yaml says.
        only: Patterns of run ids, parted by blanks, such as `r16_* base`; None: all.
        names: The runs that are meant, by id; None: all.
        is_dry: Show what would be done, and do nothing.
        is_sure: Do not ask.
        is_forced: Go on with runs whose preflight is missing, stale or red; their results say so.
    """

    jobs: int | None = None
    only: str | None = None
    names: frozenset[str] | None = None
    is_dry: bool = False
    is_sure: bool = False
    is_forced: bool = False

    def picks(self, run: str) -> bool:
        """Whether a run is meant."""
        is_named = self.names is None or run in self.names
        return is_named and (self.only is None or any(fnmatch.fnmatchcase(run, pattern) for pattern in self.only.split()))

    def require_picked(self, runs: list[str]) -> None:
        """Check that every pattern of ONLY means a run.

        Raises:
            UserError: If one means none.
        """
        for pattern in (self.only or "").split():
            if not any(map(replace(self, only=pattern).picks, runs)):
                shown = f"{', '.join(runs[:5])}{', ...' * (len(runs) > 5)}"
                raise UserError(f"ONLY: no run's id matches '{pattern}'. Runs are {shown}")


def read_options() -> Options:
    """The options in the environment.

    Raises:
        UserError: If JOBS is no whole number above 0, or DRY, YES or FORCE is neither 1 nor 0.
    """
    jobs = os.environ.get("JOBS", "")
    if jobs and not re.fullmatch(r"0*[1-9][0-9]*", jobs):
        raise UserError(f"JOBS: must be a whole number above 0, got '{jobs}'. For example: make submit JOBS=2")
    only = os.environ.get("ONLY")
    if only is not None and not only.strip():
        raise UserError("ONLY: is empty. Give patterns of run ids such as ONLY='r16_* base', or leave it out for all runs.")
    is_dry, is_sure, is_forced = (read_flag(name) for name in ("DRY", "YES", "FORCE"))
    return Options(int(jobs) if jobs else None, only, is_dry=is_dry, is_sure=is_sure, is_forced=is_forced)


def read_run(arguments: list[str], runs: list[str], verb: str, noun: str = "run") -> str:
    """The one run that is meant: the argument, or RUN in the environment.

    Args:
        runs: The ids that may be named.
        verb, noun: What is to be done with it, and what it has to be, as a message says.

    Raises:
        UserError: If there is no run of that name.
    """
    name = arguments[0] if arguments else os.environ.get("RUN", "")
    if name not in runs:
        example = "" if name else f"Name one: make {verb} RUN=<id>. "
        raise UserError(f"RUN: there is no {noun} '{one_line(name)}'. {example}{suggestion(name, runs)}")
    return name


def read_flag(name: str) -> bool:
    """Whether a variable is 1.

    Raises:
        UserError: If it is neither 1 nor 0, nor empty.
    """
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise UserError(f"{name}: must be 1 or 0, got '{value}'.")
    return value == "1"


def confirm(what: str, options: Options) -> bool:
    """Ask before something is spent or ended; only on a terminal, and not with YES=1."""
    if options.is_sure or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(f"{what} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
