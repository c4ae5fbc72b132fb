"""Rows of a data file: json, jsonl, csv, parquet, whatever case its suffix has. Each row is a mapping of columns."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ftexp.data.cell_text import Row
from ftexp.data.csv_rows import read_csv
from ftexp.data.json_rows import parse_json
from ftexp.data.parquet_rows import read_parquet
from ftexp.ground.counting import counted
from ftexp.ground.errors import UserError, one_line
from ftexp.ground.normal_forms import alike, difference

SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
_OTHER_NAMES = {".ndjson": ".jsonl", ".tsv": ".csv"}
_PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst")


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
        other = alike(path.name, os.listdir(path.parent)) if os.path.isdir(path.parent) else None
        if other is not None:
            raise UserError(f"{shown}: there is no such file; '{other}' beside it {difference(path.name, other)}.")
        raise UserError(f"{shown}: there is no such file. Put the data there, or correct the data section of experiment.yaml.")
    suffix = _OTHER_NAMES.get(path.suffix.lower(), path.suffix.lower())
    if suffix not in SUFFIXES:
        cure = "Unpack it" if suffix in _PACKED else "Convert it"
        raise UserError(f"{path}: must be one of {', '.join(SUFFIXES)}, got '{path.suffix}'. {cure}.")
    content = read_parquet(path) if suffix == ".parquet" else _READERS[suffix](path, _text(path))
    if isinstance(content, dict):
        return {part: _placed(path, rows, part, 1) for part, rows in content.items()}
    return _placed(path, content, "", 2 if suffix == ".csv" else 1)


def _text(path: Path) -> str:
    """The whole text, without the mark that some programs put at its beginning; its line ends as they are.

    Raises:
        UserError: If it is not UTF-8.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text, at byte {error.start}. Save it as UTF-8.") from error
    if "\0" in text:
        raise UserError(f"{path}: not UTF-8 text, at byte {content.index(0)}, which is 0 as in UTF-16. Save it as UTF-8.")
    return text


def _placed(path: Path, rows: Any, part: str, first: int) -> list[Row]:
    """Each row with its number in the file."""
    which = f"{part}: " if part else ""
    if isinstance(rows, dict | str) or not isinstance(rows, Iterable):
        raise UserError(f"{path}: {which}must hold a list of rows, each a mapping of columns. Write it so.")
    placed, file, kind = [], str(path), f"{part} row" if part else "row"
    told = counted(_given_away(rows) if isinstance(rows, list) else rows, f"{path}: rows read")
    for number, row in enumerate(told, first):
        if not isinstance(row, dict):
            raise UserError(f"{path}: {which}must hold a list of rows, each a mapping of columns. Write it so.")
        placed.append(Row(row, file, number, kind))
    return placed


def _given_away(rows: list[Any]) -> Iterator[Any]:
    """The rows of a list, which keeps none that was taken: of a million there are not two at a time."""
    for index, row in enumerate(rows):
        rows[index] = None
        yield row


def _read_json(path: Path, text: str) -> Any:
    """Rows, or the parts of a split; a row a line too, whatever the suffix says."""
    if _is_of_lines(text):
        return _read_jsonl(path, text)
    content = parse_json(text, path, 1)
    if isinstance(content, dict) and set(content) - {"validation"} != {"train", "test"}:
        what = "a JSON mapping must have the keys train and test, and may have validation"
        raise UserError(f"{path}: {what}, got {', '.join(content)}.")
    return content


def _is_of_lines(text: str) -> bool:
    """Whether a JSON holds several mappings, the first on a line of its own."""
    first, _, rest = text.strip().partition("\n")
    return first.startswith("{") and first.rstrip().endswith("}") and rest.lstrip().startswith("{")


def _read_jsonl(path: Path, text: str) -> Any:
    """A row a line; or one list of them all, whatever the suffix says."""
    if text.lstrip().startswith("["):
        return parse_json(text, path, 1)
    return _lines(path, text)


def _lines(path: Path, text: str) -> Iterator[Any]:
    start, number = 0, 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line, start, number = text[start:end].strip(), end + 1, number + 1
        if line:
            yield parse_json(line, path, number)


_READERS = {".json": _read_json, ".jsonl": _read_jsonl, ".csv": read_csv}
