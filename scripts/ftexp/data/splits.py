"""Splits: which rows train and which test. A function of the data section alone.

A data section has two halves, of which each makes a set of rows of its own: what trains, and what tests. Another test file is
another test set beside the same training set. `seed` of a run never reaches here: the order from which `train_size` takes the
first n rows is the same for every run with the same half.
"""

import random
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftexp.data.cell_text import Row, cell_text, columns_of, where
from ftexp.data.conversations import answer_text, input_text
from ftexp.data.tables import load_rows
from ftexp.ground.errors import UserError, one_line
from ftexp.ground.filesystem import sha256_json
from ftexp.ground.memories import FileHashes

PARTS = ("train", "test")
VALIDATION = "validation"
# Keys of a data section that name a file.
SOURCE_KEYS = ("source", *PARTS)
FILE_KEYS = (*SOURCE_KEYS, VALIDATION)  # the last may be a share too
DEFAULT_SPLIT = {"train": 0.8, "test": 0.2, "seed": 0, "stratify": None, "group": None}
Half = dict[str, Any]
Item = dict[str, Any]


def half_of(data: Mapping[str, Any], part: str) -> Half:
    """What one part is made from: all that a data section says but the other part's file; validation rows are of what trains."""
    others = ("test",) if part == "train" else ("train", VALIDATION)
    return {key: value for key, value in data.items() if key not in others and value is not None}


def document_column(half: Mapping[str, Any]) -> str | None:
    """The column of whole documents, where rows are those; None where they are questions with answers."""
    return half.get("text") or half.get("document")


def set_name(half: Half) -> str:
    """Name of a set of rows, and of its folder: its file's stem and eight digits of the half's hash."""
    stem = Path(next(half[key] for key in SOURCE_KEYS if key in half)).stem
    return f"{re.sub(r'[^A-Za-z0-9.-]', '-', stem)}-{sha256_json(half)[:8]}"


def source_paths(data: Mapping[str, Any]) -> list[Path]:
    """The files that a data section, or a half of one, names."""
    return [Path(data[key]) for key in FILE_KEYS if isinstance(data.get(key), str)]


class Sources:
    """The rows of data sections; each file is read, and each section divided, once."""

    def __init__(self) -> None:
        self._files: dict[str, list[Row] | dict[str, list[Row]]] = {}
        self._parts: dict[str, dict[str, list[Row]]] = {}

    def rows(self, half: Half, part: str) -> list[Row]:
        """The rows of one part in the split's order, before anything is held out.

        Raises:
            UserError: If a file, a column or the part is missing or unusable.
        """
        name = set_name(half)
        if part == "train" and VALIDATION not in half and self._has_own_validation(half):
            what = "has a part 'validation', and nothing asks for validation rows"
            raise UserError(f"{half['source']}: {what}. Add `validation: {{}}` to experiment.yaml, or take the part out.")
        if name not in self._parts:
            self._parts[name] = self._divided(half, part)
        if not self._parts[name][part] and "source" not in half:
            raise UserError(f"{half[part]}: has no rows. Put the data there, or name another file in experiment.yaml.")
        if not self._parts[name][part]:
            raise UserError(f"experiment.yaml: data: no row is left for {part}. Give more rows, or a larger share.")
        return self._parts[name][part]

    def validation_rows(self, half: Half) -> list[Row] | None:
        """Rows that are there to validate by: of a file of their own, or the source's own part; None where there are none.

        Raises:
            UserError: If a file or a column is missing or unusable.
        """
        wanted = half.get(VALIDATION)
        if self._has_own_validation(half):
            if wanted is not True:
                what = f"{half['source']} has a part 'validation' already"
                raise UserError(f"experiment.yaml: data.validation: {what}. Leave data.validation out, or take the part out.")
            return list(_checked(half, self._own_parts(half)[VALIDATION]))
        if isinstance(wanted, str):
            columns = {key: value for key, value in half.items() if key not in (*SOURCE_KEYS, "split", VALIDATION)}
            return self.rows({**columns, "test": wanted}, "test")
        return None

    def _has_own_validation(self, half: Half) -> bool:
        return VALIDATION in self._own_parts(half)

    def _own_parts(self, half: Half) -> dict[str, list[Row]]:
        """The parts of a source that is split already; none of any other."""
        content = self._content(str(half["source"])) if "source" in half else []
        return content if isinstance(content, dict) else {}

    def test_items(self, half: Half) -> list[Item]:
        """The rows of a test set with their ids."""
        return with_ids(self.rows(half, "test"))

    def _divided(self, half: Half, part: str) -> dict[str, list[Row]]:
        """Rows per part, in order."""
        content = self._content(str(half.get("source") or half[part]))
        if "source" not in half:
            if isinstance(content, dict):
                what = "holds several parts. Name it as data.source, or name files of plain rows"
                raise UserError(f"{half[part]}: {what}.")
            parts = {part: list(_checked(half, content))}
        elif isinstance(content, dict):
            if "split" in half:
                what = f"{half['source']} is split already ({', '.join(content)})"
                raise UserError(f"experiment.yaml: data.split: {what}. Remove data.split.")
            parts = {name: list(_checked(half, content[name])) for name in PARTS}
        else:
            if not content:
                what = "has no rows. Put the data there, or correct the data section of experiment.yaml"
                raise UserError(f"{half['source']}: {what}.")
            return _divide(_checked(half, content), {**DEFAULT_SPLIT, **half.get("split", {})})
        random.Random(DEFAULT_SPLIT["seed"]).shuffle(parts.get("train", []))
        return parts

    def _content(self, file: str) -> list[Row] | dict[str, list[Row]]:
        if file not in self._files:
            self._files[file] = load_rows(Path(file))
        return self._files[file]


