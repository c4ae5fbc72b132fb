"""Splits: a function of the data section alone, each half by itself."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
from ftexp.data.held_out import TrainingSet, training_items
from ftexp.data.splits import DEFAULT_SPLIT, PARTS, Sources, half_of, set_name
from ftexp.ground.errors import UserError

Rows = list[dict[str, Any]]
ROWS: Rows = [{"input": f"word{i}", "output": f"WORD{i}", "length": "ab"[i % 2], "family": f"f{i // 7}"} for i in range(200)]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _data(rows: Any = None, **changes: Any) -> dict[str, Any]:
    """A data section on a file with these rows; `changes` to its split, or to itself."""
    if rows is not None:
        Path("rows.json").write_text(json.dumps(rows))
    section: dict[str, Any] = {
        key: changes.pop(key)
        for key in ("source", "train", "test", "output")
        if key in changes and isinstance(changes[key], str)
    }
    split = {**DEFAULT_SPLIT, **changes} if changes else None
    return {
        "source": "rows.json",
        "train": None,
        "test": None,
        "split": split,
        "input": "input",
        "output": "output",
        **section,
    }


def _split(data: dict[str, Any]) -> dict[str, list[str]]:
    """The inputs of each part, what is tested held out of what trains under the plainest prompt."""
    sources, asked = Sources(), half_of(data, "test")
    kept = training_items(sources, TrainingSet(half_of(data, "train"), ("{input}",), (asked,)))
    return {"train": _inputs(kept.items), "test": _inputs(sources.test_items(asked))}


def _inputs(items: list[dict[str, Any]]) -> list[str]:
    return [item["row"]["input"] for item in items]


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    first, again, other = _split(_data(ROWS, seed=1)), _split(_data(ROWS, seed=1)), _split(_data(ROWS, seed=2))
    assert first == again
    assert set(first["test"]) != set(other["test"])
    assert first["train"] != sorted(first["train"])


def test_every_row_is_in_one_part_and_the_shares_are_kept() -> None:
    split = _split(_data(ROWS))
    assert [len(split[part]) for part in PARTS] == [160, 40]
    assert sorted(sum(split.values(), [])) == sorted(row["input"] for row in ROWS)


@pytest.mark.parametrize("kind", ["source", "parts", "files", "stratify"])
def test_train_sizes_are_nested_and_the_same_for_all_seeds_of_a_run(kind: str) -> None:
    """`train_size` takes a prefix of the split's order, and a run's seed is no argument of the split."""
    Path("train.json").write_text(json.dumps(ROWS[:150]))
    Path("test.json").write_text(json.dumps(ROWS[150:]))
    data = {
        "source": lambda: _data(ROWS),
        "parts": lambda: _data({"train": ROWS[:150], "test": ROWS[150:]}),
        "files": lambda: {**_data(train="train.json", test="test.json"), "source": None},
        "stratify": lambda: _data(ROWS, stratify="length"),
    }[kind]()
    order = _split(data)["train"]
    assert order == _split(dict(data))["train"]
    kinds = {row["input"]: row["length"] for row in ROWS}
    for size in (30, 60, 120):
        share = sum(kinds[word] == "a" for word in order[:size]) / size
        assert 0.25 < share < 0.75, "a prefix is a sample of the rows, not their first block"
    assert order != [row["input"] for row in ROWS if row["input"] in set(order)]


def test_stratify_keeps_the_shares_of_every_value() -> None:
    rows = [{**row, "length": "rare" if i < 40 else "common"} for i, row in enumerate(ROWS)]
    split = _split(_data(rows, stratify="length"))
    rare = {row["input"] for row in rows[:40]}
    assert [len(rare & set(split[part])) for part in PARTS] == [32, 8]


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_cut(seed: int) -> None:
    split = _split(_data(ROWS, group="family", seed=seed))
    family_of = {row["input"]: row["family"] for row in ROWS}
    families = [{family_of[text] for text in split[part]} for part in PARTS]
    assert not families[0] & families[1]
    assert 34 <= len(split["test"]) <= 47


def test_explicit_sources_keep_their_rows() -> None:
    for name, rows in (("a", ROWS[:50]), ("b", ROWS[50:60])):
        Path(f"{name}.json").write_text(json.dumps(rows))
    split = _split({**_data(train="a.json", test="b.json"), "source": None})
    assert [set(split[part]) for part in PARTS] == [{row["input"] for row in rows} for rows in (ROWS[:50], ROWS[50:60])]


def test_one_json_of_parts_is_split_already() -> None:
    split = _split(_data({"train": ROWS[:50], "test": ROWS[50:60]}))
    assert [len(split[part]) for part in PARTS] == [50, 10]
    assert split["test"] == [row["input"] for row in ROWS[50:60]]
    with pytest.raises(UserError, match=r"data.split: rows.json is split already \(train, test\)"):
        _split(_data({"train": ROWS[:50], "test": ROWS[50:60]}, seed=1))


def test_csv_jsonl_parquet_and_json_give_the_same_split() -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [*ROWS, {"input": 'a, "b"\nc', "output": "é", "length": "a", "family": " x "}]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    with Path("rows.csv").open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), "rows.parquet")
    first = _split(_data(rows))
    for suffix in ("jsonl", "csv", "parquet"):
        assert _split(_data(source=f"rows.{suffix}")) == first, suffix


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:2], "no row is left for test"),
        ([], "rows.json: has no rows. Put the data there"),
        ([ROWS[0]] * 50, "no row is left for train"),
        ({"train": ROWS[:5], "test": []}, "no row is left for test"),
        (
            [*ROWS[:20], {"input": "x"}],
            "row [0-9]+: has no column 'output', which experiment.yaml names as data.output. Its columns: input",
        ),
        ([*ROWS[:20], {"input": None, "output": "x"}], "row [0-9]+: column 'input' holds null, which has no text of its own"),
        ([*ROWS[:20], {"input": "x", "output": "  "}], "column 'output' is empty, got '  '"),
        ({"train": ROWS}, "rows.json: a JSON mapping must have the keys train and test, and may have validation, got train"),
        ({"train": ROWS, "test": {}}, "rows.json: test: must hold a list of rows"),
        ([1, 2], "rows.json: must hold a list of rows"),
        ("text", "rows.json: must hold a list of rows"),
    ],
)
def test_rows_that_cannot_be_split_are_refused_by_one_message(rows: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        _split(_data(rows))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b"[{", "x.json: line 1: not readable as JSON"),
        ("x.json", b"\xff", "x.json: not UTF-8 text, at byte 0"),
        ("x.jsonl", b'{"input": "a"}\n{\n', "x.jsonl: line 2: not readable as JSON"),
        ("x.csv", b"input,output\na\n", "x.csv: row 2: has not as many fields"),
        ("x.csv", b'input,output\n"a,b\n', "x.csv: line 2: not readable as CSV: unexpected end of data"),
        ("x.parquet", b"PAR1", "x.parquet: not readable as parquet"),
        ("x.xlsx", b"", "x.xlsx: must be one of .json, .jsonl, .csv, .parquet, got '.xlsx'"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_one_message(name: str, content: bytes, message: str) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        _split(_data(source=name))


@pytest.mark.parametrize("name", ["missing.json", "x" * 300 + ".json", "a\0b.json"])
def test_a_source_that_is_not_there_is_refused_by_one_message(name: str) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        _split(_data(source=name))


def test_a_column_that_split_names_must_exist() -> None:
    with pytest.raises(UserError, match="rows.json: row 1: has no column 'colour', which data.split names"):
        _split(_data(ROWS, stratify="colour"))


def test_item_ids_are_stable_and_unique() -> None:
    rows = [*ROWS, ROWS[0], ROWS[0], {**ROWS[1], "output": "other"}]
    half = half_of(_data({"train": ROWS[:1], "test": rows}), "test")
    ids = {item["item"]: item["row"] for item in Sources().test_items(half)}
    assert len(ids) == len(rows)
    random.Random(1).shuffle(rows)
    _data({"train": ROWS[:1], "test": rows})
    assert {item["item"]: item["row"] for item in Sources().test_items(half)} == ids
    assert sorted(i for i in ids if i.endswith(("-2", "-3"))) == sorted(
        f"{i}-{n}" for i in ids for n in (2, 3) if ids[i] == ROWS[0] and "-" not in i
    )


def test_a_set_of_rows_has_a_name_of_its_own_for_every_half() -> None:
    sections = [
        _data(),
        _data(seed=1),
        _data(group="family"),
        _data(source="rows.csv"),
        _data(source="b/rows.json"),
        _data(output="input"),
    ]
    names = {set_name(half_of(section, "train")) for section in sections}
    assert len(names) == len(sections)
    assert names == {set_name(half_of(section, "test")) for section in sections}, "one file, split here, makes both parts"
    assert set_name(half_of(_data(), "test")) == set_name(half_of(dict(reversed(_data().items())), "test"))


def test_another_test_file_renames_no_training_set() -> None:
    one, other = ({**_data(train="a.json", test=test), "source": None} for test in ("b.json", "c.json"))
    assert half_of(one, "train") == half_of(other, "train") == {"train": "a.json", "input": "input", "output": "output"}
    assert set_name(half_of(one, "test")) != set_name(half_of(other, "test"))
