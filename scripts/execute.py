"""One stage of one run: what its job script calls. Can be killed at any moment and called again.

Reads runs/<id>/{run.yaml, finetune.yaml or eval.py}, the split, the base model, the checkpoint, .env.
Writes runs/<id>/{checkpoint/, train.csv, train.json} or {eval/, eval.json}; works in .scratch/.
Command: python scripts/execute.py train|eval RUN [--log] [RUN ...] (bash runs/<id>/finetune.slurm)
         Further runs are done in the same process, which saves their imports; --log writes runs/<id>/<stage>.log.
"""

import shutil
import sys

from ftexp.ground import paths
from ftexp.ground.errors import run_command
from ftexp.ground.own_job import forget_launchers, own_job
from ftexp.state.code_version import PARTS_OF
from ftexp.state.imported_code import ImportedCode


def main(arguments: list[str]) -> int:
    """Run one stage of one run, or of several in one process; runs that are done are left alone."""
    stage, *runs = [argument for argument in arguments if argument != "--log"] or [""]
    if stage not in PARTS_OF or not runs:
        print("usage: python scripts/execute.py train|eval RUN [--log] [RUN ...]", file=sys.stderr)
        return 2
    paths.require_experiment()
    forget_launchers()
    try:
        code = ImportedCode.before_imports(stage)
        from ftexp.jobs.dot_env import load_secrets  # these import what a run is computed with
        from ftexp.jobs.worker import do_runs

        load_secrets()
        return do_runs(code, runs, has_log="--log" in arguments)
    finally:
        cache = own_job().cache
        if cache is not None:
            shutil.rmtree(cache, ignore_errors=True)


if __name__ == "__main__":
    run_command(main)
