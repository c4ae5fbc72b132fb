"""Trains what is not done: ready, stale or failed runs whose split and preflight are current and green.

Reads runs.csv, runs/*/{run.yaml, finetune.yaml}, preflight.json, the splits, the base models.
Writes runs/<id>/{checkpoint/, train.csv, train.json, train.job.json, train.log}, by each run's finetune.slurm.
Command: make submit [JOBS=n] (python scripts/submit.py [n])
"""

from ftexp import paths
from ftexp.errors import run_command
from ftexp.work_list import parse_jobs, run_stage


def main(arguments: list[str]) -> int:
    """Train; 1 where a run failed or was refused."""
    paths.require_experiment()
    return run_stage("train", parse_jobs(arguments))


if __name__ == "__main__":
    run_command(main)
