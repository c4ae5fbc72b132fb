"""The user's text of a row: the one place that fills a prompt's template, for training, evaluation and whatever compares rows."""

import functools
import string
from collections.abc import Mapping
from typing import Any

from ftexp.data.cell_text import cell_text


def user_text(template: str, input_column: str, row: Mapping[str, Any]) -> str:
    """What the user says in the prompt of a row.

    Args:
        template: `{column}` stands for a column's value, `{input}` for the input column's; `{{` and `}}` for braces.

    Raises:
        UserError: If the row lacks a column that the template names, or has no text there.
    """
    return "".join(
        literal if name is None else literal + cell_text(row, input_column if name == "input" else name)
        for literal, name in _pieces(template)
    )


def placeholders(template: str) -> list[str]:
    """The column names in a template, in order; `{{` and `}}` stand for braces.

    Raises:
        ValueError: If braces do not match.
    """
    return [name for _, name in _pieces(template) if name is not None]


@functools.cache
def _pieces(template: str) -> tuple[tuple[str, str | None], ...]:
    """Texts, each with the name of the column that follows it; None where none does."""
    return tuple((literal, name) for literal, name, _, _ in string.Formatter().parse(template))
