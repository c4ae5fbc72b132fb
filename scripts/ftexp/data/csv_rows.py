"""Rows of a CSV: its separator is the one by which every row has as many fields as the header; cells are texts as they stand."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftexp.ground.errors import UserError, one_line

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
# Characters; Python's own limit of 131,072 is less than a long document.
_LONGEST_FIELD = 2**31 - 1
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def read_csv(path: Path, text: str) -> Iterator[dict[str, Any]]:
    """The rows of the text of a CSV, the first of which is its row 2.

    Raises:
        UserError: If a row has not as many fields as the header, a column stands twice, or the separator is not clear.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    if text.startswith("sep="):
        raise UserError(f"{path}: line 1: {one_line(text.splitlines()[0])!r} is for Excel, and no header. Remove the line.")
    separator = _separator(path, text)
    records = _records(path, text, separator)
    names = next(records, [])
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}: the header: has the column '{one_line(twice)}' twice. Rename one.")
    for number, fields in enumerate(records, 2):
        if len(fields) != len(names):
            what = "has not as many fields as the header has columns"
            cure = f"a text with {SEPARATORS[separator].removeprefix('a ')}s stands in quotes"
            raise UserError(f"{path}: row {number}: {what}. Correct it; {cure}.")
        quoted = next((field for field in fields if field[:1].isspace() and field.lstrip()[:1] == '"'), None)
        if quoted is not None:
            what = f"has a quote after a blank, which would be part of the text: {one_line(repr(quoted))}"
            raise UserError(f"{path}: row {number}: {what}. Remove the blank after the separator.")
        yield dict(zip(names, fields, strict=True))


def _lines(text: str) -> Iterator[str]:
    """Lines with their ends, which a text in quotes keeps; only what a CSV takes for one ends a line."""
    return (match[0] for match in _LINE.finditer(text))


def _separator(path: Path, text: str) -> str:
    """What stands between the fields.

    Raises:
        UserError: If the whole file can be read by two.
    """
    counts = {separator: len(_header(text, separator)) for separator in SEPARATORS}
    possible = [separator for separator, count in counts.items() if count > 1] or [","]
    if len(possible) > 1:
        possible = [separator for separator in possible if _is_even(text, separator)] or possible[:1]
    if len(possible) > 1:
        both = " or ".join(SEPARATORS[separator] for separator in possible)
        raise UserError(f"{path}: may be separated by {both}: either gives every row as many fields. Convert it to jsonl.")
    return possible[0]


def _header(text: str, separator: str) -> list[str]:
    """The first row that is not empty; none where it cannot be read so."""
    try:
        return next((fields for fields in csv.reader(_lines(text), delimiter=separator) if fields), [])
    except csv.Error:
        return []


def _is_even(text: str, separator: str) -> bool:
    """Whether every row has as many fields as the first."""
    try:
        widths = {len(fields) for fields in csv.reader(_lines(text), delimiter=separator, strict=True) if fields}
    except csv.Error:
        return False
    return len(widths) == 1


def _records(path: Path, text: str, separator: str) -> Iterator[list[str]]:
    """Each row that is not empty."""
    reader = csv.reader(_lines(text), delimiter=separator, strict=True)
    try:
        for fields in reader:
            if fields:
                yield fields
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: not readable as CSV: {error}. Correct the file.") from error
