"""Can the runs start where site.yaml says? Warnings, because the machine that validates need not be the one that trains."""

from collections.abc import Mapping

from ftexp.design.run import Run
from ftexp.ground.gpus import gpu_ids
from ftexp.jobs.site import Site
from ftexp.trainers.choice import trainer_of
from ftexp.trainers.tracking import missing_key


def check_site(run: Run, site: Site) -> list[str]:
    """What of the site a run's training cannot use."""
    has_gpu = site.backend != "local" or bool(gpu_ids())
    is_on_cpu = site.device == "cpu" or (site.device == "auto" and not has_gpu)
    objection = trainer_of(run).objection_to_cpu(run.settings) if run.kind == "trained" else None
    if objection and is_on_cpu:
        return [f"site.yaml: device: {objection}"]
    if site.device == "cuda" and not has_gpu:
        return ["site.yaml: device: is cuda, and this machine has no GPU. Set auto or cpu, or run where there is one"]
    return []


def check_tracking(site: Site, environment: Mapping[str, str]) -> list[str]:
    """The key to Weights & Biases is known, as a warning: jobs may run elsewhere."""
    missing = missing_key(environment) if site.wandb_project and not site.offline else None
    return [missing] if missing else []
