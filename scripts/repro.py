"""Reproduces the experiment: split, validate, `dvc repro`; on a Slurm cluster, where jobs never call dvc, `make all`.

Reads site.yaml. Writes what those stages write.
Command: make repro [YES=1] (python scripts/repro.py)
"""

import os
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
        # Not with the options of the make around this: what it says of its own jobs is not for another.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        return subprocess.call(["make", "--no-print-directory", "all"], env=environment)
    for script in ("split", "validate"):
        code = subprocess.call([sys.executable, str(Path(__file__).with_name(f"{script}.py"))])
        if code != 0:
            return code
    return subprocess.call([str(Path(sys.executable).parent / "dvc"), "repro"])


if __name__ == "__main__":
    run_command(main)
