"""Splits the data by seed: a test input that also stands in the training rows leaves the training rows.

Reads the data section of every run.yaml and the sources it names.
Writes data/splits/<name>/{train,validation,test}.jsonl and split.json (sizes, removed rows, hashes).
Command: make split (python scripts/split.py)
"""

import json
import sys
from typing import Any

from ftexp.data.splits import PARTS, make_split, split_inputs
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.ground.errors import run_command
from ftexp.ground.events import record_event
from ftexp.ground.filesystem import read_json, sha256_text, write_if_changed, write_json
from ftexp.ground.memories import FileHashes
from ftexp.state.code_version import code_versions
from ftexp.state.run_lock import only_one_make


def main(arguments: list[str]) -> int:
    """Make every split that is missing or stale."""
    paths.require_experiment()
    with only_one_make("split"):
        _make_splits()
    return 0


def _make_splits() -> None:
    hashes = FileHashes(paths.HASHES_JSON)
    code = code_versions()["split"]  # once: what this process has imported, whatever comes to lie on disk
    data_by_split = {run.split: run.data for run in planned_runs()}
    for name, data in data_by_split.items():
        inputs = {**split_inputs(data, hashes), "code": code}
        if not _is_current(name, inputs, hashes):
            _write_split(name, data, inputs)
    hashes.save()


def _is_current(name: str, inputs: dict[str, Any], hashes: FileHashes) -> bool:
    path = paths.split_json(name)
    if not path.is_file():
        return False
    try:
        made = read_json(path)
    except json.JSONDecodeError:
        return False
    files = {part: paths.split_part(name, part) for part in PARTS}
    return made["inputs"] == inputs and all(f.is_file() and hashes.of(f) == made["sha256"][part] for part, f in files.items())


def _write_split(name: str, data: dict[str, Any], inputs: dict[str, Any]) -> None:
    split = make_split(data)
    folder = paths.split_dir(name)
    texts = {part: _json_lines(split.rows[part]) for part in PARTS}
    for part, text in texts.items():
        write_if_changed(folder / f"{part}.jsonl", text)
    sizes = {part: len(split.rows[part]) for part in PARTS}
    write_json(folder / "split.json", {
        "inputs": inputs, "rows": sizes, "removed_because_repeated": split.removed,
        "sha256": {part: sha256_text(text) for part, text in texts.items()},
    })
    removed = sum(split.removed.values())
    outcome = ", ".join(f"{count} {part}" for part, count in sizes.items()) + f" ({removed} repeated inputs removed)"
    print(f"split: {name}: {outcome}", file=sys.stderr)
    record_event(f"split {name}", outcome)


def _json_lines(items: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)


if __name__ == "__main__":
    run_command(main)
