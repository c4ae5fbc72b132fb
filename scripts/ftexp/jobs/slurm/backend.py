"""The Slurm backend: submits what a stage has to do, each thing once, and waits for it. Nothing of ours stays resident."""

import sys
from dataclasses import dataclass, field

from ftexp.design.planning import planned_runs
from ftexp.design.run import Run
from ftexp.ground.errors import UserError
from ftexp.ground.events import record_event
from ftexp.ground.options import Options, confirm
from ftexp.ground.wording import first_of
from ftexp.jobs.resources import Resources
from ftexp.jobs.site import Site
from ftexp.jobs.slurm import bad_nodes, claims, deferred
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.slurm.queue import SlurmQueue
from ftexp.jobs.slurm.submission import Batch, Task, describe, make_batches, send
from ftexp.jobs.work_list import WorkList, announce, meant, work_list
from ftexp.models.config_json import model_parameters
from ftexp.state.row_sets import Missing
from ftexp.state.status_words import UNDER_WAY
from ftexp.state.work import Work

LATER = "its training is to be submitted first"


@dataclass
class Plan:
    """What a call submits.

    Attributes:
        tasks: To be submitted now.
        deferred: Runs that follow with the next call or under `make wait`, by reason.
        outdated: Ids of jobs that wait in the queue for inputs that have changed, and would refuse to begin.
        held: Ids of jobs that could not start, and that Slurm holds back.
    """

    tasks: list[Task] = field(default_factory=list)
    deferred: dict[str, str] = field(default_factory=dict)
    outdated: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)


def submit_stage(stage: str, site: Site, options: Options) -> int:
    """Submit what is not done and not under way; return 1 if a run was refused, or the person said no."""
    runs = planned_runs()
    with claims.submission_lock():
        work = Work(_answering_queue(), is_forced=options.is_forced)
        listed = work_list(work, runs, stage, options)
        work.hashes.save()
        plan = make_plan(work, runs, listed, stage)
        _respect_cap(plan, site, work)
        announce(listed, stage)
        batches = make_batches(plan.tasks, stage, site.array_max)
        _say_cost(plan, batches, stage, site, runs)
        if options.is_dry:
            print("\n".join(describe(batch, site, runs[0].experiment, options.jobs) for batch in batches))
            return 0
        if batches and not confirm("Submit?", options):
            print("nothing was submitted", file=sys.stderr)
            return 1
        slurm.cancel([*plan.outdated, *plan.held])
        _send_all(batches, plan, stage, site, options, runs[0].experiment)
        deferred.replace(stage, {run.id for run in meant(runs, stage, options)}, list(plan.deferred))
    return 1 if listed.refused else 0


def _answering_queue() -> SlurmQueue:
    """Slurm's queue.

    Raises:
        NotReached: If Slurm does not answer: whoever submits without knowing would submit twice.
    """
    queue = SlurmQueue(holds_lock=True)
    if not queue.answers:
        why = "Nothing was submitted, because what is in the queue is not known. Try again later."
        raise slurm.NotReached(f"{queue.silence}\n{why}")
    return queue


def make_plan(work: Work, runs: list[Run], listed: WorkList, stage: str) -> Plan:
    """Tasks of what is to do; an evaluation waits for its own training's job where that is under way."""
    plan = Plan()
    by_id = {run.id: run for run in runs}
    for name in listed.to_do:
        plan.tasks.append(Task(name, work.submission_hash(by_id[name], stage)))
    states = [work.state(by_id[name], stage) for name in listed.to_do]
    plan.held += [state.job for state in states if state.is_held]
    bad_nodes.remember(states)
    for name, _ in list(listed.under_way):
        _plan_outdated(plan, work, by_id[name], listed, stage)
    for name, why in list(listed.waiting) if stage == "eval" else ():
        _plan_after_training(plan, work, by_id[name], (name, why), listed)
    return plan


def _is_outdated(work: Work, run: Run, stage: str) -> bool:
    """Whether the job that is under way was submitted for other inputs than the present ones."""
    claim = claims.read_claim(run.id, stage)
    try:
        return claim is not None and claim.input_hash != work.submission_hash(run, stage)
    except Missing:
        return False


def _plan_outdated(plan: Plan, work: Work, run: Run, listed: WorkList, stage: str) -> None:
    """A job of former inputs: one that only waits is replaced, one that runs is let run, and followed by another."""
    name, state = run.id, work.state(run, stage)
    if not state.job or not _is_outdated(work, run, stage):
        return
    listed.under_way = [pair for pair in listed.under_way if pair[0] != name]
    if refusal := work.refusal(run):
        listed.refused.append((name, refusal))
        listed.can_force = True
        return
    is_trained = stage == "train" or run.is_control or work.state(run, "train").status == "done"
    if not is_trained and _training_job(work, run) is None:
        plan.outdated += [state.job] if state.status == "submitted" else []
        plan.deferred[name] = LATER
    elif state.status == "submitted":
        plan.outdated.append(state.job)
        plan.tasks.append(Task(name, work.submission_hash(run, stage), _training_job(work, run) if stage == "eval" else None))
    else:
        plan.deferred[name] = f"job {state.job} runs, for inputs that have changed since; follows when it has ended"


