"""The work of the two stages: a training by its trainer, an evaluation by inspect-ai, each up to its published product."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftexp.design.run import Run, Task
from ftexp.ground import paths
from ftexp.ground.errors import UserError, one_line
from ftexp.ground.filesystem import read_json
from ftexp.ground.gpus import gpu_ids
from ftexp.ground.own_code import CodeEdited, import_own_code, require_unedited
from ftexp.ground.own_job import own_job
from ftexp.ground.torch_device import name_of, usable_device
from ftexp.ground.yamlfile import load_yaml
from ftexp.jobs.diagnosis import ADVICE, cgroup_kills, sign_in_log, sign_in_text, sign_on_disk
from ftexp.state.base_checks import check_and_remember, place_of, remembered
from ftexp.state.publishing import publish_checkpoint, replace_dir
from ftexp.state.work import Work
from ftexp.trainers.base_check import fits_here, gigabytes_needed
from ftexp.trainers.choice import trainer_of
from ftexp.trainers.device_file import device_used
from ftexp.trainers.interface import Config
from ftexp.trainers.recipes import is_distributed, is_lora
from ftexp.trainers.tracking import missing_key, name_wandb_run
from ftexp.trainers.train_csv import failure_of

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

MANY = 100_000


class StageFailed(Exception):
    """A stage ended without its product; the text is the reason."""


def require_device() -> str:
    """The device that site.yaml asks for, `cpu` or `cuda`; a trainer might go on without it.

    Raises:
        UserError: If torch cannot use it.
    """
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # asked otherwise, CUDA is of no use in a process forked from this one
    return usable_device(own_job().device)


def require_right_base(run: Run) -> None:
    """The trainer's model of the base is transformers'; looked at once per base, in a process of its own.

    Raises:
        StageFailed: If it is another model, or none.
        CodeEdited: If what was imported for it is not what this process began with.
    """
    settings = run.settings
    path = paths.RunPaths(run.id).finetune_yaml
    config: Config = load_yaml(path, str(path))
    place, model = place_of(Work(), run, config), settings["model"]
    code, kills = 0, cgroup_kills()
    if remembered(place) is None:
        if not fits_here(model):
            print(f"base {model}: not checked: needs {gigabytes_needed(model):.0f} GB of memory", flush=True)
            return
        if not gpu_ids():  # importing torchtune asks CUDA, which would be of no use in a fork then
            import_own_code()
        fork = multiprocessing.get_context("fork")
        said = fork.SimpleQueue()
        child = fork.Process(target=_check_base, args=(run, config, place, said))
        child.start()
        child.join()
        if not said.empty():
            raise StageFailed(said.get())
        code = child.exitcode or 0
    found = remembered(place)
    if found is None:
        require_unedited()  # of which that process, too, may have died
        if code < 0:
            how = _describe_exit(code, is_out_of_memory=cgroup_kills() > kills, sign=None)
            raise StageFailed(f"base {model}: could not be compared with transformers' model of it: {how}")
        raise StageFailed(f"base {model}: could not be compared with transformers' model of it; see the log")
    print(found.in_words(model), flush=True)
    objection = found.objection(paths.model_dir(model))
    if objection:
        raise StageFailed(objection)


def _check_base(run: Run, config: Config, place: Path, said: "SimpleQueue[str]") -> None:
    """Look, in a process of its own; what is wrong with the base itself is said."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)  # the job's are for its parent
    try:
        check_and_remember(run, config, place)
    except UserError as problem:
        said.put(str(problem))


def require_tracking() -> None:
    """The key is known where trainings are logged to Weights & Biases online.

    Raises:
        StageFailed: If it is not.
    """
    missing = missing_key(os.environ) if own_job().wandb_mode == "online" else None
    if missing:
        raise StageFailed(missing)


def resumable_epochs(run: Run, stage: str) -> int:
    """Epochs from which an interrupted training can go on; an evaluation and a full fine-tune begin anew."""
    is_resumable = stage == "train" and is_lora(run.settings["recipe"])
    return trainer_of(run).finished_epochs(paths.RunPaths(run.id).scratch_dir("train")) if is_resumable else 0


def train(run: Run, scratch: Path) -> str:
    """Train, from the last finished epoch where there is one, and publish the checkpoint and train.csv.

    Returns:
        The device that the trainer computed on, by its own word.

    Raises:
        StageFailed: If the training does not end well.
        UserError: If the batch cannot be shared out to the processes.
    """
    require_tracking()
    require_right_base(run)
    settings, job, trainer = run.settings, own_job(), trainer_of(run)
    finished = resumable_epochs(run, "train")
    if finished:
        print(f"{run.id}: resuming after epoch {finished} of {settings['epochs']}", flush=True)
    name_wandb_run(run, scratch, is_resumed=bool(finished))
    log, kills = paths.RunPaths(run.id).log("train"), cgroup_kills()
    from_byte = log.stat().st_size if log.is_file() else 0
    processes = job.processes if is_distributed(settings["recipe"]) else 1
    code = trainer.train(run, is_resumed=bool(finished), processes=processes, device=require_device())
    if code != 0:
        own_word = failure_of(scratch)
        if own_word:
            raise StageFailed(own_word)
        sign = sign_in_log(log, from_byte) or sign_on_disk(scratch)
        raise StageFailed(_describe_exit(code, is_out_of_memory=cgroup_kills() > kills, sign=sign))
    device = device_used(scratch)
    publish_checkpoint(run, trainer.product_dir(scratch, settings["epochs"]))
    return device


