"""Measures what is claimed to be fast: stamping by the hook, planning, stamping in the environment, a stamp that changes nothing.

Reads the template. Writes nothing outside a temporary folder; prints one line per figure, the median of three.
Command: make bench (python benchmarks/measure.py)
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
REPEATS = 3
# 10 x 5 x 2 = 100 runs.
FACTORS = "{lora_rank: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], lr: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4], seed: [1, 2]}"


def main() -> None:
    """Print every figure."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        bakes = [seconds(lambda n=n: bake(root / str(n))) for n in range(REPEATS)]
        show("cookiecutter, 100 runs planned by the hook (limit 3 s)", bakes)
        folder = root / "0" / "bench"
        (folder / "models").symlink_to("data/models")
        show("make plan, 100 runs", [seconds(lambda: run(folder, "plan.py")) for _ in range(REPEATS)])
        first_stamps = [seconds(lambda n=n: first_stamp(root / str(n) / "bench")) for n in range(REPEATS)]
        show("make stamp, 100 runs, from nothing", first_stamps)
        show("make stamp, 100 runs, nothing changed", [seconds(lambda: run(folder, "stamp.py")) for _ in range(REPEATS)])


def bake(out: Path) -> None:
    """The command, as a person types it."""
    answers = ["experiment_name=bench", f"factors={FACTORS}"]
    command = [BIN / "cookiecutter", TEMPLATE, "--no-input", "--default-config", "-o", out, *answers]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)


def first_stamp(folder: Path) -> None:
    """Stamp with nothing remembered."""
    if not (folder / "models").is_symlink():
        (folder / "models").symlink_to("data/models")
    (folder / ".scratch/stamp.json").unlink(missing_ok=True)
    run(folder, "stamp.py")


def run(folder: Path, verb: str) -> None:
    """A stage of an experiment."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, f"scripts/{verb}"]
    subprocess.run(command, cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def seconds(action: Callable[[], None]) -> float:
    """Wall time of an action."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def show(what: str, figures: list[float]) -> None:
    """One line: median, least and most."""
    print(f"{what}: {statistics.median(figures):.2f} s ({min(figures):.2f} to {max(figures):.2f})")


if __name__ == "__main__":
    main()
