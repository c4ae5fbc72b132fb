"""Evaluates what is trained and not evaluated yet, and the controls; on Slurm, after each run's own training.

Reads runs.csv, runs/*/{run.yaml, eval.py, checkpoint/}, site.yaml, preflight.json, the test splits, the base models.
Writes runs/<id>/{eval/*.eval, eval.json, eval.job.json, eval.log}, by each run's eval.slurm.
Command: make eval [ONLY='<patterns>'] [DRY=1] [YES=1] [FORCE=1] [JOBS=n] (python scripts/evaluate.py, these in the environment)
"""

from ftexp.ground import paths
from ftexp.ground.errors import run_command
from ftexp.ground.options import read_options
from ftexp.jobs.backends import run_stage


def main(arguments: list[str]) -> int:
    """Evaluate; 1 where a run failed or was refused."""
    paths.require_experiment()
    return run_stage("eval", read_options())


if __name__ == "__main__":
    run_command(main)
