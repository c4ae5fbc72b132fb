"""What a cell of the data is as text: what its file says, and a message where it says none."""

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import split as split_stage
from ftexp.data.cell_text import cell_text, text_of
from ftexp.data.prompts import prompt_turns
from ftexp.data.rows import read_items
from ftexp.data.tables import load_rows
from ftexp.ground.errors import UserError

NUMBERS = ["1", "1.0", "-0", "-0.0", "1e-3", "1E5", "0.10", "9007199254740993", "9" * 5000, "1e999"]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def texts(file: str, column: str = "x") -> list[str]:
    rows = load_rows(Path(file))
    assert isinstance(rows, list)
    return [cell_text(row, column) for row in rows]


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_numbers_and_truth_values_of_json_are_the_texts_that_stand_in_the_file(suffix: str) -> None:
    lines = [f'{{"x": {written}}}' for written in [*NUMBERS, "true", "false", '"True"']]
    Path(f"rows.{suffix}").write_text("\n".join(lines) if suffix == "jsonl" else f"[{','.join(lines)}]")
    assert texts(f"rows.{suffix}") == [*NUMBERS, "true", "false", "True"]


def test_a_csv_holds_texts_only() -> None:
    Path("rows.csv").write_text("x\n" + "\n".join([*NUMBERS, "nan", "null", "007", " a "]) + "\n")
    assert texts("rows.csv") == [*NUMBERS, "nan", "null", "007", " a "]


DAY, TIME = datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2, 3, 4, 5)
BERLIN = datetime.timezone(datetime.timedelta(hours=1))
PARQUET: list[tuple[Any, Any, str]] = [
    (pyarrow.int64(), 9007199254740993, "9007199254740993"), (pyarrow.uint64(), 2**64 - 1, "18446744073709551615"),
    (pyarrow.int8(), -1, "-1"), (pyarrow.float64(), 0.1, "0.1"), (pyarrow.float64(), 1e16, "1e+16"),
    (pyarrow.float32(), 0.1, "0.1"), (pyarrow.float32(), 16777216.0, "16777216.0"), (pyarrow.bool_(), True, "true"),
    (pyarrow.decimal128(10, 2), decimal.Decimal("1.10"), "1.10"), (pyarrow.date32(), DAY, "2020-01-02"),
    (pyarrow.timestamp("s"), TIME, "2020-01-02T03:04:05"), (pyarrow.timestamp("ns"), TIME, "2020-01-02T03:04:05"),
    (pyarrow.timestamp("ns"), 1, "1970-01-01T00:00:00.000000001"),
    (pyarrow.timestamp("us", "+01:00"), TIME.replace(tzinfo=BERLIN), "2020-01-02T03:04:05+01:00"),
    (pyarrow.time64("us"), TIME.time(), "03:04:05"), (pyarrow.large_string(), "a", "a"),
    (pyarrow.dictionary(pyarrow.int8(), pyarrow.string()), "a", "a"),
]


@pytest.mark.parametrize(("kind", "value", "text"), PARQUET, ids=[f"{kind} {text}" for kind, _, text in PARQUET])
def test_a_value_of_parquet_is_text_by_its_own_type_though_another_row_has_none(kind: Any, value: Any, text: str) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"x": pyarrow.array([value, None], kind)}), "rows.parquet")
    rows = load_rows(Path("rows.parquet"))
    assert isinstance(rows, list) and cell_text(rows[0], "x") == text
    with pytest.raises(UserError, match="rows.parquet: row 2: column 'x' holds null"):
        cell_text(rows[1], "x")


WITHOUT: dict[str, tuple[Any, str]] = {
    "null": (None, "null"), "NaN": (float("nan"), "NaN"), "an infinity": (float("-inf"), "minus infinity"),
    "a list": (["a"], "a list (['a'])"), "a mapping": ({"text": ["a"]}, "a mapping ({'text': ['a']})"),
}


@pytest.mark.parametrize(("value", "named"), WITHOUT.values(), ids=WITHOUT)
@pytest.mark.parametrize("suffix", ["json", "jsonl", "parquet"])
def test_what_has_no_text_is_refused_with_file_row_and_column(value: Any, named: str, suffix: str) -> None:
    rows = [{"x": value, "y": "b"}] * 3
    if suffix == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), "rows.parquet")
    else:
        Path(f"rows.{suffix}").write_text(json.dumps(rows) if suffix == "json" else "\n".join(map(json.dumps, rows)))
    read = load_rows(Path(f"rows.{suffix}"))
    assert isinstance(read, list)
    for ask in (lambda row: cell_text(row, "x"), lambda row: prompt_turns({"system": None, "user": "{x}{y}"}, "y", row)):
        with pytest.raises(UserError) as error:
            ask(read[2])
        assert f"rows.{suffix}: row 3: column 'x' holds {named}, which has no text of its own. " in str(error.value)
        assert "\n" not in str(error.value)


def test_bytes_and_lengths_of_time_have_no_text() -> None:
    assert text_of(b"a") is None and text_of(datetime.timedelta(1)) is None and text_of(decimal.Decimal("NaN")) is None
    table = {"x": pyarrow.array([b"\x00"]), "y": pyarrow.array([datetime.timedelta(1)])}
    pyarrow.parquet.write_table(pyarrow.table(table), "rows.parquet")
    (row,) = load_rows(Path("rows.parquet"))
    for column in "xy":
        with pytest.raises(UserError, match=f"row 1: column '{column}' holds a mapping"):
            cell_text(row, column)


def test_a_part_of_a_split_reads_back_as_it_was_written() -> None:
    Path("rows.jsonl").write_text('{"x": 1.0, "y": null, "z": ["é", 2], "w": true, "v": NaN}\n')
    rows = load_rows(Path("rows.jsonl"))
    assert isinstance(rows, list)
    Path("part.jsonl").write_text(split_stage._json_lines([{"item": "a", "row": row} for row in rows]), encoding="utf-8")
    (item,) = read_items(Path("part.jsonl"))
    wanted = {"x": "1.0", "y": None, "z": ["é", "2"], "w": "true", "v": float("nan")}
    assert repr(dict(item["row"])) == repr(dict(rows[0])) == repr(wanted)
    with pytest.raises(UserError, match="part.jsonl: item a: column 'y' holds null"):
        cell_text(item["row"], "y")
