"""Splits: which rows train, which validate, which test. A function of the data section alone.

`seed` of a run never reaches here: the split, and the order from which `train_size` takes the first n rows,
are the same for every run with the same data section.
"""

import random
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftexp.data.cell_text import Row, cell_text, columns_of, where
from ftexp.data.conversations import answer_text, input_text
from ftexp.data.tables import load_rows
from ftexp.ground.errors import UserError, one_line
from ftexp.ground.filesystem import sha256_json
from ftexp.ground.memories import FileHashes

PARTS = ("train", "validation", "test")
DEFAULT_SPLIT = {"train": 0.8, "validation": 0.1, "test": 0.1, "seed": 0, "stratify": None, "group": None}


@dataclass(frozen=True)
class Split:
    """Rows of each part in the split's order, and what was removed.

    Attributes:
        rows: Per part a list of `{"item": <id>, "row": <columns>}`.
        removed: Per part, how many rows went because their input stands in a later part (validation, test).
    """

    rows: dict[str, list[dict[str, Any]]]
    removed: dict[str, int]


def split_name(data: dict[str, Any]) -> str:
    """Name of a split's folder: the source's stem and eight digits of the data section's hash."""
    stem = Path(data["source"] or data["train"] or data["test"]).stem
    return f"{re.sub(r'[^A-Za-z0-9.-]', '-', stem)}-{sha256_json(data)[:8]}"


def source_paths(data: dict[str, Any]) -> list[Path]:
    """The files that a split is made from."""
    return [Path(data[key]) for key in ("source", *PARTS) if data[key]]


def make_split(data: dict[str, Any]) -> Split:
    """Read the sources and split them.

    Raises:
        UserError: If a file, a column or a part is missing or unusable.
    """
    parts = _assign(data)
    order = random.Random(_split_settings(data)["seed"])
    if not _is_split_here(data):
        order.shuffle(parts["train"])
    removed = _remove_repeated_inputs(parts, data["input"])
    for part in ("train", "test") if data["source"] or data["train"] else ("test",):  # a control may have a test file only
        if not parts[part]:
            raise UserError(f"experiment.yaml: data: no row is left for {part}. Give more rows, or a larger share.")
    return Split({part: _with_ids(parts[part]) for part in PARTS}, removed)


def _split_settings(data: dict[str, Any]) -> dict[str, Any]:
    return data["split"] or DEFAULT_SPLIT


def _is_split_here(data: dict[str, Any]) -> bool:
    return bool(data["source"]) and not isinstance(load_rows(Path(data["source"])), dict)


def _assign(data: dict[str, Any]) -> dict[str, list[Row]]:
    """Rows per part, in order, duplicates still in."""
    if not data["source"]:
        given = {part: _plain_rows(Path(data[part])) if data[part] else [] for part in PARTS}
        return {part: _checked(data, rows) for part, rows in given.items()}
    content = load_rows(Path(data["source"]))
    if not content:
        raise UserError(f"{data['source']}: has no rows. Put the data there, or correct the data section of experiment.yaml.")
    if isinstance(content, dict):
        if data["split"]:
            raise UserError(
                f"experiment.yaml: data.split: {data['source']} is split already ({', '.join(content)}). Remove data.split."
            )
        return {part: _checked(data, list(content.get(part, []))) for part in PARTS}
    return _divide(_checked(data, content), _split_settings(data))


def _plain_rows(path: Path) -> list[Row]:
    rows = load_rows(path)
    if isinstance(rows, dict):
        raise UserError(f"{path}: holds several parts. Name it as data.source, or name files of plain rows.")
    return list(rows)


def _divide(rows: list[Row], split: dict[str, Any]) -> dict[str, list[Row]]:
    order = random.Random(split["seed"])
    parts: dict[str, list[Row]] = {part: [] for part in PARTS}
    for units in _strata(rows, split):
        order.shuffle(units)
        for part, chosen in zip(("test", "validation", "train"), _cut(units, split), strict=True):
            parts[part] += [row for unit in chosen for row in unit]
    if split["stratify"]:
        for part in PARTS:
            order.shuffle(parts[part])
    return parts


def _strata(rows: list[Row], split: dict[str, Any]) -> list[list[list[Row]]]:
    """Strata of units of rows; the units are what is shuffled and never cut (a group, else a row)."""
    column = split["stratify"] or split["group"]
    if column is None:
        return [[[row] for row in rows]]
    gathered: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if column not in row:
            what = f"has no column '{one_line(column)}', which data.split names"
            raise UserError(f"{where(row)}: {what}. {columns_of(row, column)}")
        gathered[cell_text(row, column)].append(row)
    if split["stratify"]:
        return [[[row] for row in stratum] for stratum in gathered.values()]
    return [list(gathered.values())]


def _cut(units: list[list[Row]], split: dict[str, Any]) -> list[list[list[Row]]]:
    """Units for test, validation and train, by their number of rows."""
    total = sum(len(unit) for unit in units)
    ends = [round(total * split["test"]), round(total * (split["test"] + split["validation"]))]
    chosen: list[list[list[Row]]] = [[], [], []]
    seen = 0
    for unit in units:
        part = 0 if seen < ends[0] else 1 if seen < ends[1] else 2
        chosen[part].append(unit)
        seen += len(unit)
    return chosen


def _checked(data: dict[str, Any], rows: list[Row]) -> list[Row]:
    """The rows of a file, or of one part of it, if each has an input and an output."""
    for row in rows:
        for key in ("input", "output"):
            column = data[key]
            if column not in row:
                what = f"has no column '{one_line(column)}', which experiment.yaml names as data.{key}"
                raise UserError(f"{where(row)}: {what}. {columns_of(row, column)}")
        input_text(row, data["input"])
        text = answer_text(row, data["input"], data["output"])
        if not text.strip():
            what = f"column '{one_line(data['output'])}' is empty, got {one_line(repr(text))}"
            raise UserError(f"{where(row)}: {what}. Fill it or remove the row.")
    return rows


def _remove_repeated_inputs(parts: dict[str, list[Row]], column: str) -> dict[str, int]:
    """Remove from train what validation or test has, and from validation what test has; the test copy stays."""
    removed = {}
    taken: set[str] = set()
    for part in ("test", "validation", "train"):
        kept = [row for row in parts[part] if input_text(row, column) not in taken]
        removed[part] = len(parts[part]) - len(kept)
        parts[part] = kept
        taken |= {input_text(row, column) for row in kept}
    return removed


def _with_ids(rows: list[Row]) -> list[dict[str, Any]]:
    """Each row with its item id: twelve digits of the raw row's hash, and `-2` for its second copy."""
    seen: dict[str, int] = defaultdict(int)
    items = []
    for row in rows:
        digest = sha256_json(row)[:12]
        seen[digest] += 1
        items.append({"item": digest if seen[digest] == 1 else f"{digest}-{seen[digest]}", "row": row})
    return items


def split_inputs(data: dict[str, Any], hashes: FileHashes) -> dict[str, Any]:
    """What a split is made from: the data section and the hash of every source that is there."""
    return {"data": data, "sources": {str(path): hashes.of(path) for path in source_paths(data) if path.is_file()}}