def _training_job(work: Work, run: Run) -> str | None:
    """The job that trains now what a run is evaluated on, for its present inputs."""
    if run.is_control:
        return None
    training = work.state(run, "train")
    is_current = training.status in UNDER_WAY and not _is_outdated(work, work.training_of(run), "train")
    return training.job or None if is_current else None


def _plan_after_training(plan: Plan, work: Work, run: Run, pair: tuple[str, str], listed: WorkList) -> None:
    """An evaluation whose training is not over follows it: by a dependency on its job, or after it in the next call."""
    name, job = run.id, _training_job(work, run)
    if run.training in deferred.read()["train"]:
        plan.deferred[name] = LATER
        listed.waiting.remove(pair)
    elif job and not work.refusal(run):
        plan.tasks.append(Task(name, work.submission_hash(run, "eval"), job))
        listed.to_do.append(name)
        listed.waiting.remove(pair)


def _respect_cap(plan: Plan, site: Site, work: Work) -> None:
    """Leave for later what the site's cap has no room for."""
    if site.submit_cap is None:
        return
    assert work.queue is not None
    room = max(0, site.submit_cap - work.queue.active_count + len(plan.outdated) + len(plan.held))
    for task in plan.tasks[room:]:
        plan.deferred[task.run] = f"submit_cap is {site.submit_cap}"
    plan.tasks = plan.tasks[:room]


def _say_cost(plan: Plan, batches: list[Batch], stage: str, site: Site, runs: list[Run]) -> None:
    """How many jobs and GPU hours are asked for."""
    models = {run.id: run.settings["model"] for run in runs}
    asked = [site.resources(stage, model_parameters(models[task.run])) for task in plan.tasks]
    hours = sum(_gpu_hours(resources) for resources in asked)
    if plan.tasks:
        arrays = f"{len(batches)} array{'s' if len(batches) > 1 else ''}"
        cost = f"at most {hours:.1f} GPU hours (walltime x GPUs x jobs)"
        jobs = f"{len(plan.tasks)} job{'s' if len(plan.tasks) > 1 else ''}"
        print(f"{stage}: {jobs} in {arrays}, {cost}", file=sys.stderr)
    if plan.tasks and bad_nodes.read():
        print(f"{stage}: {bad_nodes.in_words()}", file=sys.stderr)
    if plan.outdated:
        print(f"{stage}: {len(plan.outdated)} jobs wait for inputs that have changed, and are replaced", file=sys.stderr)
    for reason in dict.fromkeys(plan.deferred.values()):
        names = [name for name, why in plan.deferred.items() if why == reason]
        print(f"{stage}: {len(names)} later ({reason}), by the next call or `make wait`: {first_of(names, 3)}", file=sys.stderr)


def _gpu_hours(asked: Resources) -> float:
    return asked.time_min / 60 * asked.gpus


def _send_all(batches: list[Batch], plan: Plan, stage: str, site: Site, options: Options, experiment: str) -> None:
    """Send every batch, in halves where Slurm's limit is met; what does not go in is deferred.

    Raises:
        UserError: If Slurm takes not even one, and has none of this user's.
    """
    unsent, sent = list(batches), 0
    while unsent:
        batch = unsent.pop(0)
        try:
            job_id = send(batch, site, experiment, options.jobs)
        except slurm.LimitReached as limit:
            if len(batch.tasks) > 1:
                unsent = [*batch.halves(), *unsent]
                continue
            if not sent and not _answering_queue().active_count:
                cure = "Slurm refuses even one job. Correct site.yaml: time_min, qos, account."
                raise UserError(f"sbatch: {limit}\n{cure}") from limit
            late = [task.run for rest in (batch, *unsent) for task in rest.tasks.values()]
            print(f"{stage}: {len(late)} later, by the next call or `make wait`: Slurm says: {limit}", file=sys.stderr)
            plan.deferred |= dict.fromkeys(late, "Slurm's limit")
            return
        if job_id is not None:
            sent += len(batch.tasks)
            print(f"{stage}: job {job_id}: {len(batch.tasks)} tasks", file=sys.stderr, flush=True)
            record_event(f"submit {stage}", f"job {job_id}, {len(batch.tasks)} tasks")
