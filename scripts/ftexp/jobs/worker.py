"""A process that does a stage of several runs, one after another, with the code that it imported once."""

import sys
from contextlib import nullcontext

from ftexp.ground import paths
from ftexp.ground.errors import UserError, of_the_system
from ftexp.ground.filesystem import log_to
from ftexp.ground.own_code import CodeEdited
from ftexp.jobs.attempt import run_once
from ftexp.state.imported_code import ImportedCode


def do_runs(code: ImportedCode, runs: list[str], *, has_log: bool) -> int:
    """Do the runs that are not done; return 1 where one failed, or was left because the code is no longer that on disk."""
    status = 0
    for position, run in enumerate(runs):
        try:
            code.require_on_disk()
            status = max(status, _run_or_say_why(code, run, has_log=has_log))
        except CodeEdited as edited:
            print(f"{edited} Not done: {code.stage} of {', '.join(runs[position:])}.", file=sys.stderr, flush=True)
            return 1
    return status


def _run_or_say_why(code: ImportedCode, run: str, *, has_log: bool) -> int:
    """One run; a mistake of one does not stop the next, nor does a disk that is full, perhaps of the log itself."""
    log = paths.RunPaths(run).log(code.stage)
    try:
        with log_to(log) if has_log else nullcontext():
            try:
                return run_once(code, run)
            except CodeEdited:
                raise
            except UserError as error:
                print(error, file=sys.stderr)
    except OSError as error:
        message = of_the_system(error, str(log) if has_log else "disk")
        if message is None:
            raise
        print(message, file=sys.stderr)
    return 1
