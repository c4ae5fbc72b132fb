"""Experiments to measure on: so many runs of the demo's words and tiny model, stamped and split, and perhaps finished."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
_LEVELS: dict[str, list[Any]] = {
    "lora_rank": list(range(1, 11)), "lr": [1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3], "optimizer.weight_decay": [0, 0.01, 0.03, 0.1, 0.3],
    "seed": [1, 2, 3, 4],
}
# Levels of each factor: 10 x 1 x 1 x 1, 10 x 5 x 1 x 2, 10 x 5 x 5 x 4.
_COUNTS = {10: (10, 1, 1, 1), 100: (10, 5, 1, 2), 1000: (10, 5, 5, 4)}
_DESIGN = """
experiment: bench
question: How long does everything but training and evaluating take?
data: {{source: words.json, split: {{train: {train}, test: {test}, seed: 0}}, input: input, output: output}}
factors: {factors}
constants: {{model: tiny-instruct, epochs: 2, batch_size: 10, dtype: fp32}}
evaluation: {{scorer: exact, max_tokens: 16, metrics: {metrics}}}
"""
LABELS = ("noun", "verb", "adjective", "other")


@contextmanager
def experiments_folder(*, may_exist: bool = False) -> Iterator[Path]:
    """A temporary folder, or the one that the environment variable KEEP names, which stays, and is new unless it may exist."""
    if "KEEP" in os.environ:
        kept = Path(os.environ["KEEP"]).resolve()
        kept.mkdir(parents=True, exist_ok=may_exist)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="ftexp-") as name:
        yield Path(name)


def bake_experiment(root: Path, runs: int, *, items: int = 250, metrics: Sequence[str] = ()) -> Path:
    """The folder of an experiment of 10, 100 or 1,000 runs and a control with so many test items, as cookiecutter leaves it.

    With metrics beside the scorer's the answers are labels.
    """
    words = json.loads((TEMPLATE / "data/words.json").read_text(encoding="utf-8"))
    words = words[: max(2 * items, 1000)]
    if metrics:
        words = [{**word, "output": LABELS[index % len(LABELS)]} for index, word in enumerate(words)]
    factors = {name: levels[:count] for (name, levels), count in zip(_LEVELS.items(), _COUNTS[runs], strict=True)}
    parts = {"test": items / len(words), "train": 1 - items / len(words)}
    design = _DESIGN.format(factors=json.dumps(factors), metrics=json.dumps(list(metrics)), **parts)
    root.mkdir(parents=True, exist_ok=True)
    (root / "words.json").write_text(json.dumps(words), encoding="utf-8")
    (root / "design.yaml").write_text(design, encoding="utf-8")
    answers = ["experiment_name=bench", f"design={root / 'design.yaml'}"]
    call(root, [str(BIN / "cookiecutter"), str(TEMPLATE), "--no-input", "--default-config", "-o", str(root), *answers])
    folder = root / "bench"
    (folder / "models").symlink_to("data/models")
    call(folder, [str(BIN / "dvc"), "init", "--quiet", "--no-scm"])
    return folder


def make_experiment(root: Path, runs: int, *, items: int = 250, metrics: Sequence[str] = ()) -> Path:
    """The same, stamped and split, nothing trained."""
    folder = bake_experiment(root, runs, items=items, metrics=metrics)
    for verb in ("stamp.py", "split.py"):
        call(folder, [sys.executable, f"scripts/{verb}"])
    return folder


def finish_runs(folder: Path) -> None:
    """Finish every run without training one."""
    call(folder, [sys.executable, str(Path(__file__).parent / "finished_runs.py")])


def environment(folder: Path) -> dict[str, str]:
    """As make sets it; what inspect-ai keeps of itself stays beside the experiment."""
    own = str(folder.parent / "inspect")
    kept = {"XDG_DATA_HOME": own, "XDG_CACHE_HOME": own, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(folder / "scripts")}
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **kept}


def call(folder: Path, command: list[str]) -> str:
    """Run a command to its end, and return what it printed, stdout before stderr."""
    result = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(result.stdout[-2000:] + result.stderr[-2000:])
    return result.stdout + result.stderr
