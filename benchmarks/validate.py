"""Measures `validate` on 1,000 runs, after imports and with them, against `tune validate` called for each.

Reads the template. Writes nothing outside a temporary folder; prints one line per figure. `tune validate` is called on 20 of the
configs, and its time for 1,000 extrapolated.
Command: .venv/bin/python benchmarks/validate.py
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
CALLS = 20
# 10 x 5 x 5 x 4 = 1,000 runs.
FACTORS = (
    "{lora_rank: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], lr: [1e-4, 2e-4, 3e-4, 4e-4, 5e-4], "
    "optimizer.weight_decay: [0, 0.01, 0.03, 0.1, 0.3], seed: [1, 2, 3, 4]}"
)
AFTER_IMPORTS = """
import sys, time
sys.path.insert(0, "scripts")
import torchtune.config, torchtune.datasets, torchtune.models, transformers
import ftexp.checks.preflight, ftexp.evaluation.provider, validate
began = time.perf_counter()
assert validate.main([]) == 0
print(time.perf_counter() - began, file=sys.stderr)
"""


def main() -> None:
    """Print every figure."""
    with tempfile.TemporaryDirectory(prefix="ftexp-") as name:
        folder = make_experiment(Path(name))
        for _ in range(2):
            (folder / "preflight.json").unlink(missing_ok=True)
            began = time.perf_counter()
            said = call(folder, [sys.executable, "-c", AFTER_IMPORTS])
            after = float(said.split()[-1])
            print(f"validate, 1,000 runs: {time.perf_counter() - began:.1f} s, after imports {after:.1f} s (limit 10)")
        began = time.perf_counter()
        for config in sorted(folder.glob("runs/*/finetune.yaml"))[:CALLS]:
            call(folder, [str(BIN / "tune"), "validate", str(config)])
        each = (time.perf_counter() - began) / CALLS
        print(f"tune validate, 1,000 calls, from {CALLS}: {1000 * each:,.0f} s ({each:.1f} s a call)")


def make_experiment(root: Path) -> Path:
    """A thousand runs of the demo's data, stamped and split."""
    answers = ["experiment_name=bench", f"factors={FACTORS}"]
    command = [str(BIN / "cookiecutter"), str(TEMPLATE), "--no-input", "--default-config", "-o", str(root), *answers]
    call(root, command)
    folder = root / "bench"
    (folder / "models").symlink_to("data/models")
    for verb in ("stamp.py", "split.py"):
        call(folder, [sys.executable, f"scripts/{verb}"])
    return folder


def call(folder: Path, command: list[str]) -> str:
    """Run a command to its end, and return what it wrote to stderr."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(folder / "scripts")}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(result.stdout[-2000:] + result.stderr[-2000:])
    return result.stderr


if __name__ == "__main__":
    main()
