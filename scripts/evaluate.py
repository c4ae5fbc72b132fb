"""Evaluates what is trained and not evaluated yet, and the controls.

Reads runs.csv, runs/*/{run.yaml, eval.py, checkpoint/}, preflight.json, the test splits, the base models.
Writes runs/<id>/{eval/*.eval, eval.json, eval.job.json, eval.log}, by each run's eval.slurm.
Command: make eval [JOBS=n] (python scripts/evaluate.py [n])
"""

from ftexp import paths
from ftexp.errors import run_command
from ftexp.work_list import parse_jobs, run_stage


def main(arguments: list[str]) -> int:
    """Evaluate; 1 where a run failed or was refused."""
    paths.require_experiment()
    return run_stage("eval", parse_jobs(arguments))


if __name__ == "__main__":
    run_command(main)
