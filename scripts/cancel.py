"""Cancels this experiment's jobs, and no others, in Slurm; a cancelled run is ready again.

Reads site.yaml, .scratch/submissions/, and asks Slurm. Writes nothing.
Command: make cancel [ONLY=<pattern>] [YES=1] (python scripts/cancel.py)
"""

import sys

from ftexp import claims, paths, slurm
from ftexp.errors import UserError, run_command
from ftexp.options import Options, confirm, read_options
from ftexp.site import read_site
from ftexp.slurm_queue import SlurmQueue


def main(arguments: list[str]) -> int:
    """Cancel what is under way; 1 where the person says no."""
    paths.require_experiment()
    if read_site(paths.SITE_YAML).backend != "slurm":
        raise UserError("site.yaml: backend: is local, so there are no jobs to cancel. Stop `make submit` by Ctrl-C.")
    options, queue = read_options(), SlurmQueue()
    ours = _ours(queue, options)
    if queue.silence:
        raise slurm.NotReached(f"{queue.silence}\nNothing was cancelled. Try again later.")
    running = sum(job.state in slurm.AT_WORK for job in ours)
    print(f"cancel: {len(ours)} jobs, {running} of them running", file=sys.stderr)
    if ours and not confirm("Cancel them?", options):
        print("nothing was cancelled", file=sys.stderr)
        return 1
    slurm.cancel([job.id for job in ours])
    return 0


def _ours(queue: SlurmQueue, options: Options) -> list[slurm.Job]:
    """Active jobs that this experiment submitted, of picked runs."""
    return [job for job in queue.own_jobs() if options.only is None or options.picks(_run_of(job))]


def _run_of(job: slurm.Job) -> str:
    """The run that a job is about: its comment names it, or the list of its submission does."""
    named = job.comment.split(":")[2]
    if not named.startswith("@"):
        return named
    listed = claims.submission_path(named[1:], "list")
    if not listed.is_file():
        raise UserError(f"{listed}: is gone, so which run job {job.id} does is not known. Cancel without ONLY, or by scancel.")
    lines = listed.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t")[:2] for line in lines)[job.id.split("_")[1]]


if __name__ == "__main__":
    run_command(main)
