"""The answer to cookiecutter's question about data: a file, its columns, and the prompt that shows them."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from ftexp.data.cell_text import Row
from ftexp.data.conversations import is_conversation
from ftexp.data.tables import load_rows
from ftexp.ground.errors import UserError, one_line
from ftexp.ground.normal_forms import alike, difference

DEMO_DATA = "demo"
_FORMS = "FILE, FILE:INPUT_COLUMN:OUTPUT_COLUMN, or FILE:COLUMN for a column of conversations"


@dataclass(frozen=True)
class DataAnswer:
    """What experiment.yaml says of the data.

    Attributes:
        user: prompt.user, which shows a row.
        parts: Those that the file has for training, testing and perhaps validating; empty of rows that are to be split.
    """

    file: Path
    input: str
    output: str
    user: str = "{input}"
    parts: tuple[str, ...] = ()


def data_answer(answer: str, template_dir: Path) -> DataAnswer:
    """What the answer means; where it names no columns, by the columns that the file has.

    Those are `input` and `output`; with Alpaca's `instruction` beside them, which the prompt then shows before the input; whole
    conversations in `messages` or `conversations`; or `prompt` and `completion`.

    Raises:
        UserError: If there is no such file or column, or what the file has is not known.
    """
    if answer == DEMO_DATA:
        return DataAnswer(template_dir / "data" / "words.json", "input", "output")
    name, columns = _name_and_columns(answer)
    file = existing_file(name, "data")
    row, parts = _first_row(file)
    answered = _by_named_columns(file, name, row, columns) if columns else _by_its_columns(file, name, row)
    return replace(answered, parts=parts)


def _by_named_columns(file: Path, name: str, row: Row, columns: list[str]) -> DataAnswer:
    missing = [column for column in columns if column not in row]
    if missing:
        raise _no_column(name, missing, row)
    column_in, column_out = columns[0], columns[-1]
    if len(columns) == 1 and not is_conversation(row[column_in]):
        what = f"column '{one_line(column_in)}' holds no conversation, a list of turns with role and content or from and value"
        raise UserError(f"data: {name}: {what}. Write data={name}:INPUT_COLUMN:OUTPUT_COLUMN.")
    is_taken = "input" in row and column_in != "input"  # `{input}` would mean two columns
    return DataAnswer(file, column_in, column_out, "{" + column_in + "}" if is_taken else "{input}")


def _name_and_columns(answer: str) -> tuple[str, list[str]]:
    """The file, whose own name may hold a colon, and no, one or two columns."""
    for count in (0, 1, 2):
        name, *columns = answer.rsplit(":", count)
        if len(columns) == count and os.path.isfile(os.path.expanduser(name)):
            return name, columns
    name, *columns = answer.split(":")
    if len(columns) > 2:
        raise UserError(f"data: must be {_FORMS}, got '{one_line(answer)}'.")
    return name, columns


def _by_its_columns(file: Path, name: str, row: Row) -> DataAnswer:
    if "input" in row and "output" in row:
        return DataAnswer(file, "input", "output", "{instruction}\n{input}" if "instruction" in row else "{input}")
    for column in ("messages", "conversations"):
        if is_conversation(row.get(column)):
            return DataAnswer(file, column, column)
    if "prompt" in row and "completion" in row:
        return DataAnswer(file, "prompt", "completion")
    raise _no_column(name, [column for column in ("input", "output") if column not in row], row)


def _no_column(name: str, missing: list[str], row: Row) -> UserError:
    what = f"has no column {' and '.join(repr(column) for column in missing)}; it has {one_line(', '.join(row))}"
    pairs = ((column, alike(column, row)) for column in missing)
    what += "".join(f"; '{other}' {difference(column, other)}" for column, other in pairs if other is not None)
    return UserError(f"data: {name} {what}. Write data={name}:INPUT_COLUMN:OUTPUT_COLUMN.")


def existing_file(name: str, key: str) -> Path:
    """The file that an answer names, by a path from the folder of whoever answers.

    Raises:
        UserError: If there is none.
    """
    path = Path(os.path.abspath(os.path.expanduser(name)))  # a link's own name, not that of what it leads to
    if not os.path.isfile(path):
        where = f"'{one_line(name)}' (looked for {one_line(str(path))})"
        raise UserError(f"{key}: there is no file {where}. Give a path relative to the folder you are in.")
    return path


def _first_row(file: Path) -> tuple[Row, tuple[str, ...]]:
    """The first row, which shows the columns, and the parts that the file has."""
    try:
        content = load_rows(file)
    except ImportError as error:
        raise UserError(
            f"data: {file.name} is parquet, which cookiecutter's own Python cannot read. "
            "Run the template's `make setup` and use .venv/bin/cookiecutter, or convert the file to jsonl."
        ) from error
    rows = content["train"] if isinstance(content, dict) else content
    if not rows:
        raise UserError(f"data: {file.name} has no rows.")
    return rows[0], tuple(content) if isinstance(content, dict) else ()
