"""What is to be submitted: tasks of one shape put together into job arrays, and each array claimed, sent and recorded.

A submission that is killed anywhere leaves claims from which the next one finds out what became of it.
"""

import datetime
import secrets
import shlex
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import sha256_text, write_if_changed
from ftexp.jobs.site import Site
from ftexp.jobs.slurm import bad_nodes, claims
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.slurm.arrays import array_script, shape, task_ranges
from ftexp.jobs.slurm.queue import SlurmQueue


@dataclass(frozen=True)
class Task:
    """One run's stage, to be submitted.

    Attributes:
        input_hash: What it is submitted for.
        after: The job that has to end well first: `12_3`; None for none.
    """

    run: str
    input_hash: str
    after: str | None = None


@dataclass(frozen=True)
class Batch:
    """One call of sbatch: an array of tasks of one shape.

    Attributes:
        tasks: By their number in the array.
        after: Base id of the array whose tasks of the same numbers have to end well first; or a whole job's id.
    """

    stage: str
    directives: tuple[str, ...]
    tasks: dict[int, Task]
    after: str | None = None
    id: str = ""

    def halves(self) -> list["Batch"]:
        """The same tasks in two batches."""
        numbers = sorted(self.tasks)
        middle = len(numbers) // 2
        return [replace(self, tasks={n: self.tasks[n] for n in part}) for part in (numbers[:middle], numbers[middle:])]


def make_batches(tasks: list[Task], stage: str, array_max: int) -> list[Batch]:
    """Group tasks by the shape of their scripts and the array they wait for; at most `array_max` tasks in one.

    Of tasks that wait for one and the same training each goes into another array: a task has the number of its training's.
    """
    groups: dict[tuple[tuple[str, ...], str | None, int], list[Task]] = {}
    waiting: Counter[str] = Counter()
    for task in tasks:
        script = paths.RunPaths(task.run).script(stage).read_text(encoding="utf-8")
        groups.setdefault((shape(script), _array_of(task.after), waiting[task.after or ""]), []).append(task)
        waiting.update([task.after] if task.after else [])
    batches = []
    for (directives, after, _), members in groups.items():
        for start in range(0, len(members), array_max):
            part = members[start : start + array_max]
            numbered = {_number(task, position): task for position, task in enumerate(part)}
            batches.append(Batch(stage, directives, numbered, after))
    return batches


def _array_of(job: str | None) -> str | None:
    return job.split("_")[0] if job else None


def _number(task: Task, position: int) -> int:
    """aftercorr joins tasks of the same number."""
    return int(task.after.split("_")[1]) if task.after and "_" in task.after else position


def command_of(batch: Batch, site: Site, experiment: str, jobs: int | None) -> list[str]:
    """The sbatch command of a batch."""
    name = batch.id or "SUBMISSION"
    throttle = jobs or site.jobs
    command = [
        "sbatch", "--parsable", f"--array={task_ranges(list(batch.tasks))}" + (f"%{throttle}" if throttle else ""),
        f"--job-name=ftexp-{batch.stage}-{experiment}", f"--comment={_comment(batch, experiment)}",
        f"--output={claims.submission_path(name, 'out').with_suffix('')}-%a.out",
    ]
    if batch.after:
        is_array = any(task.after and "_" in task.after for task in batch.tasks.values())
        command += [f"--dependency={'aftercorr' if is_array else 'afterok'}:{batch.after}", "--kill-on-invalid-dep=yes"]
    return [*command, *bad_nodes.exclusion(batch.directives), str(claims.submission_path(name, "sh"))]


def _comment(batch: Batch, experiment: str) -> str:
    """ftexp:<experiment>:<run>:<stage>:<input hash>; of several runs the submission and its list until each task begins."""
    if len(batch.tasks) == 1:
        task = next(iter(batch.tasks.values()))
        return f"ftexp:{experiment}:{task.run}:{batch.stage}:{task.input_hash}"
    return f"ftexp:{experiment}:@{batch.id}:{batch.stage}:{sha256_text(list_text(batch))}"


