"""Can the runs start where site.yaml says? Warnings, because the machine that validates need not be the one that trains."""

from typing import Any

from ftexp.ground.gpus import gpu_ids
from ftexp.jobs.site import Site
from ftexp.trainers.torchtune.recipes import is_distributed, on_one_device


def check_site(run: dict[str, Any], site: Site) -> list[str]:
    """What of the site a run's training cannot use."""
    recipe = run["settings"]["recipe"]
    has_gpu = site.backend != "local" or bool(gpu_ids())
    is_on_cpu = site.device == "cpu" or (site.device == "auto" and not has_gpu)
    if run["kind"] == "trained" and is_distributed(recipe) and is_on_cpu:
        counterpart = on_one_device(recipe)
        what = f"this leaves {recipe} on a CPU, where torchtune 0.6.1 does not start it"
        return [f"site.yaml: device: {what}. Use {counterpart}, or a site with GPUs"]
    if site.device == "cuda" and not has_gpu:
        return ["site.yaml: device: is cuda, and this machine has no GPU. Set auto or cpu, or run where there is one"]
    return []
