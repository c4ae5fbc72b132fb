"""Reproduces the experiment: `dvc repro` on this machine; on a Slurm cluster, where jobs never call dvc, submit eval wait report.

Reads site.yaml. Writes what those stages write.
Command: make repro (python scripts/repro.py)
"""

import subprocess
import sys
from pathlib import Path

from ftexp.ground import paths
from ftexp.ground.errors import run_command
from ftexp.jobs.site import read_site


def main(arguments: list[str]) -> int:
    """Run what DVC, or our own work list, finds changed."""
    paths.require_experiment()
    if read_site(paths.SITE_YAML).backend == "slurm":
        return subprocess.call(["make", "--no-print-directory", "split", "validate", "submit", "eval", "wait", "report"])
    return subprocess.call([str(Path(sys.executable).parent / "dvc"), "repro"])


if __name__ == "__main__":
    run_command(main)
