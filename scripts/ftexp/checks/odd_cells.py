"""Cells and columns that are not what their owner takes them for: said before anything is trained on them."""

import ast
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ftexp.checks.rows import Rows
from ftexp.data.conversations import is_conversation
from ftexp.data.prompts import placeholders

# How programs write a value that is missing into a text.
_NO_VALUE = frozenset({"nan", "na", "n/a", "#n/a", "<na>", "null", "none", "nil", "nat"})
_TURNS, _LIST, _MISSING = "turns", "list", "missing"
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
    return odd_texts(([*rows.texts(item), rows.answer(item)] for item in rows.items), rows.where)


def odd_texts(of_rows: Iterable[Sequence[str]], where: Callable[[Iterable[int]], str]) -> tuple[list[str], list[str]]:
    """The same of the texts of each row; `where` says where rows are."""
    held: dict[str, list[int]] = {kind: [] for kind in (_TURNS, _LIST, _MISSING)}
    for number, texts in enumerate(of_rows):
        for kind in set(filter(None, map(_kind_of, texts))):
            held[kind].append(number)
    errors, warnings = [], []
    if held[_TURNS]:
        what = "holds turns that are written as one text, as a CSV has them"
        cure = "Write the data as JSON lines or parquet, whose columns can hold turns"
        errors.append(f"{where(held[_TURNS])}: {what}. {cure}")
    elif held[_LIST]:
        what = "holds a list of Python's, written as a text, brackets and quotes with it"
        warnings.append(f"{where(held[_LIST])}: {what}. Write the text that is meant")
    if len(held[_MISSING]) > 1:  # one may well be the word
        what = "holds what programs write for a missing value (nan, NA, null, None), and it is used as it stands"
        warnings.append(f"{where(held[_MISSING])}: {what}. Remove the row, or leave it where the word is meant")
    return errors, warnings


def _kind_of(text: str) -> str | None:
    """What is odd about a text; None where nothing is. JSON that holds no turns may be an answer like any other."""
    literal = _literal(text)
    if is_conversation(literal):
        return _TURNS
    if isinstance(literal, list | dict):
        return None if _is_json(text) else _LIST
    return _MISSING if text.strip().casefold() in _NO_VALUE else None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


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
