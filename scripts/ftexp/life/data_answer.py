"""The answer to cookiecutter's question about data: a file, and its columns."""

import os
from pathlib import Path

from ftexp.data.tables import load_rows
from ftexp.ground.errors import UserError, one_line

DEMO_DATA = "demo"


def data_answer(answer: str, template_dir: Path) -> tuple[Path, str, str]:
    """File, input column and output column of the answer `FILE` or `FILE:INPUT:OUTPUT`."""
    if answer == DEMO_DATA:
        return template_dir / "data" / "words.json", "input", "output"
    name, *columns = answer.split(":")
    if len(columns) not in (0, 2):
        raise UserError(f"data: must be FILE or FILE:INPUT_COLUMN:OUTPUT_COLUMN, got '{one_line(answer)}'.")
    file = existing_file(name, "data")
    column_in, column_out = columns or ("input", "output")
    have = _columns(file)
    missing = [column for column in (column_in, column_out) if column not in have]
    if missing:
        raise UserError(
            f"data: {name} has no column {' and '.join(repr(c) for c in missing)}; it has {', '.join(have)}. "
            f"Write data={name}:INPUT_COLUMN:OUTPUT_COLUMN."
        )
    return file, column_in, column_out


def existing_file(name: str, key: str) -> Path:
    """The file that an answer names, by a path from the folder of whoever answers.

    Raises:
        UserError: If there is none.
    """
    path = Path(os.path.expanduser(name)).resolve()
    if not os.path.isfile(path):
        where = f"'{one_line(name)}' (looked for {one_line(str(path))})"
        raise UserError(f"{key}: there is no file {where}. Give a path relative to the folder you are in.")
    return path


def _columns(file: Path) -> list[str]:
    """Columns of the first row; none where they cannot be read here (parquet without pyarrow)."""
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
    return [str(column) for column in rows[0]]
