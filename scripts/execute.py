"""One stage of one run: what its job script calls. Can be killed at any moment and called again.

Reads runs/<id>/{run.yaml, finetune.yaml or eval.py}, the split, the base model, the checkpoint, .env.
Writes runs/<id>/{checkpoint/, train.csv, train.json} or {eval/, eval.json}; works in .scratch/.
Command: python scripts/execute.py train|eval RUN [--log] [RUN ...] (bash runs/<id>/finetune.slurm)
         Further runs are done in the same process, which saves their imports; --log writes runs/<id>/<stage>.log.
"""

import shutil
import sys
from contextlib import nullcontext

from ftexp.design.run import STAGES
from ftexp.ground import paths
from ftexp.ground.errors import UserError, of_the_system, run_command
from ftexp.ground.filesystem import log_to
from ftexp.ground.own_job import own_job
from ftexp.jobs.attempt import run_once
from ftexp.jobs.dot_env import load_secrets


def main(arguments: list[str]) -> int:
    """Run one stage of one run, or of several in one process; runs that are done are left alone."""
    stage, *runs = [argument for argument in arguments if argument != "--log"] or [""]
    if stage not in STAGES or not runs:
        print("usage: python scripts/execute.py train|eval RUN [--log] [RUN ...]", file=sys.stderr)
        return 2
    paths.require_experiment()
    load_secrets()
    code = 0
    try:
        for run in runs:
            code = max(code, _run_or_say_why(stage, run, has_log="--log" in arguments))
    finally:
        cache = own_job().cache
        if cache is not None:
            shutil.rmtree(cache, ignore_errors=True)
    return code


def _run_or_say_why(stage: str, run: str, *, has_log: bool) -> int:
    """One run; a mistake of one does not stop the next, nor does a disk that is full, perhaps of the log itself."""
    log = paths.RunPaths(run).log(stage)
    try:
        with log_to(log) if has_log else nullcontext():
            try:
                return run_once(stage, run)
            except UserError as error:
                print(error, file=sys.stderr)
    except OSError as error:
        message = of_the_system(error, str(log) if has_log else "disk")
        if message is None:
            raise
        print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    run_command(main)
