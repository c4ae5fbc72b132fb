"""One stage of one run: what its job script calls. Can be killed at any moment and called again.

Reads runs/<id>/{run.yaml, finetune.yaml or eval.py}, the split, the base model, the checkpoint, .env.
Writes runs/<id>/{checkpoint/, train.csv, train.json} or {eval/, eval.json}; works in .scratch/.
Command: python scripts/execute.py train|eval RUN [--log] [RUN ...] (bash runs/<id>/finetune.slurm)
         Further runs are done in the same process, which saves their imports; --log writes runs/<id>/<stage>.log.
"""

import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ftexp.design.planning import read_run
from ftexp.ground import paths
from ftexp.ground.errors import UserError, of_the_system, run_command
from ftexp.ground.filesystem import log_to, sha256_json, write_json
from ftexp.jobs.dot_env import load_secrets
from ftexp.jobs.interruption import when_told_to_stop
from ftexp.jobs.slurm import claims
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.stages import StageFailed, evaluate, require_device, resumable_epochs, train
from ftexp.state import job_record
from ftexp.state.publishing import write_manifest
from ftexp.state.run_lock import take_lock
from ftexp.state.status_words import STAGES
from ftexp.state.work import Missing, Work


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
        if "FTEXP_CACHE" in os.environ:
            shutil.rmtree(os.environ["FTEXP_CACHE"], ignore_errors=True)
    return code


def _run_or_say_why(stage: str, run: str, *, has_log: bool) -> int:
    """One run; a mistake of one does not stop the next, nor does a disk that is full, perhaps of the log itself."""
    log = paths.RunPaths(run).log(stage)
    try:
        with log_to(log) if has_log else nullcontext():
            try:
                return _run_one(stage, run)
            except UserError as error:
                print(error, file=sys.stderr)
    except OSError as error:
        message = of_the_system(error, str(log) if has_log else "disk")
        if message is None:
            raise
        print(message, file=sys.stderr)
    return 1


def _run_one(stage: str, name: str) -> int:
    run = read_run(name)
    if not _is_own_claim(name, stage):
        return 0
    with take_lock(name, stage):
        work = Work()
        try:
            inputs = work.inputs(run, stage)
            submitted_for = work.submission_hash(run, stage)
        except Missing as missing:
            raise UserError(f"runs/{name}: {stage} cannot begin: {missing}.") from missing
        if work.is_done(name, stage, inputs):
            print(f"{name}: {stage} is done already", file=sys.stderr)
            return 0
        work.hashes.save()
        _require_unchanged(name, submitted_for)
        return _run_stage(run, stage, inputs, preflight=work.refusal(run))


def _is_own_claim(run: str, stage: str) -> bool:
    """Whether this job is still the one that the stage was given to; a person's own call always is."""
    own = os.environ.get("FTEXP_SUBMISSION")
    claim = claims.read_claim(run, stage)
    if own is None or (claim is not None and claim.submission == own):
        return True
    print(f"runs/{run}: {stage} was given to another job; nothing is left to do for {slurm.own_job_id()}", file=sys.stderr)
    return False


def _require_unchanged(run: str, submitted_for: str) -> None:
    """The inputs are those that the job was submitted for.

    Raises:
        UserError: If they changed while it waited.
    """
    if os.environ.get("FTEXP_INPUT_HASH", submitted_for) != submitted_for:
        raise UserError(f"runs/{run}: its inputs changed after it was submitted, so this job does nothing. Run: make submit eval")


def _run_stage(run: dict[str, Any], stage: str, inputs: dict[str, Any], *, preflight: str) -> int:
    """Run the stage between two records, so that an end of any kind leaves a trace; `preflight` is what spoke against it."""
    name = run["run"]
    record = job_record.begin(name, stage, sha256_json(inputs))
    try:
        scratch = _prepare_scratch(name, stage, inputs)
        epochs_before = resumable_epochs(run, stage)
        with when_told_to_stop(lambda is_warning: _stop(run, stage, record, epochs_before if is_warning else None)):
            _require_tries_left()
            require_device()
            (train if stage == "train" else evaluate)(run, scratch)
            write_manifest(name, stage, inputs, preflight)
    except (StageFailed, UserError) as failure:
        job_record.end(name, stage, record, "failed", str(failure))
        print(f"runs/{name}: {stage} failed: {failure}", file=sys.stderr)
        return 1
    except OSError as error:
        job_record.end(name, stage, record, "failed", f"{error.strerror}: {error.filename or 'disk'}")
        raise
    job_record.end(name, stage, record, "done")
    shutil.rmtree(scratch)
    return 0


def _stop(run: dict[str, Any], stage: str, record: dict[str, Any], epochs_before: int | None) -> int:
    """Told to stop: warned of the walltime (then `epochs_before` this try are given), or ended by Slurm (None)."""
    name = run["run"]
    if epochs_before is None:
        job_record.end(name, stage, record, "stopped", "was stopped by Slurm (cancelled, preempted or requeued)")
        return 143
    reached = f"reached its walltime of {os.environ.get('FTEXP_TIME_MIN')} min"
    epochs = resumable_epochs(run, stage)
    if epochs <= epochs_before:
        what = "before an epoch was finished" if stage == "train" else "before it had finished"
        job_record.end(name, stage, record, "failed", f"{reached} {what}. Raise {stage}.time_min in site.yaml")
        return 1
    if slurm.restarts() + 1 >= _tries():
        reason = f"{reached} in epoch {epochs + 1} of {run['settings']['epochs']}, in the last of {_tries()} tries"
        job_record.end(name, stage, record, "failed", f"{reason}. Raise train.time_min or tries in site.yaml")
        return 1
    job_record.end(name, stage, record, "stopped", f"{reached}; goes on after epoch {epochs}")
    try:
        slurm.requeue(slurm.own_job_id() or "")
    except slurm.NoAnswer as error:
        job_record.end(name, stage, record, "failed", f"{reached}, and could not be requeued ({error})")
        return 1
    return 0


def _tries() -> int:
    return int(os.environ.get("FTEXP_TRIES", "1"))


def _require_tries_left() -> None:
    """Slurm may requeue a job for ever; a node or a model that kills it would cost as long."""
    if slurm.own_job_id() and slurm.restarts() >= _tries():
        raise StageFailed(f"Slurm started it {slurm.restarts() + 1} times, and site.yaml allows {_tries()} tries; see its log")


def _prepare_scratch(run: str, stage: str, inputs: dict[str, Any]) -> Path:
    """The scratch folder; what lies there from other inputs goes."""
    scratch = paths.RunPaths(run).scratch_dir(stage)
    stamp = scratch / "inputs.json"
    digest = sha256_json(inputs)
    if scratch.is_dir() and not (stamp.is_file() and stamp.read_text() == f'"{digest}"\n'):
        shutil.rmtree(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    write_json(stamp, digest)
    return scratch


if __name__ == "__main__":
    run_command(main)
