"""The texts of a level: in a run's id, in a cell of a table, in a plot or a sentence."""

import re
from typing import Any


def id_text(level: Any) -> str:
    """A level as it stands in an id: numbers canonical, otherwise only `[A-Za-z0-9.+-]`."""
    if level is None or isinstance(level, bool):
        return {None: "none", True: "true", False: "false"}[level]
    if isinstance(level, int | float):
        return number_text(level)
    if isinstance(level, list):
        return "+".join(map(id_text, level))
    return re.sub(r"[^A-Za-z0-9.+-]", "-", str(level))


def number_text(value: float) -> str:
    """The one text of a number: 0.0001 and 1e-4 are both `1e-4`, 16.0 is `16`, 0.5 is `0.5`."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    if 0.01 <= abs(value) < 1e6:
        return repr(float(value))
    shortest = next(text for digits in range(17) if float(text := f"{float(value):.{digits}e}") == value)
    mantissa, _, exponent = shortest.partition("e")
    return f"{mantissa}e{int(exponent)}"


def table_text(value: Any) -> str:
    """A level, or another value, as it stands in a cell of runs.csv and results.csv: null is empty, a list is joined by '+'."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "+".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def label_text(level: Any) -> str:
    """A level as it stands in a plot, a sentence and the table of effects."""
    if level is None or isinstance(level, bool):
        return {None: "none", True: "true", False: "false"}[level]
    if isinstance(level, int | float):
        return "1.0" if isinstance(level, float) and level == 1 else number_text(level)  # as a share of rows 1.0 is not 1
    return "+".join(map(label_text, level)) if isinstance(level, list) else str(level)
