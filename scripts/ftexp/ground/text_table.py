"""Tables for a terminal, and in Markdown."""

from collections.abc import Iterable, Sequence


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns two blanks apart, numbers to the right, under a rule."""
    body = [list(row) for row in rows]
    columns = list(zip(header, *body, strict=True)) if body else [(name,) for name in header]
    widths = [max(map(len, column)) for column in columns]
    to_right = [all(_is_number(value) for value in column[1:]) for column in columns]
    lines = [_line(header, widths, to_right), "  ".join("-" * width for width in widths)]
    return "\n".join(lines + [_line(row, widths, to_right) for row in body])


def _line(values: Sequence[str], widths: list[int], to_right: list[bool]) -> str:
    cells = [v.rjust(w) if right else v.ljust(w) for v, w, right in zip(values, widths, to_right, strict=True)]
    return "  ".join(cells).rstrip()


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The same in Markdown, after an empty line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n" + "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
