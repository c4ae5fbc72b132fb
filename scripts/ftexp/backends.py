"""Where the jobs of a stage run: on this machine, or on a Slurm cluster."""

from ftexp import local_backend, paths, slurm_backend, slurm_wait
from ftexp.options import Options
from ftexp.site import read_site


def run_stage(stage: str, options: Options) -> int:
    """Do (local) or submit (slurm) what a stage has to do; return 1 if a run failed or was refused."""
    site = read_site(paths.SITE_YAML)
    if site.backend == "slurm":
        return slurm_backend.submit_stage(stage, site, options)
    return local_backend.run_stage(stage, site, options)


def wait() -> int:
    """Come back when nothing of this experiment is under way any more."""
    site = read_site(paths.SITE_YAML)
    return slurm_wait.wait(site) if site.backend == "slurm" else local_backend.wait()
