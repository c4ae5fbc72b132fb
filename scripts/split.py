"""Splits the data by seed; what a test holds leaves the training rows, for all tests and prompts of the experiment at once.

Reads the data section of every run.yaml and the sources it names.
Writes data/splits/<name>/{train,validation,test}.jsonl, and beside each of them a .json (sizes, removed rows, hashes).
Command: make split (python scripts/split.py)
"""

import functools
import json
import sys
from typing import Any

from ftexp.data.held_out import Kept, task_inputs, task_items, training_inputs, training_items
from ftexp.data.splits import VALIDATION, Item, Sources, set_inputs, set_name
from ftexp.design.planning import planned_runs
from ftexp.design.trainings import asked_sets, task_sets, training_sets
from ftexp.ground import paths
from ftexp.ground.errors import run_command
from ftexp.ground.events import record_event
from ftexp.ground.filesystem import read_mapping, sha256_text, write_if_changed, write_json
from ftexp.ground.memories import FileHashes
from ftexp.state.code_version import code_versions
from ftexp.state.run_lock import only_one_make


def main(arguments: list[str]) -> int:
    """Make every set of rows that is missing or stale."""
    paths.require_experiment()
    with only_one_make("split"):
        _make_sets()
    return 0


def _make_sets() -> None:
    hashes, sources, runs = FileHashes(paths.HASHES_JSON), Sources(), planned_runs()
    code = code_versions()["split"]  # once: what this process has imported, whatever comes to lie on disk
    for name, half in asked_sets(runs).items():
        inputs = {**set_inputs(half, hashes), "code": code}
        if not _is_current(name, "test", inputs, hashes):
            items = sources.test_items(half)
            _write_set(name, "test", items, {"inputs": inputs})
            _say(name, f"{len(items)} test rows")
    left = functools.cache(lambda name: training_items(sources, trainings[name]))
    trainings = training_sets(runs)
    for name, wanted in trainings.items():
        inputs = {**training_inputs(wanted, hashes), "code": code}
        parts = ("train", VALIDATION) if VALIDATION in wanted.half else ("train",)
        if not all(_is_current(name, part, inputs, hashes) for part in parts):
            kept = left(name)
            if kept.validation:
                _write_set(name, VALIDATION, kept.validation, {"inputs": inputs})
            _write_set(name, "train", kept.items, {"inputs": inputs, "removed": kept.removed})
            validation = f", {len(kept.validation)} to validate by" if kept.validation else ""
            _say(name, f"{len(kept.items)} training rows{validation}{_removed_in_words(kept, 'whose prompt another set has')}")
    for name, task in task_sets(runs).items():
        inputs = {**task_inputs(task, hashes), "code": code}
        if not _is_current(name, "test", inputs, hashes):
            kept = task_items(sources, task, lambda training: left(set_name(training.half)))
            _write_set(name, "test", kept.items, {"inputs": inputs, "removed": kept.removed})
            _say(name, f"{len(kept.items)} test rows{_removed_in_words(kept, 'which are trained on')}")
    hashes.save()


def _is_current(name: str, part: str, inputs: dict[str, Any], hashes: FileHashes) -> bool:
    made, rows = read_mapping(paths.split_json(name, part), ("inputs", "sha256")), paths.split_part(name, part)
    return made is not None and made["inputs"] == inputs and rows.is_file() and hashes.of(rows) == made["sha256"]


def _write_set(name: str, part: str, items: list[Item], facts: dict[str, Any]) -> None:
    text = _json_lines(items)
    write_if_changed(paths.split_part(name, part), text)
    write_json(paths.split_json(name, part), {**facts, "rows": len(items), "sha256": sha256_text(text)})


def _json_lines(items: list[Item]) -> str:
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)


def _removed_in_words(kept: Kept, why: str) -> str:
    """How many rows were left out, and for which other set; nothing where none was."""
    if not kept.removed:
        return ""
    tests = ", ".join(f"{count} of {test}" for test, count in kept.removed.items())
    return f" ({sum(kept.removed.values())} removed, {why}: {tests})"


def _say(name: str, outcome: str) -> None:
    print(f"split: {name}: {outcome}", file=sys.stderr)
    record_event(f"split {name}", outcome)


if __name__ == "__main__":
    run_command(main)
