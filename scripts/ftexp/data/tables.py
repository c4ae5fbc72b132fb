"""Rows of a data file: json, jsonl, csv, parquet. Each row is a dict of columns."""

import csv
import json
import os
from pathlib import Path
from typing import Any

from ftexp.ground.errors import UserError, one_line

Row = dict[str, Any]
SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
# Characters; Python's own limit of 131,072 is less than a long document.
_LONGEST_FIELD = 2**31 - 1


def load_rows(path: Path) -> list[Row] | dict[str, list[Row]]:
    """Read a data file.

    Returns:
        The rows; or, for one JSON file `{train: [...], test: [...]}`, the rows of each part.

    Raises:
        UserError: If the file is missing, is of another kind, or does not hold rows.
        ImportError: For parquet where pyarrow is not installed.
    """
    if not os.path.isfile(path):  # Path.is_file raises for a name that is too long
        shown = one_line(str(path))
        raise UserError(f"{shown}: there is no such file. Put the data there, or correct the data section of experiment.yaml.")
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: must be one of {', '.join(SUFFIXES)}, got '{path.suffix}'. Convert it.")
    try:
        content = _READERS[path.suffix](path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text, at byte {error.start}. Save it as UTF-8.") from error
    if isinstance(content, dict):
        return {part: _check_rows(path, rows, f"{part}: ") for part, rows in content.items()}
    return _check_rows(path, content, "")


def _check_rows(path: Path, rows: Any, part: str) -> list[Row]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path}: {part}must hold a list of rows, each a mapping of columns. Write it so.")
    return rows


def _read_json(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    content = _parse(text, path, 1)
    if isinstance(content, dict) and not {"train", "test"} <= set(content) <= {"train", "validation", "test"}:
        raise UserError(
            f"{path}: a JSON mapping must have the keys train and test (and perhaps validation), got {', '.join(content)}."
        )
    return content


def _read_jsonl(path: Path) -> list[Any]:
    rows = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            rows.append(_parse(line.strip(), path, number))
    return rows


def _parse(text: str, path: Path, first_line: int) -> Any:
    """JSON whose texts can be written to a file again.

    Raises:
        UserError: If it is not, names a key twice, is too deep, or holds a number of more digits than Python reads (4300).
    """
    try:
        content = json.loads(text, object_pairs_hook=_without_repeats)
        if "\\u" in text:
            json.dumps(content, ensure_ascii=False).encode("utf-8")
    except _Twice as error:
        raise UserError(f"{path}: {error}. Keep one.") from error
    except (ValueError, RecursionError) as error:
        line = first_line + getattr(error, "lineno", 1) - 1
        of_kind = {UnicodeEncodeError: "holds half a character", RecursionError: "is nested too deep"}
        what = getattr(error, "msg", None) or of_kind.get(type(error), "holds a number of too many digits")
        raise UserError(f"{path}: line {line}: not readable as JSON: {what}. Correct the file.") from error
    return content


class _Twice(Exception):
    """A mapping that names a column twice; Python would take the last."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Twice(f"has '{one_line(twice)}' twice in one mapping")
    return row


def _read_csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        csv.field_size_limit(_LONGEST_FIELD)
        reader = csv.DictReader(file, strict=True)
        try:
            names, rows = reader.fieldnames or [], list(reader)
        except csv.Error as error:
            raise UserError(f"{path}: line {reader.line_num}: not readable as CSV: {error}. Correct the file.") from error
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}: the header: has the column '{one_line(twice)}' twice. Rename one.")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            what = "has not as many fields as the header has columns"
            raise UserError(f"{path}: row {number}: {what}. Correct it; a text with commas stands in quotes.")
    return rows


def _read_parquet(path: Path) -> list[Row]:
    import pyarrow.parquet as parquet

    try:
        rows: list[Row] = parquet.read_table(path).to_pylist()
    except (ValueError, OSError) as error:
        why = one_line(str(error).splitlines()[0].rstrip("."))
        raise UserError(f"{path}: not readable as parquet: {why}. Write it again.") from error
    return rows


_READERS = {".json": _read_json, ".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}
