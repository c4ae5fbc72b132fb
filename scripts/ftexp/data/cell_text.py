"""What a cell of the data is as text: the one place that knows, and that refuses what has no text of its own.

A reader turns every number, truth value and date into the text that it has in its file, so that `1.0`, `1e-3` and `0.10` stay as
they are written, and a row that lacks a value changes no other row. What then is no text (null, NaN, a list, a mapping, bytes)
stays what it is until somebody asks for its text.
"""

import datetime
import decimal
import math
from collections.abc import Mapping
from typing import Any

from ftexp.ground.errors import UserError, one_line
from ftexp.ground.normal_forms import alike, difference

# Characters of a value that a message shows.
_SHOWN = 60


class Row(dict[str, Any]):
    """A row of a data file: columns with their texts, and where it stands.

    Attributes:
        file: The file that it was read from.
        place: Its number there, or its id.
        kind: What the place is of: `row`, `train row`, `item`.
    """

    __slots__ = ("file", "kind", "place")

    def __init__(self, cells: Any, file: str, place: int | str, kind: str = "row") -> None:
        """Take the cells over."""
        super().__init__(cells)
        self.file = file
        self.place = place
        self.kind = kind


def where(row: Mapping[str, Any]) -> str:
    """File and row, as messages begin."""
    if not isinstance(row, Row):
        return "a row"
    return f"{row.file}: {row.kind} {row.place}"


def cell_text(row: Mapping[str, Any], column: str) -> str:
    """The text of a row's cell, as its file has it.

    Raises:
        UserError: If the row has no such column, or what stands there has no text of its own.
    """
    if column not in row:
        raise UserError(f"{where(row)}: has no column '{one_line(column)}'. {columns_of(row, column)}")
    text = text_of(row[column])
    if text is None:
        what, cure = _why_none(row[column])
        raise UserError(f"{where(row)}: column '{one_line(column)}' holds {what}, which has no text of its own. {cure}")
    return text


def columns_of(row: Mapping[str, Any], wanted: str | None = None) -> str:
    """The sentence that names a row's columns, and the one that looks like the column that is wanted."""
    names = [str(name) for name in row]
    listed = f"Its columns: {one_line(', '.join(name if name == name.strip() else repr(name) for name in names))}."
    other = None if wanted is None else alike(wanted, names)
    return listed if other is None or wanted is None else f"{listed} '{other}' {difference(wanted, other)}."


def text_of(value: Any) -> str | None:
    """A value as text: true and false as JSON writes them, dates and times as ISO 8601 does; None where there is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, decimal.Decimal):
        return f"{value:f}" if value.is_finite() else None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return None


def _why_none(value: Any) -> tuple[str, str]:
    """What stands in a cell without text, and what to do about it."""
    if value is None:
        return "null", "Fill it or remove the row."
    if isinstance(value, float | decimal.Decimal):
        name = "NaN" if math.isnan(value) else "infinity" if value > 0 else "minus infinity"
        return name, "Fill it or remove the row."
    shown = one_line(str(value))
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    kinds = {list: "a list", tuple: "a list", dict: "a mapping", bytes: "bytes"}
    kind = next((noun for type_, noun in kinds.items() if isinstance(value, type_)), f"a {type(value).__name__}")
    return f"{kind} ({shown})", "Name a column of text, or write its text into a column of its own."
