"""Measures 1,000 dummy runs on real Slurm daemons: submit, its sbatch calls, status, and Slurm's own answer.

Reads the template. Writes nothing outside a temporary folder; prints one line per figure. Needs what `make test-slurm` needs.
Command: .venv/bin/python benchmarks/slurm.py
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEMPLATE / "tests"))

from slurm_cluster import Cluster, missing_packages  # noqa: E402

BIN = Path(sys.executable).parent
# 10 x 5 x 20 = 1,000 runs.
FACTORS = f"{{lora_rank: {list(range(1, 11))}, lr: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4], seed: {list(range(20))}}}"
SITE = "backend: slurm\ndevice: cpu\ntrain: &asked {time_min: 10, mem_gb: 1, cpus: 1, gpus: 0}\neval: *asked\n"


def main() -> None:
    """Print every figure."""
    if missing_packages():
        sys.exit(f"no {', '.join(missing_packages())} here")
    with tempfile.TemporaryDirectory(prefix="ftexp-") as name, Cluster(Path(name) / "s", nodes=2, cpus_per_node=1) as cluster:
        root = Path(name)
        folder = make_experiment(root)
        environment = {**cluster.environment, "PATH": f"{count_calls(root)}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
        show("stamp, split", timed(folder, environment, "stamp.py", "split.py"))
        show("validate (imports among them)", timed(folder, environment, "validate.py"))
        show("status, nothing submitted, first time", timed(folder, environment, "status.py"))
        show("status, nothing submitted", timed(folder, environment, "status.py"))
        show("submit, 1,000 runs (limit 30 s)", timed(folder, environment, "submit.py"))
        print(f"  sbatch calls (limit 10): {calls(root, 'sbatch')}")
        show("eval, 1,001 evaluations that wait", timed(folder, environment, "evaluate.py"))
        print(f"  sbatch calls: {calls(root, 'sbatch')}")
        for what in ("status, all submitted, first time", "status, all submitted", "status, all submitted"):
            before = calls(root, "squeue")
            show(f"{what} (limit 1 s and Slurm's answer)", timed(folder, environment, "status.py"))
            print(f"  squeue calls: {calls(root, 'squeue') - before}")
        began = time.perf_counter()
        cluster.run("squeue", "--states=all", "--array", "--noheader", "--format=%i|%T|%r|%M|%Z|%k")
        show("Slurm's answer alone", time.perf_counter() - began)
        show("a second submit", timed(folder, environment, "submit.py"))
        show("cancel", timed(folder, environment, "cancel.py"))


def make_experiment(root: Path) -> Path:
    """1,000 runs whose jobs do nothing."""
    (root / "site.yaml").write_text(SITE, encoding="utf-8")
    answers = ["experiment_name=bench", f"factors={FACTORS}", f"site={root / 'site.yaml'}"]
    command = [BIN / "cookiecutter", TEMPLATE, "--no-input", "--default-config", "-o", root, *answers]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    folder = root / "bench"
    (folder / "models").symlink_to("data/models")
    (folder / ".venv").symlink_to(BIN.parent)
    template = folder / "job.slurm.template"
    text = template.read_text(encoding="utf-8").replace("exec .venv/bin/python scripts/execute.py", "exec true")
    template.write_text(text, encoding="utf-8")
    return folder


def count_calls(root: Path) -> Path:
    """Stand-ins that note each call of a program of Slurm's, and call it."""
    folder = root / "counted"
    folder.mkdir()
    for program in ("sbatch", "squeue"):
        path = folder / program
        path.write_text(f'#!/bin/sh\necho call >>{folder}/{program}.calls\nexec {shutil.which(program)} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    return folder


def calls(root: Path, program: str) -> int:
    """How often a program was called."""
    path = root / "counted" / f"{program}.calls"
    return len(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else 0


def timed(folder: Path, environment: dict[str, str], *verbs: str) -> float:
    """Wall seconds of stages of the experiment."""
    began = time.perf_counter()
    for verb in verbs:
        command = [sys.executable, f"scripts/{verb}"]
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            sys.exit(result.stdout[-2000:] + result.stderr[-2000:])
    return time.perf_counter() - began


def show(what: str, seconds: float) -> None:
    """One line."""
    print(f"{what}: {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main()
