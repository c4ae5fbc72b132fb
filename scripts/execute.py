"""One stage of one run: what its job script calls. Can be killed at any moment and called again.

Reads runs/<id>/{run.yaml, finetune.yaml or eval.py}, the split, the base model, the checkpoint.
Writes runs/<id>/{checkpoint/, train.csv, train.json} or {eval/, eval.json}; works in .scratch/.
Command: python scripts/execute.py train|eval RUN [--log] [RUN ...] (bash runs/<id>/finetune.slurm)
         Further runs are done in the same process, which saves their imports; --log writes runs/<id>/<stage>.log.
"""

import os
import shutil
import signal
import socket
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ftexp import paths
from ftexp.errors import UserError, run_command
from ftexp.eval_file import task_name
from ftexp.filesystem import log_to, read_json, sha256_json, write_json
from ftexp.planning import read_run
from ftexp.publishing import publish_checkpoint, replace_dir, write_manifest
from ftexp.run_lock import take_lock
from ftexp.state import STAGES, Missing, Work
from ftexp.torchtune_config import is_lora

MANY = 100_000


class StageFailed(Exception):
    """A stage ended without its product; the text is the reason."""


def main(arguments: list[str]) -> int:
    """Run one stage of one run, or of several in one process; runs that are done are left alone."""
    stage, *runs = [argument for argument in arguments if argument != "--log"] or [""]
    if stage not in STAGES or not runs:
        print("usage: python scripts/execute.py train|eval RUN [--log] [RUN ...]", file=sys.stderr)
        return 2
    paths.require_experiment()
    code = 0
    for run in runs:
        with log_to(paths.RunPaths(run).log(stage)) if "--log" in arguments else nullcontext():
            code = max(code, _run_or_say_why(stage, run))
    return code


def _run_or_say_why(stage: str, run: str) -> int:
    """One run; a mistake of one does not stop the next."""
    try:
        return _run_one(stage, run)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1


def _run_one(stage: str, name: str) -> int:
    run = read_run(name)
    with take_lock(name, stage):
        work = Work()
        try:
            inputs = work.inputs(run, stage)
        except Missing as missing:
            raise UserError(f"runs/{name}: {stage} cannot begin: {missing}.") from missing
        if work.is_done(name, stage, inputs):
            print(f"{name}: {stage} is done already", file=sys.stderr)
            return 0
        work.hashes.save()
        return _run_stage(run, stage, inputs)


def _run_stage(run: dict[str, Any], stage: str, inputs: dict[str, Any]) -> int:
    """Run the stage between two job records, so that an end of any kind leaves a trace."""
    job = {
        "state": "running", "input_hash": sha256_json(inputs), "host": socket.gethostname(), "pid": os.getpid(),
        "started": round(time.time(), 1),
    }
    path = paths.RunPaths(run["run"]).job(stage)
    write_json(path, job)
    try:
        _require_device()
        scratch = _prepare_scratch(run["run"], stage, inputs)
        if stage == "train":
            _train(run, scratch)
        else:
            _evaluate(run, scratch)
        write_manifest(run["run"], stage, inputs)
    except (StageFailed, UserError) as failure:
        _end(path, job, "failed", str(failure))
        print(f"runs/{run['run']}: {stage} failed: {failure}", file=sys.stderr)
        return 1
    _end(path, job, "done", "")
    shutil.rmtree(scratch)
    return 0


def _end(path: Path, job: dict[str, Any], state: str, reason: str) -> None:
    seconds = round(time.time() - job["started"], 1)
    write_json(path, {**job, "state": state, "reason": reason, "seconds": seconds})


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


def _train(run: dict[str, Any], scratch: Path) -> None:
    from ftexp.training.process import run_recipe
    from ftexp.training.resume import epoch_dirs, finished_epochs

    settings, places = run["settings"], paths.RunPaths(run["run"])
    finished = finished_epochs(scratch) if is_lora(settings["recipe"]) else 0
    if finished:
        print(f"{run['run']}: resuming after epoch {finished} of {settings['epochs']}", file=sys.stderr)
    overrides = [f"resume_from_checkpoint={bool(finished)}", *_device_override()]
    code = run_recipe(settings["recipe"], places.finetune_yaml, overrides)
    if code != 0:
        raise StageFailed(_describe_exit(code))
    publish_checkpoint(run, epoch_dirs(scratch)[settings["epochs"] - 1])


def _require_device() -> None:
    """A GPU that site.yaml asks for is there; torchtune would go on without one."""
    import torch

    if os.environ.get("FTEXP_DEVICE") == "cuda" and not torch.cuda.is_available():
        raise StageFailed("site.yaml: device: is cuda, but torch finds no GPU here. Set auto or cpu, or run where there is one")


def _device_override() -> list[str]:
    device = os.environ.get("FTEXP_DEVICE", "auto")
    return [] if device == "auto" else [f"device={device}"]


def _describe_exit(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"torchtune ended with exit status {code}; see its log"


def _evaluate(run: dict[str, Any], scratch: Path) -> None:
    """Run the run's eval.py and publish its log, if its status is success and no sample is missing."""
    from inspect_ai import eval as inspect_eval

    places = paths.RunPaths(run["run"])
    logs = inspect_eval(
        str(places.eval_py), log_dir=str(scratch / "logs"), display="plain", log_format="eval", max_samples=MANY,
        fail_on_error=True, log_realtime=False, score_display=False,
    )
    log = logs[0]
    if log.status != "success" or log.results is None:
        raise StageFailed(f"inspect-ai ended with status {log.status}" + (f": {log.error.message}" if log.error else ""))
    wanted = read_json(paths.split_dir(run["split"]) / "split.json")["rows"]["test"]
    if log.results.completed_samples != wanted:
        raise StageFailed(f"{log.results.completed_samples} of {wanted} test rows were evaluated")
    published = scratch / "published"
    shutil.rmtree(published, ignore_errors=True)
    published.mkdir()
    shutil.copy2(log.location, published / f"{task_name(run)}.eval")
    places.manifest("eval").unlink(missing_ok=True)
    replace_dir(published, places.eval_dir)


if __name__ == "__main__":
    run_command(main)
