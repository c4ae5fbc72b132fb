"""Cancels this experiment's jobs, and no others, in Slurm; a cancelled run is ready again.

Reads site.yaml, .scratch/submissions/, and asks Slurm. Writes .scratch/deferred.json: what was left for later is forgotten.
Command: make cancel [ONLY='<patterns>'] [YES=1] (python scripts/cancel.py)
"""

import sys

from ftexp.design.planning import planned_runs
from ftexp.design.run import STAGES
from ftexp.ground import paths
from ftexp.ground.errors import UserError, run_command
from ftexp.ground.options import confirm, read_options
from ftexp.jobs.site import read_site
from ftexp.jobs.slurm import claims, deferred
from ftexp.jobs.slurm import commands as slurm
from ftexp.jobs.slurm.queue import queue_of


def main(arguments: list[str]) -> int:
    """Cancel what is under way, and forget what was left for later; 1 where the person says no."""
    paths.require_experiment()
    options, queue = read_options(), queue_of(read_site(paths.SITE_YAML))
    if queue is None:
        raise UserError("site.yaml: backend: is local, and nothing was given to Slurm. Stop `make submit` by Ctrl-C.")
    listed = {} if options.only is None else _runs_by_job()
    jobs = queue.own_jobs()
    if not queue.answers:
        raise slurm.NotReached(f"{queue.silence}\nNothing was cancelled. Try again later.")
    runs = {job.id: "" if options.only is None else _run_of(job, listed) for job in jobs}
    waiting = [run for names in deferred.read().values() for run in names]
    options.require_picked(sorted({*(run.id for run in planned_runs()), *runs.values(), *waiting}))
    ours = [job for job in jobs if options.only is None or options.picks(runs[job.id])]
    later = [run for run in waiting if options.picks(run)]
    running = sum(job.state in slurm.AT_WORK for job in ours)
    print(f"cancel: {len(ours)} jobs, {running} of them running; {len(later)} left for later", file=sys.stderr)
    if (ours or later) and not confirm("Cancel them?", options):
        print("nothing was cancelled", file=sys.stderr)
        return 1
    for stage in STAGES:
        deferred.replace(stage, set(later), [])
    slurm.cancel([job.id for job in ours])
    return 0


def _runs_by_job() -> dict[str, str]:
    """The run of every job that was submitted, by the lists of the submissions."""
    runs = {}
    for path in paths.SUBMISSIONS_DIR.glob("*.list"):
        job = claims.job_id_of(path.stem)
        for line in path.read_text(encoding="utf-8").splitlines():
            task, run, _ = line.split("\t")
            runs[f"{job}_{task}"] = run
    return runs


def _run_of(job: slurm.Job, listed: dict[str, str]) -> str:
    """The run that a job is about, by the list of its submission, or by its comment where no list knows it."""
    if job.id in listed:
        return listed[job.id]
    named = job.comment.split(":")[2]
    if named.startswith("@"):
        raise UserError(f"{paths.SUBMISSIONS_DIR}: does not say which run job {job.id} does. Cancel without ONLY, or by scancel.")
    return named


if __name__ == "__main__":
    run_command(main)
