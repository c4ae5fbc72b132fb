"""Rows of JSON, in one document or one a line: numbers keep the text that they are written with."""

import json
import sys
from pathlib import Path
from typing import Any

from ftexp.ground.errors import UserError, one_line


def parse_json(text: str, path: Path, first_line: int) -> Any:
    """JSON whose texts can be written to a file again; its numbers, `true` and `false` are the texts that stand there.

    Raises:
        UserError: If it is not JSON, names a key twice, or is too deep.
    """
    try:
        content = _DECODER.decode(text)
        if "\\u" in text:
            json.dumps(content, ensure_ascii=False).encode("utf-8")
    except _Twice as error:
        raise UserError(f"{path}: {error}. Keep one.") from error
    except (ValueError, RecursionError) as error:
        line = first_line + getattr(error, "lineno", 1) - 1
        of_kind = {UnicodeEncodeError: "holds half a character", RecursionError: "is nested too deep"}
        what = getattr(error, "msg", None) or of_kind.get(type(error), str(error))
        raise UserError(f"{path}: line {line}: not readable as JSON: {what}. Correct the file.") from error
    return content


class _Twice(Exception):
    """A mapping that names a column twice; Python would take the last."""


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping with its truth values as they are written, its keys kept once for all rows."""
    row = {sys.intern(key): _TRUTH[value] if value is True or value is False else value for key, value in pairs}
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Twice(f"has '{one_line(twice)}' twice in one mapping")
    return row


_TRUTH = {True: "true", False: "false"}
_DECODER = json.JSONDecoder(object_pairs_hook=_mapping, parse_int=str, parse_float=str)
