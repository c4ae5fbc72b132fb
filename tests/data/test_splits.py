"""Splits: a function of the data section alone, without a test input among the training rows."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
import split as split_stage
from ftexp.data.rows import read_items
from ftexp.data.splits import DEFAULT_SPLIT, PARTS, Split, make_split, split_name
from ftexp.design.planning import make_plan, write_plan
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
        for key in ("source", "train", "validation", "test", "output")
        if key in changes and isinstance(changes[key], str)
    }
    split = {**DEFAULT_SPLIT, **changes} if changes else None
    return {
        "source": "rows.json",
        "train": None,
        "validation": None,
        "test": None,
        "split": split,
        "input": "input",
        "output": "output",
        **section,
    }


def _inputs(split: Split, part: str) -> list[str]:
    return [item["row"]["input"] for item in split.rows[part]]


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    first, again, other = make_split(_data(ROWS, seed=1)), make_split(_data(ROWS, seed=1)), make_split(_data(ROWS, seed=2))
    assert first == again
    assert set(_inputs(first, "test")) != set(_inputs(other, "test"))
    assert _inputs(first, "train") != sorted(_inputs(first, "train"))


def test_every_row_is_in_one_part_and_the_shares_are_kept() -> None:
    split = make_split(_data(ROWS))
    assert [len(split.rows[part]) for part in PARTS] == [160, 20, 20]
    assert sorted(sum((_inputs(split, part) for part in PARTS), [])) == sorted(row["input"] for row in ROWS)


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
    order = _inputs(make_split(data), "train")
    assert order == _inputs(make_split(dict(data)), "train")
    kinds = {row["input"]: row["length"] for row in ROWS}
    for size in (30, 60, 120):
        share = sum(kinds[word] == "a" for word in order[:size]) / size
        assert 0.25 < share < 0.75, "a prefix is a sample of the rows, not their first block"
    assert order != [row["input"] for row in ROWS if row["input"] in set(order)]


def test_of_a_duplicate_the_test_copy_stays_and_the_training_copy_goes_counted() -> None:
    rows = {
        "train": [*ROWS[:10], ROWS[20], {"input": "word21", "output": "other"}, ROWS[30]],
        "validation": [ROWS[30], ROWS[21]],
        "test": ROWS[20:22],
    }
    split = make_split(_data(rows))
    assert _inputs(split, "test") == ["word20", "word21"]
    assert _inputs(split, "validation") == ["word30"]
    assert sorted(_inputs(split, "train")) == sorted(row["input"] for row in ROWS[:10])
    assert split.removed == {"test": 0, "validation": 1, "train": 3}


def test_no_test_input_is_trained_on_whatever_the_seed() -> None:
    rows = [*ROWS[:60], *[{**row, "output": "again"} for row in ROWS[:30]]]
    for seed in range(20):
        split = make_split(_data(rows, seed=seed))
        assert not set(_inputs(split, "train")) & set(_inputs(split, "test"))
        assert len(rows) == sum(map(len, split.rows.values())) + sum(split.removed.values())
        assert split.removed["test"] == 0


def test_stratify_keeps_the_shares_of_every_value() -> None:
    rows = [{**row, "length": "rare" if i < 40 else "common"} for i, row in enumerate(ROWS)]
    split = make_split(_data(rows, stratify="length"))
    for part, count in (("train", 32), ("validation", 4), ("test", 4)):
        assert sum(item["row"]["length"] == "rare" for item in split.rows[part]) == count


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_cut(seed: int) -> None:
    split = make_split(_data(ROWS, group="family", seed=seed))
    families = [{item["row"]["family"] for item in split.rows[part]} for part in PARTS]
    assert not families[0] & families[1] and not families[0] & families[2] and not families[1] & families[2]
    assert 14 <= len(split.rows["test"]) <= 27


def test_explicit_sources_keep_their_rows() -> None:
    for name, rows in (("a", ROWS[:50]), ("b", ROWS[50:60]), ("c", ROWS[60:70])):
        Path(f"{name}.json").write_text(json.dumps(rows))
    split = make_split({**_data(train="a.json", validation="c.json", test="b.json"), "source": None})
    assert [set(_inputs(split, part)) for part in PARTS] == [
        {row["input"] for row in rows} for rows in (ROWS[:50], ROWS[60:70], ROWS[50:60])
    ]


def test_a_control_needs_a_test_file_only_and_has_the_items_of_the_trained_runs() -> None:
    for name, rows in (("a", ROWS[:50]), ("b", ROWS[45:60])):
        Path(f"{name}.json").write_text(json.dumps(rows))
    trained = make_split({**_data(train="a.json", test="b.json"), "source": None})
    control = make_split({**_data(test="b.json"), "source": None})
    assert control.rows["test"] == trained.rows["test"]
    assert (control.rows["train"], len(trained.rows["train"])) == ([], 45)


def test_one_json_of_parts_is_split_already() -> None:
    split = make_split(_data({"train": ROWS[:50], "test": ROWS[50:60]}))
    assert [len(split.rows[part]) for part in PARTS] == [50, 0, 10]
    assert _inputs(split, "test") == [row["input"] for row in ROWS[50:60]]
    with pytest.raises(UserError, match=r"data.split: rows.json is split already \(train, test\)"):
        make_split(_data({"train": ROWS[:50], "test": ROWS[50:60]}, seed=1))


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
    first = make_split(_data(rows))
    for suffix in ("jsonl", "csv", "parquet"):
        assert make_split(_data(source=f"rows.{suffix}")) == first, suffix


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
        ({"train": ROWS}, "rows.json: a JSON mapping must have the keys train and test"),
        ({"train": ROWS, "test": {}}, "rows.json: test: must hold a list of rows"),
        ([1, 2], "rows.json: must hold a list of rows"),
        ("text", "rows.json: must hold a list of rows"),
    ],
)
def test_rows_that_cannot_be_split_are_refused_by_one_message(rows: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        make_split(_data(rows))
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
        make_split(_data(source=name))


@pytest.mark.parametrize("name", ["missing.json", "x" * 300 + ".json", "a\0b.json"])
def test_a_source_that_is_not_there_is_refused_by_one_message(name: str) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        make_split(_data(source=name))


def test_a_column_that_split_names_must_exist() -> None:
    with pytest.raises(UserError, match="rows.json: row 1: has no column 'colour', which data.split names"):
        make_split(_data(ROWS, stratify="colour"))


def test_item_ids_are_stable_and_unique() -> None:
    rows = [*ROWS, ROWS[0], ROWS[0], {**ROWS[1], "output": "other"}]
    split = make_split(_data({"train": rows, "test": [{"input": "x", "output": "X"}]}))
    ids = {item["item"]: item["row"] for item in split.rows["train"]}
    assert len(ids) == len(rows)
    random.Random(1).shuffle(rows)
    again = make_split(_data({"train": rows, "test": [{"input": "x", "output": "X"}]}))
    assert {item["item"]: item["row"] for item in again.rows["train"]} == ids
    assert sorted(i for i in ids if i.endswith(("-2", "-3"))) == sorted(
        f"{i}-{n}" for i in ids for n in (2, 3) if ids[i] == ROWS[0] and "-" not in i
    )


def test_a_split_has_a_name_of_its_own_for_every_data_section() -> None:
    sections = [
        _data(),
        _data(seed=1),
        _data(group="family"),
        _data(source="rows.csv"),
        _data(source="b/rows.json"),
        _data(output="input"),
    ]
    assert len({split_name(section) for section in sections}) == len(sections)
    assert split_name(_data()) == split_name(dict(reversed(_data().items())))


def test_the_stage_records_sizes_and_hashes_and_runs_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.json").write_text(json.dumps({"train": [*ROWS[:50], ROWS[60]], "test": ROWS[60:70]}))
    Path("experiment.yaml").write_text(
        "experiment: e\nquestion: q?\ndata: {source: rows.json}\nconstants: {model: tiny}\nfactors: {seed: [1, 2]}\n"
    )
    write_plan(*make_plan())
    assert split_stage.main([]) == 0
    assert "50 train, 0 validation, 10 test (1 repeated inputs removed)" in capsys.readouterr().err
    (folder,) = Path("data/splits").iterdir()
    record = json.loads((folder / "split.json").read_text())
    assert (record["rows"], record["removed_because_repeated"]["train"]) == ({"train": 50, "validation": 0, "test": 10}, 1)
    assert len(read_items(folder / "train.jsonl")) == 50
    assert split_stage.main([]) == 0
    assert capsys.readouterr().err == ""
    (folder / "test.jsonl").write_text("")
    assert split_stage.main([]) == 0
    assert len(read_items(folder / "test.jsonl")) == 10
