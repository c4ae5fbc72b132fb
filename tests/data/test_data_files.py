"""Dialects and encodings of data files: what is read is what the file says, or one message says why not."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from ftexp.data.cell_text import cell_text
from ftexp.data.tables import load_rows
from ftexp.ground.errors import UserError
from hypothesis import given, settings
from hypothesis import strategies as st

ROWS = [{"input": "a, b; c", "output": "ä|\t1"}, {"input": 'say "x"', "output": "two\nlines"}, {"input": " é ", "output": "0.10"}]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(name: str, content: bytes | str) -> list[dict[str, Any]]:
    path = Path(name)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    rows = load_rows(path)
    assert isinstance(rows, list)
    return [dict(row) for row in rows]


def as_csv(rows: list[dict[str, Any]], **dialect: Any) -> str:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(rows[0]), **dialect)
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["x.csv", "X.CSV", "x.tsv"])
def test_a_csv_of_any_separator_and_line_end_is_read_as_it_is_written(name: str, separator: str, end: str) -> None:
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL) if "\n" in end else (csv.QUOTE_ALL,):
        text = as_csv(ROWS, delimiter=separator, lineterminator=end, quoting=quoting)
        assert read(name, text) == read(name, b"\xef\xbb\xbf" + text.encode()) == ROWS
        assert read(name, f"{end}{text}{end}{end}") == ROWS, "empty lines are no rows"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "X.JSON", "x.ndjson"])
def test_json_is_read_as_a_list_or_by_lines_whatever_its_suffix_says(name: str, mark: bytes) -> None:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in ROWS)
    for text in (lines, lines.replace("\r\n", "\n\n"), json.dumps(ROWS), json.dumps(ROWS, indent=1)):
        assert read(name, mark + text.encode()) == ROWS


def test_an_upper_case_parquet_is_parquet() -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), "x.parquet")
    assert read("X.PARQUET", Path("x.parquet").read_bytes()) == ROWS


WRONG: dict[str, tuple[str, bytes, str]] = {
    "Latin-1": ("x.csv", "input,output\nä,b\n".encode("latin-1"), "x.csv: not UTF-8 text, at byte 13. Save it as UTF-8."),
    "UTF-16": ("x.csv", "input,output\na,b\n".encode("utf-16"), "x.csv: not UTF-8 text, at byte 0. Save it as UTF-8."),
    "UTF-16 without its mark": ("x.csv", "input,output\na,b\n".encode("utf-16-le"), "x.csv: not UTF-8 text, at byte 1, which"),
    "a packed file": ("x.csv.gz", b"\x1f\x8b", "x.csv.gz: must be one of .json, .jsonl, .csv, .parquet, got '.gz'. Unpack it."),
    "Excel's first line": ("x.csv", b"sep=;\ninput;output\na;b\n", "x.csv: line 1: 'sep=;' is for Excel, and no header. Remove"),
    "two separators": ("x.csv", b"input,a;output\nx,b;c\n", "x.csv: may be separated by a comma or a semicolon: either gives"),
    "a semicolon in no quotes": ("x.csv", b"input;output\na;b\nc;d;e\n", "x.csv: row 3: has not as many fields as the header has "
                                 "columns. Correct it; a text with semicolons stands in quotes."),
    "a quote after a blank": ("x.csv", b'input,output\na, "b"\n', "x.csv: row 2: has a quote after a blank, which would be"),
    "backslashes before quotes": ("x.csv", b'input,output\n"a \\"b\\"",c\n', "x.csv: line 2: not readable as CSV: "),
    "JSON of columns": ("x.json", b'{"input": {"0": "a"}, "output": {"0": "b"}}', "x.json: a JSON mapping must have the keys"),
    "a list a line": ("x.jsonl", b'["a"]\n["b"]\n', "x.jsonl: line 2: not readable as JSON: Extra data. Correct the file."),
    "two rows on a line": ("x.jsonl", b'{"a": 1} {"b": 2}\n', "x.jsonl: line 1: not readable as JSON: Extra data. Correct the"),
    "a comma after the last row": ("x.json", b'[{"a": 1},]', "x.json: line 1: not readable as JSON: "),
    "numbers for rows": ("x.json", b"[1]", "x.json: must hold a list of rows, each a mapping of columns. Write it so."),
    "a text for rows": ("x.json", b'"abc"', "x.json: must hold a list of rows, each a mapping of columns. Write it so."),
}


@pytest.mark.parametrize(("name", "content", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_read_for_sure_is_refused_by_one_message(name: str, content: bytes, message: str) -> None:
    with pytest.raises(UserError) as error:
        read(name, content)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


COLUMNS = st.lists(st.sampled_from(["input", "output", "a b", "é", "x;y", "n|m", "1"]), min_size=2, max_size=4, unique=True)
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8) | st.text(
    st.sampled_from("a1 ,;|\t\"'\n\\\ufeff\u2028\x85{}[]"), max_size=6
)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, str]]:
    columns = draw(COLUMNS)
    return draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, CELLS)), min_size=1, max_size=4))


@given(
    tables(), st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"]),
)
@settings(max_examples=200, deadline=None)
def test_any_csv_is_read_as_it_was_written_or_refused(
    rows: list[dict[str, str]], separator: str, end: str, quoting: Any, encoding: str
) -> None:
    text = as_csv(rows, delimiter=separator, lineterminator=end, quoting=quoting)
    content = text.encode(encoding, "ignore")
    try:
        found = read("x.csv", content)
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert found == rows or (encoding in ("latin-1", "cp1252") and not text.isascii())


VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.integers(), st.floats(), st.booleans(), st.none(),
    st.lists(st.text(max_size=2), max_size=2), st.dictionaries(st.text("ab", max_size=2), st.integers(), max_size=2),
)


@given(
    st.lists(st.fixed_dictionaries({"input": VALUES, "output": VALUES}), min_size=1, max_size=4),
    st.sampled_from(["x.json", "x.jsonl", "X.JSONL"]), st.booleans(), st.booleans(), st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_every_cell_of_any_json_is_the_text_that_stands_there_or_refused(
    rows: list[dict[str, Any]], name: str, is_of_lines: bool, is_ascii: bool, has_mark: bool
) -> None:
    written = [json.dumps(row, ensure_ascii=is_ascii) for row in rows]
    text = "\n".join(written) if is_of_lines and len(rows) > 1 else f"[{', '.join(written)}]"
    Path(name).write_text(text, encoding="utf-8-sig" if has_mark else "utf-8")
    try:
        found = load_rows(Path(name))
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert isinstance(found, list) and len(found) == len(rows)
    for row, wanted in zip(found, rows, strict=True):
        for column, value in wanted.items():
            is_no_number = json.dumps(value) in ("NaN", "Infinity", "-Infinity")
            if not (value is None or isinstance(value, list | dict) or is_no_number):
                assert cell_text(row, column) == (value if isinstance(value, str) else json.dumps(value))
            else:
                with pytest.raises(UserError, match=f"{name}: row .*: column '{column}' holds "):
                    cell_text(row, column)
