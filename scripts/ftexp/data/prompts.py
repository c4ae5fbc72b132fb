"""The turns that a row is asked with: the one place that fills a template, for training, evaluation and what compares rows."""

import functools
import string
from collections.abc import Mapping
from typing import Any

from ftexp.data.cell_text import cell_text, where
from ftexp.data.conversations import Turn, earlier_turns, input_text
from ftexp.ground.errors import UserError


def prompt_turns(prompt: Mapping[str, Any], input_column: str, row: Mapping[str, Any]) -> list[Turn]:
    """The turns before the answer: a system turn where the prompt or the data has one, what was said before, and the user's.

    Args:
        prompt: `system` (None: no system turn of ours) and `user`, a template.

    Raises:
        UserError: If the template names a cell that has no text, or prompt and data both have a system turn.
    """
    asked = {"role": "user", "content": user_text(prompt["user"], input_column, row)}
    earlier = earlier_turns(row, input_column)
    if prompt["system"] is None:
        return [*earlier, asked]
    if earlier and earlier[0]["role"] == "system":
        what = f"is set, and the conversation of {where(row)} has a system turn of its own"
        raise UserError(f"experiment.yaml: prompt.system: {what}. Set it to null, or take the turn out of the data.")
    return [{"role": "system", "content": prompt["system"]}, *earlier, asked]


def user_text(template: str, input_column: str, row: Mapping[str, Any]) -> str:
    """What the user says in the prompt of a row.

    Args:
        template: `{column}` stands for a column's value, `{input}` for the input column's, which of a conversation is what
            the user said last; `{{` and `}}` for braces.

    Raises:
        UserError: If the row lacks a column that the template names, or has no text there.
    """
    return "".join(
        literal if name is None else literal + shown_text(row, input_column, name)
        for literal, name in _pieces(template)
    )


def shown_text(row: Mapping[str, Any], input_column: str, name: str) -> str:
    """What a placeholder stands for: the input, by either of its names, or another column's text."""
    return input_text(row, input_column) if name in ("input", input_column) else cell_text(row, name)


def says_nothing(template: str, input_column: str, row: Mapping[str, Any]) -> bool:
    """Whether all that a prompt shows of a row is blank."""
    texts = (shown_text(row, input_column, name) for name in placeholders(template))
    return not any(text.strip() for text in texts)


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
