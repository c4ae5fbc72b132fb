"""Measures what a million short rows cost before anything is trained: seconds and memory of plan, stamp, split and validate.

Reads the template. Writes nothing outside a temporary folder, which KEEP=<new folder> replaces and keeps; prints a table.
Command: .venv/bin/python benchmarks/million_rows.py [1000000]
"""

import json
import os
import sys
import time
from pathlib import Path

from experiments import BIN, TEMPLATE, call, experiments_folder

STAGES = ("plan", "stamp", "split", "validate")
# Of `validate`, for a million rows.
MOST_SECONDS, MOST_GIGABYTES = 300, 2.0


def main(arguments: list[str]) -> None:
    """Print wall seconds, CPU seconds and peak memory of every stage."""
    count = int(arguments[0]) if arguments else 1_000_000
    with experiments_folder() as root:
        folder = make_experiment(root, count)
        print(f"| {count:,} rows | seconds | CPU seconds | GB at most |\n|---|--:|--:|--:|")
        for stage in STAGES:
            seconds, cpu, gigabytes = measure(folder, stage)
            print(f"| {stage} | {seconds:.0f} | {cpu:.0f} | {gigabytes:.2f} |", flush=True)
    print(f"\nlimits of validate: {MOST_SECONDS} s and {MOST_GIGABYTES} GB")


def make_experiment(root: Path, count: int) -> Path:
    """An experiment of one run on so many rows of a word each."""
    with (root / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps({"input": f"word{number}", "output": f"WORD{number}"}) + "\n")
    answers = ["experiment_name=many", f"data={root / 'rows.jsonl'}", "factors={seed: [1]}"]
    call(root, [str(BIN / "cookiecutter"), str(TEMPLATE), "--no-input", "--default-config", "-o", str(root), *answers])
    folder = root / "many"
    (folder / "models").symlink_to("data/models")
    (folder / ".venv").symlink_to(BIN.parent)
    return folder


def measure(folder: Path, stage: str) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and gigabytes (1e9 bytes) at most of one stage; what it says goes to stderr."""
    began = time.perf_counter()
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", _CHILD, str(folder), f"scripts/{stage}.py"], dict(os.environ))
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{stage} ended with status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9


_CHILD = "import os, sys; os.chdir(sys.argv[1]); os.dup2(2, 1); os.execv(sys.executable, [sys.executable, sys.argv[2]])"


if __name__ == "__main__":
    main(sys.argv[1:])
