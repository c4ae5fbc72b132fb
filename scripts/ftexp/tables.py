"""Rows of a data file: json, jsonl, csv, parquet. Each row is a dict of columns."""

import csv
import json
import os
from pathlib import Path
from typing import Any

from ftexp.errors import UserError

Row = dict[str, Any]
SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")


def load_rows(path: Path) -> list[Row] | dict[str, list[Row]]:
    """Read a data file.

    Returns:
        The rows; or, for one JSON file `{train: [...], test: [...]}`, the rows of each part.

    Raises:
        UserError: If the file is missing, is of another kind, or does not hold rows.
        ImportError: For parquet where pyarrow is not installed.
    """
    if not os.path.isfile(path):  # Path.is_file raises for a name that is too long
        raise UserError(f"{path}: there is no such file. Put the data there, or correct the data section of experiment.yaml.")
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: must be one of {', '.join(SUFFIXES)}, got '{path.suffix}'.")
    try:
        content = _READERS[path.suffix](path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text, at byte {error.start}. Save it as UTF-8.") from error
    if isinstance(content, dict):
        return {part: _check_rows(path, rows, f"{part}: ") for part, rows in content.items()}
    return _check_rows(path, content, "")


def _check_rows(path: Path, rows: Any, part: str) -> list[Row]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path}: {part}must hold a list of rows, each a mapping of columns.")
    return rows


def _read_json(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: line {error.lineno}: not readable as JSON: {error.msg}. Correct the file.") from error
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
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise UserError(f"{path}: line {number}: not readable as JSON: {error.msg}. Correct the file.") from error
    return rows


def _read_csv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            rows = list(reader)
        except csv.Error as error:
            raise UserError(f"{path}: line {reader.line_num}: not readable as CSV: {error}.") from error
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise UserError(f"{path}: row {number}: has not as many fields as the header has columns.")
    return rows


def _read_parquet(path: Path) -> list[Row]:
    import pyarrow.parquet as parquet

    try:
        rows: list[Row] = parquet.read_table(path).to_pylist()
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: not readable as parquet: {str(error).splitlines()[0]}.") from error
    return rows


_READERS = {".json": _read_json, ".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}
