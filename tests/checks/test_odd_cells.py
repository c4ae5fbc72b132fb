"""Cells and columns that are not what their owner takes them for are named before anything is trained on them."""

from types import SimpleNamespace
from typing import Any

import pytest
from ftexp.checks.odd_cells import check_odd_texts, check_unshown
from ftexp.checks.rows import Rows
from ftexp.data.conversations import answer_text

TURNS = [{"role": "user", "content": "pist"}, {"role": "assistant", "content": "PIST"}]


def rows_of(rows: list[dict[str, Any]], user: str, input_column: str, output_column: str) -> Rows:
    """Rows as the checks see them, without tokens."""
    made = SimpleNamespace(
        items=[{"item": str(n), "row": row} for n, row in enumerate(rows)], input=input_column, output=output_column,
        prompt={"system": None, "user": user}, where=lambda positions: f"rows {list(positions)}",
    )
    made.texts = lambda item: Rows.texts(made, item)  # type: ignore[arg-type]
    made.answer = lambda item: answer_text(item["row"], input_column, output_column)
    return made  # type: ignore[return-value]


@pytest.mark.parametrize("column", ["system", "tools"])
def test_what_belongs_to_a_conversation_and_stands_beside_it_is_an_error(column: str) -> None:
    rows = [{"messages": TURNS, column: "Answer in capitals."}, {"messages": TURNS, column: ""}]
    errors, warnings = check_unshown(rows_of(rows, "{input}", "messages", "messages"))
    assert errors == [
        f"rows [0]: column '{column}' belongs to the question by its name, and no prompt shows it. Put it into the turns, or "
        "take the column out of the file"
    ] and not warnings
    assert check_unshown(rows_of([{"messages": TURNS, column: None}], "{input}", "messages", "messages")) == ([], [])
    assert check_unshown(rows_of(rows, f"{{{column}}}: {{input}}", "messages", "messages")) == ([], [])


def test_a_column_of_alpaca_that_no_prompt_shows_is_a_warning() -> None:
    rows = [{"instruction": "Capitalise", "input": "pist", "output": "PIST", "system": "Be brief.", "other": "x"}]
    errors, warnings = check_unshown(rows_of(rows, "{instruction}\n{input}", "input", "output"))
    assert not errors and len(warnings) == 1 and warnings[0].startswith("rows [0]: column 'system' belongs to the question")
    assert check_unshown(rows_of([{"a": "x", "output": "y", "system": "z"}], "{a}", "a", "output")) == ([], [])


@pytest.mark.parametrize("text", [str(TURNS), '[{"from": "human", "value": null}]'])
def test_turns_written_as_a_text_are_an_error(text: str) -> None:
    errors, warnings = check_odd_texts(rows_of([{"input": text, "output": "PIST"}], "{input}", "input", "output"))
    assert errors == [
        "rows [0]: holds turns that are written as one text, as a CSV has them. Write the data as JSON lines or parquet, whose "
        "columns can hold turns"
    ] and not warnings


def test_a_list_of_pythons_is_a_warning_and_json_is_an_answer_like_any_other() -> None:
    pairs = [("a", "['PIST']"), ("[b]", '{"name": "don\'t"}'), ("{c", "[1, 2]")]
    rows = [{"input": asked, "output": answer} for asked, answer in pairs]
    errors, warnings = check_odd_texts(rows_of(rows, "{input}", "input", "output"))
    assert not errors and warnings == [
        "rows [0]: holds a list of Python's, written as a text, brackets and quotes with it. Write the text that is meant"
    ]


@pytest.mark.parametrize("word", ["nan", "NA", "null", "None", " <NA> "])
def test_what_programs_write_for_a_missing_value_is_a_warning_where_it_stands_twice(word: str) -> None:
    rows = [{"input": "a", "output": word}, {"input": word, "output": "B"}]
    errors, warnings = check_odd_texts(rows_of(rows, "{input}", "input", "output"))
    assert not errors and len(warnings) == 1
    assert warnings[0].startswith("rows [0, 1]: holds what programs write for a missing value")
    assert check_odd_texts(rows_of(rows[:1], "{input}", "input", "output")) == ([], [])
