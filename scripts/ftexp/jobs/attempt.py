"""One attempt at a stage of a run: from its lock to the record of how it ended, however it ends.

Reads the run's inputs. Writes its manifest and its record, and whatever the stage publishes; works in .scratch/.
"""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftexp.design.planning import read_run
from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import sha256_json, write_json
from ftexp.ground.own_code import CodeEdited
from ftexp.ground.own_job import own_job
from ftexp.jobs.interruption import when_told_to_stop
from ftexp.jobs.slurm import claims
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.stages import StageFailed, evaluate, require_device, resumable_epochs, train
from ftexp.state import job_record
from ftexp.state.code_version import part_of
from ftexp.state.imported_code import ImportedCode
from ftexp.state.publishing import write_manifest
from ftexp.state.row_sets import Missing
from ftexp.state.run_lock import take_lock
from ftexp.state.work import Work


@dataclass(frozen=True)
class Computed:
    """What a stage gave: on which device, the inputs of what is there, why something is not, and whether anything is new."""

    device: str
    inputs: dict[str, Any]
    failures: tuple[str, ...] = ()
    is_published: bool = True


def run_once(code: ImportedCode, name: str) -> int:
    """Run a stage that this process was told to run: not if it is done, or was given to another job meanwhile.

    Args:
        code: What this process computes with; its stage is the one to run.

    Returns:
        The exit status: 0, or 1 where the stage failed.

    Raises:
        CodeEdited: If that is no longer what is on disk.
        UserError: If an input is missing, or changed since the job was submitted.
    """
    stage = code.stage
    run = read_run(name)
    if stage not in run.stages:
        whose = "is a control, which is not trained" if run.is_control else f"is evaluated on the training of {run.training}"
        raise UserError(f"runs/{name}: {whose}, so there is nothing to train here.")
    if not _is_own_claim(name, stage):
        return 0
    with take_lock(name, stage):
        work = Work()
        code.require_on_disk()
        try:
            part = part_of(run, stage)
            inputs = {**work.inputs(run, stage), "code": code.version(part)}
            submitted_for = work.submission_hash(run, stage)
        except Missing as missing:
            raise UserError(f"runs/{name}: {stage} cannot begin: {missing}.") from missing
        if work.is_done(name, stage, inputs):
            print(f"{name}: {stage} is done already", file=sys.stderr)
            return 0
        work.hashes.save()
        _require_unchanged(name, submitted_for)
        published = work.published_askings(run, inputs) if stage == "eval" else {}
        with code.handed_on(part):
            return _run_stage(run, code, inputs, preflight=work.refusal(run), published=published)


def _is_own_claim(run: str, stage: str) -> bool:
    """Whether this job is still the one that the stage was given to; a person's own call always is."""
    own = own_job().submission
    claim = claims.read_claim(run, stage)
    if own is None or (claim is not None and claim.submission == own):
        return True
    print(f"runs/{run}: {stage} was given to another job; nothing is left to do for {own_job().id}", file=sys.stderr)
    return False


def _require_unchanged(run: str, submitted_for: str) -> None:
    """The inputs are those that the job was submitted for.

    Raises:
        UserError: If they changed while it waited.
    """
    if own_job().input_hash not in (None, submitted_for):
        raise UserError(f"runs/{run}: its inputs changed after it was submitted, so this job does nothing. Run: make submit eval")


def _run_stage(run: Run, code: ImportedCode, inputs: dict[str, Any], *, preflight: str, published: Mapping[str, Any]) -> int:
    """Run the stage between two records, so that an end of any kind leaves a trace.

    Args:
        preflight: What spoke against it.
        published: Of an evaluation the askings whose logs are there, each with its inputs.
    """
    name, stage = run.id, code.stage
    record = job_record.begin(name, stage, sha256_json(inputs))
    try:
        scratch = _prepare_scratch(name, stage, inputs)
        epochs_before = resumable_epochs(run, stage)
        with when_told_to_stop(lambda is_warning: _stop(run, stage, record, epochs_before if is_warning else None)):
            _require_tries_left()
            require_device()
            found = _computed(run, stage, scratch, inputs, published)
            record["device"] = found.device
            if found.is_published:  # also where something else of an evaluation failed
                write_manifest(name, stage, found.inputs, preflight, code.packages, found.device)
            if found.failures:
                raise StageFailed("; ".join(found.failures))
    except CodeEdited as edited:
        job_record.end(name, stage, record, "stopped", str(edited))
        raise
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


def _computed(run: Run, stage: str, scratch: Path, inputs: dict[str, Any], published: Mapping[str, Any]) -> Computed:
    """Train, or ask what is not asked yet."""
    if stage == "train":
        return Computed(train(run, scratch), inputs)
    current = {name for name, asking in inputs["tasks"].items() if published.get(name) == asking}
    found = evaluate(run, scratch, current, published.keys() - current)
    asked = {**published, **{name: inputs["tasks"][name] for name in found.askings}}
    return Computed(found.device, {**inputs, "tasks": asked}, found.failures, found.is_published)


def _stop(run: Run, stage: str, record: dict[str, Any], epochs_before: int | None) -> int:
    """Told to stop: warned of the walltime (then `epochs_before` this try are given), or ended by Slurm (None)."""
    name, job = run.id, own_job()
    if epochs_before is None:
        job_record.end(name, stage, record, "stopped", "was stopped by Slurm (cancelled, preempted or requeued)")
        return 143
    reached = f"reached its walltime of {job.time_min} min"
    epochs = resumable_epochs(run, stage)
    if epochs <= epochs_before:
        what = "before an epoch was finished" if stage == "train" else "before it had finished"
        job_record.end(name, stage, record, "failed", f"{reached} {what}. Raise {stage}.time_min in site.yaml")
        return 1
    if job.is_last_try:
        reason = f"{reached} in epoch {epochs + 1} of {run.settings['epochs']}, in the last of {job.tries} tries"
        job_record.end(name, stage, record, "failed", f"{reason}. Raise train.time_min or tries in site.yaml")
        return 1
    job_record.end(name, stage, record, "stopped", f"{reached}; goes on after epoch {epochs}")
    try:
        slurm.requeue(job.id or "")
    except slurm.NoAnswer as error:
        job_record.end(name, stage, record, "failed", f"{reached}, and could not be requeued ({error})")
        return 1
    return 0


def _require_tries_left() -> None:
    """Slurm may requeue a job for ever; a node or a model that kills it would cost as long."""
    job = own_job()
    if job.id and job.restarts >= job.tries:
        raise StageFailed(f"Slurm started it {job.restarts + 1} times, and site.yaml allows {job.tries} tries; see its log")


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
