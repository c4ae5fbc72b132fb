"""An experiment of six runs and a control on the stand-ins for Slurm: submitting its stages, and what has become of them."""

import re
from typing import Any

import split as split_stage
import stamp as stamp_stage
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.ground.filesystem import write_json
from ftexp.ground.options import Options
from ftexp.jobs.site import Site, read_site
from ftexp.jobs.slurm.backend import submit_stage
from ftexp.jobs.slurm.queue import SlurmQueue
from ftexp.state.work import Work

from helpers.stamped import set_factors
from helpers.stand_in_slurm import Cluster

SURE = Options(is_sure=True)
SITE = """\
backend: slurm
device: cpu
train: {time_min: 60, mem_gb: 4, cpus: 1, gpus: 1}
eval: {time_min: 30, mem_gb: 4, cpus: 1, gpus: 1}
poll_s: 1
"""
RUNS = [f"lr{lr}" for lr in ("1e-5", "1e-4", "1e-3", "0.01", "0.1", "1")]


def make_ready(factors: str) -> None:
    """Stamp, split and validate an experiment of these factors, one line of YAML, for the stand-ins."""
    set_factors(factors)
    paths.SITE_YAML.write_text(SITE)
    assert stamp_stage.main([]) == 0 and split_stage.main([]) == 0
    validate_runs()


def validate_runs(*names: str) -> None:
    """Write a green preflight of these runs, or of all."""
    work, entries = Work(), {}
    for run in planned_runs():
        digest = work.preflight_hash(run) if not names or run.id in names else "of former inputs"
        entries[run.id] = {"hash": digest, "errors": [], "warnings": []}
    write_json(paths.PREFLIGHT_JSON, {"runs": entries})


def submit(stage: str = "train", options: Options = SURE, **changes: Any) -> int:
    """What `make submit` does, on the site with `changes`; its exit status."""
    site = read_site(paths.SITE_YAML)
    return submit_stage(stage, Site(**{**vars(site), **changes}), options)


def statuses_of(stage: str = "train") -> dict[str, str]:
    """By run, in which status its stage is."""
    work = Work(SlurmQueue())
    return {run.id: work.state(run, stage).status for run in planned_runs() if stage == "eval" or run.kind == "trained"}


def sent_arrays(cluster: Cluster) -> list[str]:
    """The --array of every call of sbatch."""
    return [word for call in cluster.calls("sbatch") for word in call if word.startswith("--array")]


def change_inputs(run: str) -> None:
    """Another learning rate, as `make stamp` would write it."""
    path = paths.RunPaths(run).finetune_yaml
    path.write_text(re.sub(r"(?m)^(  lr: ).*$", r"\g<1>0.123", path.read_text(), count=1))
