"""Trains what is not done, or submits it to Slurm: ready, stale or failed runs whose split and preflight are current and green.

Reads runs.csv, runs/*/{run.yaml, finetune.yaml}, site.yaml, preflight.json, the splits, the base models.
Writes runs/<id>/{checkpoint/, train.csv, train.json, train.job.json, train.log}, by each run's finetune.slurm.
Command: make submit [ONLY='<patterns>'] [DRY=1] [YES=1] [FORCE=1] [JOBS=n] (python scripts/submit.py, these in the environment)
"""

from ftexp.ground import paths
from ftexp.ground.errors import run_command
from ftexp.ground.options import read_options
from ftexp.jobs.backends import run_stage


def main(arguments: list[str]) -> int:
    """Train; 1 where a run failed or was refused."""
    paths.require_experiment()
    return run_stage("train", read_options())


if __name__ == "__main__":
    run_command(main)
