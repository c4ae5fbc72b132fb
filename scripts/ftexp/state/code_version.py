"""The version of our code, as far as it can change a number: a hash of syntax trees, so comments cost nothing.

A part is its roots and whatever of ours they import, wherever in a file; only what is named here with a reason is left out. So
a module that a training comes to import belongs to its version without being entered anywhere.
"""

from collections.abc import Mapping
from pathlib import Path

from ftexp.design.run import Run
from ftexp.design.settings import TORCHTUNE, TRANSFORMERS
from ftexp.ground import source_code
from ftexp.ground.filesystem import sha256_json
from ftexp.ground.memories import FileHashes
from ftexp.trainers.choice import name_of_trainer

_FTEXP = source_code.FTEXP
# The parts that compute a stage's numbers, for whichever trainer; and those of each trainer.
PARTS_OF = {"train": ("training", "training_by_transformers"), "eval": ("evaluation",)}
_PART_OF_TRAINER = {TORCHTUNE: "training", TRANSFORMERS: "training_by_transformers"}
# Folders stand for every module in them.
_ROOTS = {
    "training": ("trainers/torchtune/components", "trainers/torchtune/process.py"),
    "training_by_transformers": ("trainers/transformers/train.py", "trainers/transformers/process.py"),
    "evaluation": (
        "evaluation/provider.py", "evaluation/samples.py", "evaluation/scorer.py", "evaluation/solver.py",
        "evaluation/likelihood_solvers.py", "evaluation/head_solver.py", "evaluation/inspect_task.py",
        "trainers/torchtune/quantized_base.py",
    ),
    "scoring": (
        "scoring/judge.py", "scoring/counts.py", "scoring/options.py", "scoring/run_scores.py", "scoring/judgements.py",
    ),
    "judge": ("scoring/while_training.py",),
    "split": ("data/splits.py", "data/held_out.py"),
    "checks": ("checks", "trainers/torchtune/checks", "trainers/transformers/checks.py"),
}
# What a training or an evaluation imports although it decides no number.
LEFT_OUT = {
    "ground/errors.py": "the words of messages",
    "ground/wording.py": "the words of messages",
    "ground/filesystem.py": "writes, reads and hashes bytes, and changes none",
    "ground/memories.py": "remembers hashes",
    "ground/yamlfile.py": "what a config says is hashed itself",
    "ground/paths.py": "a file in another place is not found, and what is found is hashed",
    "ground/gpus.py": "asks the driver which GPUs there are",
    "ground/torch_device.py": "which device there is, is the machine's",
    "ground/own_code.py": "looks whether the code is what it was",
    "ground/source_code.py": "reads the code for that",
    "ground/own_job.py": "what the site says; device and processes are the machine's",
    "trainers/tracking.py": "Weights & Biases beside train.csv",
    "trainers/tracker.py": "Weights & Biases beside train.csv",
    "trainers/choice.py": "leads to everything of a trainer; what evaluation needs of it is a root",
}
# The checks are hashed alone: what they import is the subject of other parts, or of every command.
_ALONE = ("checks",)


def part_of(run: Run, stage: str) -> str:
    """The part that computes a run's numbers of a stage."""
    return _PART_OF_TRAINER[name_of_trainer(run)] if stage == "train" else PARTS_OF[stage][0]


def code_versions(memory: FileHashes | None = None) -> dict[str, str]:
    """Twelve digits per part: split, training by each trainer, ...: they change when its code does, wherever it lies.

    Args:
        memory: Keeps what was read of each file; parsing them takes 0.2 s.
    """
    return {part: version_of(digests_of(part, memory)) for part in _ROOTS}


def version_of(digests: Mapping[str, str]) -> str:
    """The version of a part, by the digests of its files."""
    return sha256_json(sorted(digests.values()))[:12]


def digests_of(part: str, memory: FileHashes | None = None) -> dict[str, str]:
    """The digest of every file whose code a part's version is of, by its name below ftexp/."""
    return {str(path.relative_to(_FTEXP)): _reading(path, memory)[0] for path in modules_of(part, memory)}


def modules_of(part: str, memory: FileHashes | None = None) -> list[Path]:
    """The files whose code a part's version is of."""
    found: set[Path] = set()
    waiting = [path for root in _ROOTS[part] for path in _python_files(_FTEXP / root)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [] if part in _ALONE else _imported(path, memory)
    return sorted(found)


def _imported(path: Path, memory: FileHashes | None) -> list[Path]:
    """The files of ours that a file imports and that are not left out; not the docstrings that stand for rooms."""
    names = _reading(path, memory)[1]
    files = [_FTEXP.parent / (name.replace(".", "/") + ".py") for name in names]
    return [file for file in files if file.is_file() and str(file.relative_to(_FTEXP)) not in LEFT_OUT]


def _reading(path: Path, memory: FileHashes | None) -> source_code.Reading:
    """A file's digest and what it imports, parsed once as long as the file stays as it is."""
    if memory is not None:
        digest, *names = memory.remembered(f"code:{path}", path, lambda: _in_words(source_code.read_source(path))).split(" ")
        return digest, tuple(names)
    return source_code.read_source(path)


def _in_words(reading: source_code.Reading) -> str:
    return " ".join([reading[0], *reading[1]])


def _python_files(path: Path) -> list[Path]:
    return sorted(path.glob("*.py")) if path.is_dir() else [path]
