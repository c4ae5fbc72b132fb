"""Cells and columns that are not what their owner takes them for: said before anything is trained on them."""

import ast
import json
from collections.abc import Callable
from typing import Any

from ftexp.checks.rows import Item, Rows
from ftexp.data.conversations import is_conversation
from ftexp.data.prompts import placeholders

# How programs write a value that is missing into a text.
_NO_VALUE = frozenset({"nan", "na", "n/a", "#n/a", "<na>", "null", "none", "nil", "nat"})
# Columns that by their names belong to what a model is asked, beside turns and beside an instruction.
_OF_TURNS, _OF_INSTRUCTIONS = ("system", "tools", "functions"), ("system", "history", "input", "instruction", "context")


def check_unshown(rows: Rows) -> tuple[list[str], list[str]]:
    """Every column that belongs to the question by its name reaches the model: errors beside conversations, else warnings."""
    first = rows.items[0]["row"]
    is_turns = is_conversation(first.get(rows.input))
    names = _OF_TURNS if is_turns else _OF_INSTRUCTIONS if "instruction" in first else ()
    shown = {*placeholders(rows.prompt["user"]), rows.input, rows.output}
    found = []
    for name in (name for name in names if name not in shown):
        held = [n for n, item in enumerate(rows.items) if item["row"].get(name) not in (None, "", [], {})]
        if held:
            what = f"column '{name}' belongs to the question by its name, and no prompt shows it"
            cure = "Put it into the turns" if is_turns else f"Show it by {{{name}}} in prompt.user"
            found.append(f"{rows.where(held)}: {what}. {cure}, or take the column out of the file")
    return (found, []) if is_turns else ([], found)


def check_odd_texts(rows: Rows) -> tuple[list[str], list[str]]:
    """Errors for turns that are written as a text, as pandas does in a CSV; warnings for other lists and for missing values."""
    turns = _held(rows, lambda text: is_conversation(_literal(text)))
    what = "holds turns that are written as one text, as a CSV has them"
    cure = "Write the data as JSON lines or parquet, whose columns can hold turns"
    errors = [f"{rows.where(turns)}: {what}. {cure}"] if turns else []
    lists = [] if turns else _held(rows, _is_pythons)
    missing = _held(rows, lambda text: text.strip().casefold() in _NO_VALUE)
    warnings = []
    if lists:
        what = "holds a list of Python's, written as a text, brackets and quotes with it"
        warnings.append(f"{rows.where(lists)}: {what}. Write the text that is meant")
    if len(missing) > 1:  # one may well be the word
        what = "holds what programs write for a missing value (nan, NA, null, None), and it is used as it stands"
        warnings.append(f"{rows.where(missing)}: {what}. Remove the row, or leave it where the word is meant")
    return errors, warnings


def _held(rows: Rows, is_odd: Callable[[str], bool]) -> list[int]:
    """Which rows have such a text among those that the prompt shows, or for an answer."""
    known: dict[str, bool] = {}

    def is_known_odd(text: str) -> bool:
        return known.setdefault(text, is_odd(text)) if text not in known else known[text]

    return [n for n, item in enumerate(rows.items) if any(is_known_odd(text) for text in _texts(rows, item))]


def _texts(rows: Rows, item: Item) -> list[str]:
    return [*rows.texts(item), rows.answer(item)]


def _is_pythons(text: str) -> bool:
    """Whether a text is a list or mapping as Python prints it, and not JSON, which may be an answer."""
    if not isinstance(_literal(text), list | dict):
        return False
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


def _literal(text: str) -> Any:
    """The list or mapping that a text writes down, in Python's notation or in JSON's; None for any other text."""
    bare = text.strip()
    if not (bare[:1] in ("[", "{") and bare[-1:] in ("]", "}")):
        return None
    for notation in (bare, bare.replace("null", "None").replace("true", "True").replace("false", "False")):
        try:
            return ast.literal_eval(notation)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return None
