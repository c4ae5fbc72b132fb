"""Where the beginning of a document ends that a model is to complete: after so many sentences or words, or a share of them.

A sentence ends with `.`, `!` or `?`, quotes and brackets that close after it among it, where a blank or the end of the text
follows; and with their full-width forms, which need no blank. Nothing else is known of a language: `e.g. this` are two sentences.
A word is what stands between blanks. Of tokens, whose number depends on the model, only the arithmetic is here.
"""

import re
from collections.abc import Mapping

from ftexp.data.cell_text import Row, cell_text, where
from ftexp.ground.errors import UserError, one_line

SENTENCES, WORDS, TOKENS = UNITS = ("sentences", "words", "tokens")
_END_OF_SENTENCE = re.compile(r"[.!?]+[\"'”’»)\]]*(?=\s|$)|[。．！？｡]+[”’」』）]*")
_WORD = re.compile(r"\S+")


def cut_place(row: Row, column: str, after: Mapping[str, float]) -> int:
    """How many characters of a row's document its beginning has; blanks that follow are not among them.

    Args:
        after: A unit but tokens, and its number or share.

    Raises:
        UserError: If the document has no such beginning, or nothing would be left.
    """
    text = cell_text(row, column)
    unit, amount = next(iter(after.items()))
    ends = _ends(text, unit)
    return ends[units_before(len(ends), unit, amount, f"{where(row)}: column '{one_line(column)}'") - 1]


def rest_of(document: str, end: int) -> str:
    """The reference of a document that is cut after so many characters, outer blanks aside."""
    return document[end:].strip()


def units_before(count: int, unit: str, amount: float, of: str) -> int:
    """How many units a beginning has: the number, or the share rounded to the nearest, a half to the even number; one is left.

    Raises:
        UserError: If there are too few, in the words of what they are `of`.
    """
    if count < 2 or amount >= count:
        has = f"has {count} {unit if count != 1 else unit.removesuffix('s')}"
        what = f"{has}, of which no beginning and rest can be made" if count < 2 else f"{has}, and {amount} are asked for"
        raise UserError(f"{of}: {what} (evaluation.tasks: complete). Leave the row out, or cut after less.")
    return max(1, min(count - 1, round(amount * count))) if amount < 1 else int(amount)


def _ends(text: str, unit: str) -> list[int]:
    """Where each unit ends; what follows the last end of a sentence is one more."""
    if unit == WORDS:
        return [found.end() for found in _WORD.finditer(text)]
    ends = [found.end() for found in _END_OF_SENTENCE.finditer(text)]
    return [*ends, len(text)] if text[ends[-1] if ends else 0 :].strip() else ends
