"""The template as a person bakes it, by cookiecutter's command, with data and a design of their own."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ftexp.ground import paths
from warm.environment import REAL_ENVIRONMENT

from helpers.experiments import REPOSITORY

COOKIECUTTER = REAL_ENVIRONMENT / "bin" / "cookiecutter"
WORDS = [{"word": f"w{i}", "capital": f"W{i}"} for i in range(40)]
DEMO_RUNS = ["base", *(f"r{rank}_lr{lr}_s{seed}" for rank in (2, 16) for lr in ("1e-4", "3e-3") for seed in (1, 2))]
DESIGN = """\
# Why we do this.
experiment: other     # the old name
question: Does it?    # yes
data: {source: words.jsonl, input: word, output: capital}
factors:
  # two ranks
  lora_rank: [4, 8]
  corpus: {all: {data.source: words.jsonl}, few: {data.source: few.jsonl}}
constants: {model: tiny-instruct, batch_size: 4}
"""


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def names_in_git(folder: str) -> set[str]:
    """Files of a folder of the repository that git holds or would hold, relative to it."""
    command = ["git", "-C", str(REPOSITORY), "ls-files", "--cached", "--others", "--exclude-standard", folder]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name.removeprefix(f"{folder}/") for name in names if (REPOSITORY / name).exists()}


def bake_by_command(template: Path, folder: Path, *answers: str) -> "subprocess.CompletedProcess[str]":
    command = [str(COOKIECUTTER), str(template), "--no-input", "--default-config", "--output-dir", str(folder / "out"), *answers]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@contextlib.contextmanager
def entered_copy(baked: Path, folder: Path) -> Iterator[Path]:
    """A copy of a baked experiment, meanwhile the working folder."""
    shutil.copytree(baked, folder, symlinks=True)
    with contextlib.chdir(folder):
        yield folder


def give_test_files(**words: tuple[int, int]) -> None:
    """Data files of some of the demo's words each, from the first to before the last; `train` is what trains."""
    rows = json.loads(Path("data/raw/words.json").read_text(encoding="utf-8"))
    for name, (first, last) in words.items():
        Path(f"data/raw/{name}.json").write_text(json.dumps(rows[first:last]), encoding="utf-8")
    text = paths.EXPERIMENT_YAML.read_text(encoding="utf-8")
    changed = re.sub(r"  source:.*\n  split:.*\n", "  train: data/raw/train.json\n", text)
    paths.EXPERIMENT_YAML.write_text(changed, encoding="utf-8")


def run_plan(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "scripts/plan.py"], cwd=folder, capture_output=True, text=True, check=False)


def write_words(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in WORDS))
    (folder / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in WORDS[:30]))