def _describe_exit(code: int, *, is_out_of_memory: bool, sign: str | None) -> str:
    if sign:
        return f"{sign}. {ADVICE[sign]}"
    if is_out_of_memory:
        return f"out of memory: the job may use {own_job().mem_gb} GB. Raise train.mem_gb in site.yaml"
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"the training ended with exit status {code}; see its log"


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation came to.

    Attributes:
        askings: Those of the run whose logs are there as they are wanted.
        failures: Why others are not.
        device: What it computed on.
        is_published: Whether its folder is another than before.
    """

    askings: frozenset[str]
    failures: tuple[str, ...]
    device: str
    is_published: bool


def evaluate(run: Run, scratch: Path, current: Collection[str], others: Collection[str]) -> Evaluated:
    """Ask what is not asked yet, by the run's eval.py, and publish the logs: one of each asking, of success and whole.

    One that fails keeps no other from being asked. What ended before a kill is not asked again.

    Args:
        current: The askings whose published logs are as they are wanted.
        others: Those whose published logs stay as they are until there are others in their place.

    Raises:
        CodeEdited: If what was imported for it is not what this process began with.
    """
    import_own_code()
    places, finished, failures = paths.RunPaths(run.id), scratch / "finished", []
    finished.mkdir(exist_ok=True)
    for asking in current:  # a kill between their folder and its manifest loses none
        _copy_whole(places.eval_log(asking), finished / f"{asking}.eval")
    for task in run.asked:
        for asking in (name for name in task.askings if not (finished / f"{name}.eval").is_file()):
            try:
                _ask(run, task, asking, scratch)
            except CodeEdited:
                raise
            except (StageFailed, UserError) as failure:
                failures.append(str(failure) if len(run.askings) == 1 else f"task {asking}: {failure}")
    there = frozenset(name for name in run.askings if (finished / f"{name}.eval").is_file())
    is_new = not failures or len(there) > len(current)
    if is_new:
        _publish(run, scratch, {name: finished / f"{name}.eval" for name in there}, set(others) - there)
    return Evaluated(there, tuple(failures), name_of(require_device()), is_new)


def _publish(run: Run, scratch: Path, logs: Mapping[str, Path], others: Collection[str]) -> None:
    """Put logs in the place of those that are published, the others of which stay; their manifest is still to be written."""
    places, aside = paths.RunPaths(run.id), scratch / "published"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for name, path in {**{name: places.eval_log(name) for name in others}, **logs}.items():
        shutil.copy2(path, aside / f"{name}.eval")
    places.manifest("eval").unlink(missing_ok=True)
    replace_dir(aside, places.eval_dir)


def _copy_whole(source: Path, target: Path) -> None:
    """A copy that is there whole or not at all."""
    aside = target.with_suffix(".copy")
    shutil.copy2(source, aside)
    os.replace(aside, target)


def _ask(run: Run, task: Task, asking: str, scratch: Path) -> None:
    """One asking, its log in the folder of those that are finished.

    Raises:
        StageFailed: If it does not begin, does not end well, or a sample is missing.
        UserError: If it cannot be made.
    """
    from inspect_ai import eval as inspect_eval

    try:
        log = inspect_eval(
            f"{paths.RunPaths(run.id).eval_py}@{asking}", log_dir=str(scratch / "logs"), display="plain", log_format="eval",
            max_samples=MANY, fail_on_error=True, log_realtime=False, score_display=False,
        )[0]
    except UserError:
        raise
    except Exception as error:
        if task.kind != "inspect":
            raise
        raise StageFailed(f"inspect-ai could not ask it ({type(error).__name__}: {one_line(str(error))})") from error
    if log.status != "success" or log.results is None:
        message = log.error.message if log.error else ""
        sign = sign_in_text(message)
        advice = f" ({sign}. {ADVICE[sign]})" if sign else ""
        raise StageFailed(f"inspect-ai ended with status {log.status}" + (f": {message}" if message else "") + advice)
    epochs = task.epochs_of(asking)
    wanted = read_json(paths.split_json(task.test_set, "test"))["rows"] * epochs if task.data else log.results.total_samples
    if log.results.completed_samples != wanted:
        what = "rows were evaluated" if epochs == 1 else f"answers were given, {epochs} for each row"
        raise StageFailed(f"{log.results.completed_samples} of {wanted} {what}")
    _copy_whole(Path(log.location), scratch / "finished" / f"{asking}.eval")
