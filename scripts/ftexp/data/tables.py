"""Rows of a data file: json, jsonl, csv, parquet. Each row is a dict of columns."""

import csv
import os
from pathlib import Path
from typing import Any

from ftexp.data.cell_text import Row
from ftexp.data.json_rows import parse_json
from ftexp.data.parquet_rows import read_parquet
from ftexp.ground.errors import UserError, one_line

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
        return {part: _placed(path, rows, part) for part, rows in content.items()}
    return _placed(path, content, "")


def _placed(path: Path, rows: Any, part: str) -> list[Row]:
    """Each row with its number in the file; a CSV's header is its row 1."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        which = f"{part}: " if part else ""
        raise UserError(f"{path}: {which}must hold a list of rows, each a mapping of columns. Write it so.")
    first = 2 if path.suffix == ".csv" else 1
    return [Row(row, str(path), f"{part} row {number}" if part else number) for number, row in enumerate(rows, first)]


def _read_json(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    content = parse_json(text, path, 1)
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
            rows.append(parse_json(line.strip(), path, number))
    return rows


def _read_csv(path: Path) -> list[dict[str, Any]]:
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


_READERS = {".json": _read_json, ".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": read_parquet}
