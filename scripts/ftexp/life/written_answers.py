"""What an answer says is what the written file says: read back and compared, before anything else happens."""

from collections.abc import Mapping
from typing import Any

from ftexp.ground.errors import UserError, one_line
from ftexp.ground.yamlfile import parse_yaml


def require_written(text: str, file: str, wanted: Mapping[str, tuple[tuple[str, ...], Any]]) -> None:
    """Compare a file that is going to be written with the answers that it was made from.

    Args:
        text: Of the file.
        wanted: Per answer the path of keys under which the file has it, and its value.

    Raises:
        UserError: If the file says anything else; or is not YAML, which then no answer was.
    """
    document = parse_yaml(text, file)
    for answer, (keys, value) in wanted.items():
        written = document
        for key in keys:
            written = written.get(key) if isinstance(written, dict) else None
        if repr(written) != repr(value):
            got = f"{one_line(repr(value))} would be read back as {one_line(repr(written))}"
            raise UserError(f"{answer}: cannot be written to {file} as it is: {got}. Write it differently, or report it.")
