"""Conversations in the data: a column that holds turns. The last turn of the assistant is the answer, all before it the prompt.

Two notations are read: `role` and `content`, and ShareGPT's `from` and `value`. A column may hold whole conversations, and is
then both data.input and data.output; or the input holds the turns that ask, and the output the one that answers. A cell of text
is what it was: a question, or an answer.
"""

from collections.abc import Mapping
from typing import Any

from ftexp.data.cell_text import cell_text, text_of, where
from ftexp.ground.errors import UserError, one_line

Turn = dict[str, str]
_ROLES = {
    "system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "model": "assistant",
}
_NOTATIONS = (("role", "content"), ("from", "value"))


def is_conversation(cell: Any) -> bool:
    """Whether a cell holds turns: a list of mappings that say whose each is."""
    is_list = isinstance(cell, list) and bool(cell) and all(isinstance(turn, dict) for turn in cell)
    return is_list and _notation(cell[0]) is not None


def input_text(row: Mapping[str, Any], column: str) -> str:
    """What `{input}` stands for: the cell's text, or what the user said last.

    Raises:
        UserError: If the cell holds neither.
    """
    asked = _asked(row, column)
    return cell_text(row, column) if asked is None else asked[-1]["content"]


def earlier_turns(row: Mapping[str, Any], column: str) -> list[Turn]:
    """What was said before the input: none where it is a text."""
    return (_asked(row, column) or [])[:-1]


def answer_text(row: Mapping[str, Any], input_column: str, output_column: str) -> str:
    """The reference answer: the cell's text, or the last turn, which is the assistant's.

    Raises:
        UserError: If the cell holds neither, or the answer would be the question.
    """
    is_apart = input_column != output_column
    if is_apart and is_conversation(row.get(input_column)) and _turns(row, input_column)[-1]["role"] != "user":
        cure = "Take the turns after the last question away, or remove the row"
        raise _wrong(row, input_column, "is the input, and ends with a turn that is not the user's", cure)
    if not is_conversation(row.get(output_column)):
        if not is_apart and isinstance(row.get(output_column), str):
            what = f"column '{one_line(output_column)}' is data.input and data.output, and holds a text, not a list of turns"
            raise UserError(f"{where(row)}: {what}. Name the column of the answers as data.output.")
        return cell_text(row, output_column)
    turns = _turns(row, output_column)
    if is_apart and len(turns) > 1:
        cure = "Leave the assistant's; or name a column of whole conversations, as data.input and data.output"
        raise _wrong(row, output_column, f"has {len(turns)} turns, and an answer is one", cure)
    if turns[-1]["role"] != "assistant":
        cure = "Take the turns after the last answer away, or remove the row"
        raise _wrong(row, output_column, f"ends with a turn of the {turns[-1]['role']}, so that there is no answer", cure)
    return turns[-1]["content"]


def _asked(row: Mapping[str, Any], column: str) -> list[Turn] | None:
    """The turns up to the last of the user's that is answered; None where the cell is no conversation.

    Raises:
        UserError: If they are in no order that can be asked and answered in turn.
    """
    if not is_conversation(row.get(column)):
        return None
    turns = _turns(row, column)
    asked = turns[:-1] if turns[-1]["role"] == "assistant" else turns
    said = asked[1:] if asked and asked[0]["role"] == "system" else asked
    for position, turn in enumerate(said):
        wanted = ("user", "assistant")[position % 2]
        if turn["role"] != wanted:
            what = f"turn {position + 1 + len(asked) - len(said)} is the {turn['role']}'s, where one of the {wanted} belongs"
            raise _wrong(row, column, what, "Put the turns into order, or remove the row")
    if not said or said[-1]["role"] != "user":
        raise _wrong(row, column, "has no turn of the user before the answer", "Give it one, or remove the row")
    return asked


def _turns(row: Mapping[str, Any], column: str) -> list[Turn]:
    """The turns of a cell in one notation.

    Raises:
        UserError: If one is of an unknown role, is empty, or says more than a text.
    """
    turns = []
    for number, turn in enumerate(row[column], 1):
        notation = _notation(turn)
        if notation is None:
            raise _wrong(row, column, f"turn {number} says not whose it is", "Give it a role, or remove the row")
        role_key, text_key = notation
        role = _ROLES.get(turn[role_key])
        if role is None:
            what = f"turn {number} is of the role {one_line(repr(turn[role_key]))}; known are {', '.join(_ROLES)}"
            raise _wrong(row, column, what, "Write it as one of them, or remove the row")
        further = [key for key, value in turn.items() if key not in (role_key, text_key) and value not in (None, "", [], {})]
        if further:
            what = f"turn {number} has '{one_line(further[0])}', which no prompt would show"
            raise _wrong(row, column, what, "Write its text into the turn, or take it out")
        text = _content(turn.get(text_key))
        if text is None or not text.strip():
            what = f"turn {number} has no text: its {text_key} is {one_line(repr(turn.get(text_key)))[:80]}"
            raise _wrong(row, column, what, "Fill it, or remove the turn or the row")
        turns.append({"role": role, "content": text})
    return turns


def _content(content: Any) -> str | None:
    """The text of a turn, also of one that is written as a list of one part; None for anything else."""
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        part = {key: value for key, value in content[0].items() if value is not None}
        content = part["text"] if part.keys() == {"type", "text"} and part["type"] == "text" else None
    return text_of(content)


def _notation(turn: Mapping[str, Any]) -> tuple[str, str] | None:
    return next((keys for keys in _NOTATIONS if isinstance(turn.get(keys[0]), str)), None)


def _wrong(row: Mapping[str, Any], column: str, what: str, cure: str) -> UserError:
    return UserError(f"{where(row)}: column '{one_line(column)}': the conversation {what}. {cure}.")
