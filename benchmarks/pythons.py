"""Makes the environment from the lock, and runs the demo, on each Python that is named; says whether the same comes out.

Reads the template. Writes nothing outside a temporary folder, which KEEP=<new folder> replaces and keeps; prints a table. Needs
the package index, and up to 6 GB of disk a Python.
Command: .venv/bin/python benchmarks/pythons.py PYTHON ... (programs, such as python3.12)
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from experiments import TEMPLATE, experiments_folder

LOCK = TEMPLATE / "{{cookiecutter.experiment_name}}/requirements.txt"
ABOUT = "import importlib.metadata as m, platform as p; print(p.python_version(), m.version('torch'), len([*m.distributions()]))"


def main(pythons: list[str]) -> None:
    """Print a row for each Python, and end with status 1 where two differ."""
    found = set()
    with experiments_folder() as root:
        print("| Python | torch | packages | setup, seconds | demo, seconds | what came out |\n|---|---|--:|--:|--:|---|")
        for number, python in enumerate(pythons):
            place = root / str(number)
            place.mkdir()
            shutil.copy(LOCK, place)
            setup_s = seconds(place, [python, "-B", str(TEMPLATE / "scripts/set_up.py"), "--only-environment", LOCK.name])
            own = place / ".venv/bin"
            seconds(place, [str(own / "cookiecutter"), str(TEMPLATE), "--no-input", "--default-config", "--output-dir", "."])
            demo = place / "capitalization"
            seconds(demo, ["make", "setup", f"VENV={own.parent}"])
            demo_s = seconds(demo, ["make", "all", "YES=1"])
            about = subprocess.check_output([str(own / "python"), "-c", ABOUT], text=True).split()
            found.add(digest(demo))
            print(f"| {' | '.join(about)} | {setup_s:.0f} | {demo_s:.0f} | {digest(demo)} |", flush=True)
    sys.exit(len(found) != 1)


def digest(demo: Path) -> str:
    """A short hash of the tables and of every adapter."""
    files = [demo / "results.csv", demo / "effects.csv", *sorted(demo.glob("runs/*/checkpoint/*.safetensors"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def seconds(folder: Path, command: list[str]) -> float:
    """Run a command to its end; how long it took."""
    began = time.perf_counter()
    environment = {**os.environ, "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return time.perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1:])
