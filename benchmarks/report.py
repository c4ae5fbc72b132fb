"""Measures `report` on 1,000 trained runs and a control, each asked 1,000 test items: seconds, peak memory, size of what it leaves.

Reads the template. Writes nothing outside a temporary folder, which KEEP=<new folder> replaces and keeps; prints one line per
figure. One log is written by an evaluation with inspect-ai's mock model; each run has a copy of it with a header and reductions
(all that a report reads of a log) of its own. DVC_ROOT is set, so that nothing is recorded by DVC.
Command: .venv/bin/python benchmarks/report.py
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
REPEATS = 2
ITEMS = 1_000
# 10 x 5 x 5 x 4 = 1,000 runs, of 1,000 / 10 x 2 = 200 steps each.
DESIGN = f"""
experiment: bench
question: Does the report of a thousand runs take less than a minute?
data: {{source: words.json, split: {{train: 0.5, validation: 0, test: 0.5, seed: 0}}, input: input, output: output}}
factors:
  lora_rank: {list(range(1, 11))}
  lr: [1.0e-4, 2.0e-4, 4.0e-4, 8.0e-4, 1.6e-3]
  optimizer.weight_decay: [0.0, 0.01, 0.03, 0.1, 0.3]
  seed: [1, 2, 3, 4]
constants: {{model: tiny-instruct, epochs: 2, batch_size: 10, dtype: fp32}}
evaluation: {{scorer: exact, max_tokens: 16}}
"""
ITEM_SD, ITEM_BY_RUN_SD, RUN_SD = 1.5, 1.0, 0.2  # logits
GAIN_OF_TUNING = 1.0  # logits, and as much again from each factor's first to its last level
OF_LOG = ("header.json", "reductions.json")
OUTPUTS = ("report.html", "results.csv", "effects.csv", "items.parquet", "timings.csv", "figures/*", ".scratch/*.json")


def main() -> None:
    """Print every figure. This process stays small: what a child's peak memory counts begins with its parent's."""
    with experiments_folder() as root:
        folder = make_experiment(root)
        began = time.perf_counter()
        call(folder, [sys.executable, __file__, "fill"])
        logs = list(folder.glob("runs/*/eval/*.eval"))
        print(f"{len(logs):,} logs of {ITEMS:,} items: {gigabytes(logs):.2f} GB, made in {time.perf_counter() - began:.0f} s")
        for _ in range(REPEATS):
            forget(folder)
            show("report, nothing remembered (limit 60 s, 4 GB)", *report(folder))
        for _ in range(REPEATS):
            show("a second report, nothing changed", *report(folder))
        call(folder, [sys.executable, __file__, "effects"], is_shown=True)
        for name in OUTPUTS[:-1]:
            files = list(folder.glob(name))
            print(f"{name}: {1000 * gigabytes(files):.2f} MB" + (f" in {len(files)} files" if len(files) > 1 else ""))


@contextmanager
def experiments_folder() -> Iterator[Path]:
    """A temporary folder, or the one that the environment variable KEEP names, which stays."""
    if "KEEP" in os.environ:
        kept = Path(os.environ["KEEP"]).resolve()
        kept.mkdir(parents=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="ftexp-") as name:
        yield Path(name)


def make_experiment(root: Path) -> Path:
    """The experiment, stamped and split, nothing trained."""
    words = json.loads((TEMPLATE / "data/words.json").read_text(encoding="utf-8"))
    (root / "words.json").write_text(json.dumps(words[: 2 * ITEMS]), encoding="utf-8")
    (root / "design.yaml").write_text(DESIGN, encoding="utf-8")
    answers = ["experiment_name=bench", f"design={root / 'design.yaml'}"]
    call(root, [str(BIN / "cookiecutter"), str(TEMPLATE), "--no-input", "--default-config", "-o", str(root), *answers])
    folder = root / "bench"
    (folder / "models").symlink_to("data/models")
    for verb in ("stamp", "split"):
        call(folder, [sys.executable, f"scripts/{verb}.py"])
    return folder


def forget(folder: Path) -> None:
    """Remove what a report left, and every memory of the stages'."""
    for pattern in OUTPUTS:
        for path in folder.glob(pattern):
            path.unlink()


def environment(folder: Path) -> dict[str, str]:
    """As make sets it; with DVC_ROOT no command records with DVC, and inspect-ai's own traces stay in the folder."""
    traces = str(folder.parent / "traces")
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "DVC_ROOT": str(folder), "XDG_DATA_HOME": traces}


def call(folder: Path, command: list[str], *, is_shown: bool = False) -> None:
    """Run a command to its end; what it prints is shown if asked for, or if it fails."""
    result = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(result.stdout[-2000:] + result.stderr[-2000:])
    if is_shown:
        print(result.stdout, end="", flush=True)


def report(folder: Path) -> tuple[float, float]:
    """Wall seconds and peak memory in GB of one process that reports; its output goes to terminal.txt beside the experiment."""
    terminal = folder.parent / "terminal.txt"
    began = time.perf_counter()
    with terminal.open("wb") as file:
        command = [sys.executable, "scripts/report.py"]
        process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(terminal.read_text(encoding="utf-8")[-2000:])
    return time.perf_counter() - began, usage.ru_maxrss * 1024 / 1e9


def gigabytes(files: list[Path]) -> float:
    """Size of files together."""
    return sum(path.stat().st_size for path in files) / 1e9


def show(what: str, seconds: float, memory: float) -> None:
    """One line."""
    print(f"{what}: {seconds:.1f} s, {memory:.2f} GB", flush=True)


def fill() -> None:
    """Finish every run of the experiment in the working folder, with its own code."""
    import numpy as np
    from ftexp.planning import planned_runs
    from ftexp.splits import read_items
    from ftexp.state import Work

    runs, work, rng = planned_runs(), Work(), np.random.default_rng(0)
    [test_file] = Path("data/splits").glob("*/test.jsonl")
    rows = [(item["item"], item["row"]["input"], item["row"]["output"]) for item in read_items(test_file)]
    if (len(runs), len(rows)) != (1001, ITEMS):
        sys.exit(f"{len(runs)} runs and {len(rows)} items, and not 1,001 and {ITEMS:,}")
    trunk, header = trunk_of(evaluate_with_mock_model(runs[0], test_file))
    difficulties = rng.normal(0, ITEM_SD, ITEMS)
    for run in runs:
        if run["kind"] == "trained":
            finish_training(run, work, rng)
        logits = strength(run) + rng.normal(0, RUN_SD) + difficulties + rng.normal(0, ITEM_BY_RUN_SD, ITEMS)
        is_right = rng.random(ITEMS) < 1 / (1 + np.exp(-logits))
        answers = [(item, target if right else wrong_answer(word, target, rng.integers(4)))
                   for (item, word, target), right in zip(rows, is_right, strict=True)]
        finish_evaluation(run, work, trunk, header, reductions(answers, is_right))


def strength(run: dict[str, Any]) -> float:
    """Logit of a run over the middling items, from its factors' levels; the control's is -1."""
    from ftexp.paths import EXPERIMENT_YAML
    from ftexp.spec import read_experiment

    if run["kind"] == "control":
        return -1.0
    if not LEVELS:
        LEVELS.update({name: [level.label for level in levels] for name, levels in
                       read_experiment(EXPERIMENT_YAML).factors.items() if name != "seed"})
    shares = {name: levels.index(run["levels"][name]) / (len(levels) - 1) for name, levels in LEVELS.items()}
    return -1.0 + GAIN_OF_TUNING


if __name__ == "__main__":
    main()
