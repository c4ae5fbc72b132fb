"""Rows of a parquet file, by its own types: a column of whole numbers with gaps is one of whole numbers."""

import base64
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftexp.data.cell_text import text_of
from ftexp.ground.errors import UserError, one_line

if TYPE_CHECKING:
    import pyarrow


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """The rows, each value as text where it has one.

    Raises:
        UserError: If the file is no parquet, or names a column twice.
        ImportError: Where pyarrow is not installed.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(path).read()
    except (ValueError, OSError) as error:
        why = one_line(str(error).splitlines()[0].rstrip("."))
        raise UserError(f"{path}: not readable as parquet: {why}. Write it again.") from error
    names = table.column_names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}: has the column '{one_line(twice)}' twice. Rename one.")
    columns = [_values(column, pyarrow) for column in table.columns]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _values(column: "pyarrow.ChunkedArray", arrow: Any) -> list[Any]:
    """The values of a column; a number of less than 64 bits has no more digits than it holds."""
    kind = column.type
    if arrow.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if arrow.types.is_float16(kind) or arrow.types.is_float32(kind):
        return [None if value is None else _short(value) for value in (scalar.as_py() for scalar in column)]
    if arrow.types.is_timestamp(kind) and kind.unit == "ns":
        return _nanoseconds(column, arrow)
    return [_plain(value) for value in column.to_pylist()]


def _short(value: float) -> Any:
    """A number of 32 or 16 bits: the shortest text that reads back as it."""
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("f", float(text)) == struct.pack("f", value):
            return text_of(float(text))
    return value


def _nanoseconds(column: "pyarrow.ChunkedArray", arrow: Any) -> list[Any]:
    """Times in nanoseconds, which Python's have not: as microseconds where that loses nothing, else as Arrow writes them."""
    try:
        return [_plain(value) for value in column.cast(arrow.timestamp("us", column.type.tz)).to_pylist()]
    except arrow.ArrowInvalid:
        return [None if text is None else text.replace(" ", "T", 1) for text in column.cast(arrow.string()).to_pylist()]


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: its text where it has one; within lists and mappings likewise, and bytes by name."""
    text = text_of(value)
    if text is not None or value is None or isinstance(value, float):
        return value if text is None else text
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    return {type(value).__name__: str(value)}
