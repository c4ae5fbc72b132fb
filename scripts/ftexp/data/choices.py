"""The options that a row gives to choose from."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ftexp.data.cell_text import columns_of, where
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
    if column not in row:
        what = f"has no column '{one_line(column)}', which experiment.yaml names as choices"
        raise UserError(f"{where(row)}: {what}. {columns_of(row, column)}")
    cell = row[column]
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError:
            cell = None
    texts = {text.strip() for text in cell if isinstance(text, str)} - {""} if isinstance(cell, list) else set()
    if len(texts) < 2 or len(texts) < len(cell):
        what = f"column '{one_line(column)}', which experiment.yaml names as choices, must hold a list of different texts"
        raise UserError(f"{where(row)}: {what}, two or more, got {one_line(repr(row[column]))}. Write it as one.")
    return list(cell)
