"""Measures `validate` on 1,000 runs, after imports and with them, against `tune validate` called for each.

Reads the template. Writes nothing outside a temporary folder; prints one line per figure. `tune validate` is called on 20 of the
configs, and its time for 1,000 extrapolated.
Command: .venv/bin/python benchmarks/validate.py
"""

import sys
import time

from experiments import BIN, call, experiments_folder, make_experiment

CALLS = 20
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
    with experiments_folder() as root:
        folder = make_experiment(root, 1000)
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


if __name__ == "__main__":
    main()
