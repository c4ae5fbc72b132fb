"""Where the jobs of a stage run: on this machine, or on a Slurm cluster."""

import sys

from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.ground.options import Options
from ftexp.jobs import local_backend
from ftexp.jobs.dot_env import read_secrets
from ftexp.jobs.site import read_site
from ftexp.jobs.slurm import backend as slurm_backend
from ftexp.jobs.slurm import wait as slurm_wait
from ftexp.jobs.slurm.queue import queue_of
from ftexp.state.work import Work


def work_here() -> Work:
    """The state of the experiment's runs, with Slurm's queue where site.yaml names it."""
    return Work(queue_of(read_site(paths.SITE_YAML)))


def run_stage(stage: str, options: Options) -> int:
    """Do (local) or submit (slurm) what a stage has to do; return 1 if a run failed or was refused."""
    site = read_site(paths.SITE_YAML)
    read_secrets()  # every job would stop at a mistake in them
    if site.backend == "slurm":
        return slurm_backend.submit_stage(stage, site, options)
    return local_backend.run_stage(stage, site, options)


def wait() -> int:
    """Come back when nothing of this experiment is under way any more; return 1, and say which, where runs failed."""
    site = read_site(paths.SITE_YAML)
    code = slurm_wait.wait(site) if site.backend == "slurm" else local_backend.wait()
    work = Work(queue_of(site))
    for run in planned_runs():
        for stage in run.stages:
            state = work.state(run, stage)
            if state.status == "failed":
                code = 1
                print(f"runs/{run.id}: {stage} failed: {state.reason}", file=sys.stderr)
    work.hashes.save()
    return code