def _divide(rows: list[Row], split: dict[str, Any]) -> dict[str, list[Row]]:
    order = random.Random(split["seed"])
    parts: dict[str, list[Row]] = {part: [] for part in PARTS}
    for units in _strata(rows, split):
        order.shuffle(units)
        for part, chosen in zip(("test", "train"), _cut(units, split), strict=True):
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
    """Units for test and train, by their number of rows."""
    end = round(sum(len(unit) for unit in units) * split["test"])
    chosen: list[list[list[Row]]] = [[], []]
    seen = 0
    for unit in units:
        chosen[0 if seen < end else 1].append(unit)
        seen += len(unit)
    return chosen


def _checked(data: Half, rows: list[Row]) -> list[Row]:
    """The rows of a file, or of one part of it, if each has an input and an output, or is a document."""
    section = "" if "test" in data else "data."  # a file that only tests may be a task's
    document = document_column(data)
    for row in rows:
        if document is not None:
            check_document(row, document, "data.text" if "text" in data else "document")
            continue
        for key in ("input", "output"):
            _check_column(row, data[key], section + key)
        input_text(row, data["input"])
        text = answer_text(row, data["input"], data["output"])
        if not text.strip():
            what = f"column '{one_line(data['output'])}' is empty, got {one_line(repr(text))}"
            raise UserError(f"{where(row)}: {what}. Fill it or remove the row.")
    return rows


def _check_column(row: Row, column: str, key: str) -> None:
    if column not in row:
        what = f"has no column '{one_line(column)}', which experiment.yaml names as {key}"
        raise UserError(f"{where(row)}: {what}. {columns_of(row, column)}")


def check_document(row: Row, column: str, key: str = "document") -> None:
    """A row holds a text in this column, which experiment.yaml names under `key`.

    Raises:
        UserError: If not.
    """
    _check_column(row, column, key)
    if not cell_text(row, column).strip():
        raise UserError(f"{where(row)}: column '{one_line(column)}' is empty. Fill it or remove the row.")


def with_ids(rows: list[Row]) -> list[Item]:
    """Each row with its item id: twelve digits of the raw row's hash, and `-2` for its second copy."""
    seen: dict[str, int] = defaultdict(int)
    items = []
    for row in rows:
        digest = sha256_json(row)[:12]
        seen[digest] += 1
        items.append({"item": digest if seen[digest] == 1 else f"{digest}-{seen[digest]}", "row": row})
    return items


def set_inputs(half: Half, hashes: FileHashes) -> dict[str, Any]:
    """What a set of rows is made from: half of a data section, and the hash of every file of it that is there."""
    return {"data": half, "sources": {str(path): hashes.of(path) for path in source_paths(half) if path.is_file()}}
