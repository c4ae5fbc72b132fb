"""Unicode's normal forms: two texts that look alike, of which one has letter and accent as one character and the other as two."""

import unicodedata
from collections.abc import Iterable


def alike(text: str, others: Iterable[str]) -> str | None:
    """The first of some texts that is another text and the same in its normal form."""
    composed = unicodedata.normalize("NFC", text)
    return next((other for other in others if other != text and unicodedata.normalize("NFC", other) == composed), None)


def difference(text: str, other: str) -> str:
    """How two texts that look alike differ, and what to do."""
    return f"differs in its Unicode normal form only ({_form(other)}; the other is {_form(text)}). Write both in NFC"


def _form(text: str) -> str:
    if unicodedata.is_normalized("NFC", text):
        return "NFC, letter and accent in one"
    return "NFD, letter and accent apart" if unicodedata.is_normalized("NFD", text) else "neither NFC nor NFD"
