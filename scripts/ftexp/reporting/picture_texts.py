"""Texts of others, labels above all, made fit to stand in a picture: short, on one line, in letters that its font has."""

import functools
import string
import textwrap
from collections.abc import Sequence
from pathlib import Path

LONGEST = 24
TITLE_WIDTH, TITLE_LINES = 40, 2
NUMBERED = "Texts that the figure's letters cannot show are numbered in the order of the table."


def fitted(texts: Sequence[str], longest: int = LONGEST) -> list[str]:
    """Each text on one line and cut to `longest` characters; those alike after the cut get their numbers, from 1.

    A text with a letter that the font lacks is its number alone: `no. 3`.
    """
    lines = [" ".join(text.split()) for text in texts]
    short = [line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…" for line in lines]
    counts = {text: short.count(text) for text in short}
    return [
        f"no. {number}" if not is_drawable(text) else text if counts[text] == 1 else f"{number}: {text}"
        for number, text in enumerate(short, 1)
    ]


def is_numbered(texts: Sequence[str]) -> bool:
    """Whether a picture shows numbers in place of some of these texts."""
    return not all(is_drawable(text) for text in texts)


def panel_title(text: str) -> str:
    """A title over a part of a picture: two short lines at most, without letters that the font lacks."""
    drawable = "".join(letter if letter.isspace() or is_drawable(letter) else "?" for letter in text)
    lines = textwrap.wrap(drawable, TITLE_WIDTH, max_lines=TITLE_LINES, placeholder=" …")
    return "\n".join(lines)


def lettered(titles: Sequence[str]) -> list[tuple[str, str]]:
    """Titles of a picture's parts, after what a caption calls each: `(a)`, `(b)`, ... of several; its title where it is alone."""
    if len(titles) == 1:
        return [(f"{titles[0]}:", titles[0])]
    return [(f"({letter})", f"({letter}) {title}") for letter, title in zip(string.ascii_lowercase, titles, strict=False)]


def is_drawable(text: str) -> bool:
    """Whether the font of our pictures has every letter of a text, blanks aside."""
    known = _letters()
    return bool(text.strip()) and all(ord(letter) in known or letter.isspace() for letter in text)


@functools.cache
def _letters() -> frozenset[int]:
    """Code points of DejaVu Sans, which comes with matplotlib."""
    import matplotlib
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))).get_charmap())