def list_text(batch: Batch) -> str:
    """The list of a submission: task, run and input hash, parted by tabs, a line each."""
    return "".join(f"{number}\t{task.run}\t{task.input_hash}\n" for number, task in sorted(batch.tasks.items()))


def script_text(batch: Batch, experiment: str) -> str:
    """The script of a batch's array."""
    first = next(iter(batch.tasks.values()))
    return array_script(
        batch.directives, root=Path.cwd(), submission=batch.id, stage=batch.stage, experiment=experiment,
        list_path=claims.submission_path(batch.id, "list"), script=paths.RunPaths(first.run).script(batch.stage).name,
    )


def describe(batch: Batch, site: Site, experiment: str, jobs: int | None) -> str:
    """What would be done, for DRY=1: the command, the array's script, its list, and the first run's script."""
    named = replace(batch, id="DRY")
    first = paths.RunPaths(next(iter(batch.tasks.values())).run).script(batch.stage)
    return "\n".join([
        f"$ {shlex.join(command_of(named, site, experiment, jobs))}", "", f"== {claims.submission_path('DRY', 'sh')}",
        script_text(named, experiment), f"== {claims.submission_path('DRY', 'list')}", list_text(named),
        f"== {first}", first.read_text(encoding="utf-8"),
    ])


def send(batch: Batch, site: Site, experiment: str, jobs: int | None) -> str | None:
    """Claim, submit and record a batch; return its job's id, or None where everything in it was claimed meanwhile.

    Raises:
        LimitReached: If Slurm takes no more of this user's jobs; the claims are given back.
        UserError: If Slurm refuses it, or cannot be reached.
    """
    now = datetime.datetime.now(datetime.UTC)
    batch = replace(batch, id=f"{batch.stage}-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}")
    batch = replace(batch, tasks={number: task for number, task in batch.tasks.items() if _claim(batch, number, task)})
    if not batch.tasks:
        return None
    write_if_changed(claims.submission_path(batch.id, "list"), list_text(batch))
    write_if_changed(claims.submission_path(batch.id, "sh"), script_text(batch, experiment))
    try:
        job_id = _submit(batch, command_of(batch, site, experiment, jobs))
    except slurm.NotReached:
        raise  # the claims stay: Slurm may have taken the job
    except (slurm.LimitReached, UserError) as error:
        for task in batch.tasks.values():
            claims.release(task.run, batch.stage)
        if isinstance(error, UserError) and bad_nodes.read():
            raise UserError(f"{error}\nIts jobs are {bad_nodes.in_words()}.") from error
        raise
    claims.record_job(batch.id, job_id=job_id)
    return job_id


def _claim(batch: Batch, number: int, task: Task) -> bool:
    """Take a run whose former job, if any, has ended."""
    claims.release(task.run, batch.stage)
    return claims.take(task.run, batch.stage, submission=batch.id, task=number, input_hash=task.input_hash)


def _submit(batch: Batch, command: list[str]) -> str:
    """Call sbatch; where it did not answer, or not in words that name a job, first look whether Slurm took the job after all."""
    taken: slurm.NoJobNamed | None = None
    for attempt in range(slurm.SUBMIT_TRIES):
        try:
            if taken is None:
                return slurm.submit(command)
        except slurm.NoJobNamed as error:
            said, taken = str(error), error
        except slurm.NoAnswer as error:
            said = str(error)
        slurm.wait_before_retry(attempt)
        number, task = next(iter(batch.tasks.items()))
        claim = claims.read_claim(task.run, batch.stage)
        queue = SlurmQueue(holds_lock=True)
        found = queue.job_id(claim) if claim else None
        if found:
            return found.removesuffix(f"_{number}")
        if queue.silence and not taken:
            break  # it may have been taken: to try again now could be to submit it twice
    if taken and taken.likely:
        return taken.likely  # where Slurm shows no comments, or has ended it since
    raise slurm.NotReached(f"sbatch: {said}\nNothing is lost: when Slurm answers again, run the same command.")
