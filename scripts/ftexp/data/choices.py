"""The options that a row gives to choose from."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ftexp.data.cell_text import where
from ftexp.ground.errors import UserError, one_line


def options_of(choices: str | Sequence[str], row: Mapping[str, Any], *, right: str) -> list[str]:
    """The options of a row: those of the list, or of its column, which holds a list of texts (in a CSV one in JSON).

    Raises:
        UserError: If the column holds none, or the right answer is none of them.
    """
    options = list(choices) if not isinstance(choices, str) else _options_in(row, choices)
    if [option.strip() for option in options].count(right.strip()) != 1:
        what = f"the answer {one_line(repr(right))} is not one of the choices {one_line(repr(options))}"
        raise UserError(f"{where(row)}: {what}. Name all choices, or correct the row.")
    return options


def _options_in(row: Mapping[str, Any], column: str) -> list[str]:
    cell = row.get(column)
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError:
            cell = None
    if not (isinstance(cell, list) and len(cell) > 1 and all(isinstance(text, str) and text.strip() for text in cell)):
        what = f"column '{one_line(column)}', which experiment.yaml names as choices, must hold a list of two or more texts"
        raise UserError(f"{where(row)}: {what}, got {one_line(repr(row.get(column)))}. Write it as one.")
    return list(cell)
