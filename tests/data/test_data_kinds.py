"""Kinds of data and designs on them, each through plan, split and validate; one of them trained, evaluated and reported too."""

import csv
import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import execute
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import report
import split as split_stage
import stamp as stamp_stage
import validate as validate_stage
import yaml
from ftexp.data.prompts import prompt_turns
from ftexp.data.rows import read_items
from ftexp.data.splits import PARTS
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.ground.filesystem import read_json
from helpers.tiny_models import TinyExperiment, enter, make_experiment, make_tiny_model
from inspect_ai.log import list_eval_logs, read_eval_log

Rows = list[dict[str, Any]]
WORDS = ["red", "green", "blue", "grey", "pink"]
ROWS: Rows = [
    {
        "review": f"{WORDS[number % 5]} {number}", "label": "yes" if number % 3 else "no", "stars": str(number % 4),
        "by": f"p{number // 4}",
    }
    for number in range(40)
]
SPLIT = {"train": 0.6, "test": 0.4, "seed": 1}
DATA = {"input": "review", "output": "label"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """An experiment with models of three families, of which one has no chat template."""
    root = tmp_path_factory.mktemp("made")
    experiment = make_experiment(root, "llama3_2", "llama3")
    make_tiny_model(root / "models/org/other", "qwen2", "chatml")
    make_tiny_model(root / "models/bare", "mistral", None)
    return experiment


@pytest.fixture
def experiment(made: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyExperiment:
    """A copy of it, to be changed."""
    root = shutil.copytree(made.root, tmp_path / "copy", symlinks=True)
    return enter(TinyExperiment(root, made.runs), monkeypatch)


def stamped(**sections: Any) -> list[dict[str, Any]]:
    """Lay sections over experiment.yaml (`factors` and `data` in place of the old), stamp, split and validate; the runs."""
    document = yaml.safe_load(paths.EXPERIMENT_YAML.read_text())
    for key, value in sections.items():
        document[key] = value if key in ("factors", "data") else {**document.get(key, {}), **value}
    paths.EXPERIMENT_YAML.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
    for stage in (stamp_stage, split_stage, validate_stage):
        assert stage.main([]) == 0
    runs = planned_runs()
    preflight = read_json(paths.PREFLIGHT_JSON)["runs"]
    assert not [run.id for run in runs if run.problems or preflight[run.id]["errors"]]
    return runs


def split_rows(run: dict[str, Any]) -> dict[str, Rows]:
    names = {"train": run.training_set, "test": run.asked[0].test_set}
    return {part: [item["row"] for item in read_items(paths.split_part(name, part))] for part, name in names.items()}


def write_csv(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


WRITERS: dict[str, Callable[[Path, Rows], Any]] = {
    "json": lambda path, rows: path.write_text(json.dumps(rows)),
    "jsonl": lambda path, rows: path.write_text("".join(json.dumps(row) + "\n" for row in rows)),
    "csv": write_csv,
    "parquet": lambda path, rows: pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path),
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_source_of_any_format_is_ready_to_train_on(suffix: str, experiment: TinyExperiment) -> None:
    WRITERS[suffix](Path(f"data/raw/reviews.{suffix}"), ROWS)
    control, run = stamped(data={**DATA, "source": f"data/raw/reviews.{suffix}", "split": SPLIT})
    parts = split_rows(run)
    assert [len(parts[part]) for part in PARTS] == [24, 16] and control.asked[0].test_set == run.asked[0].test_set
    assert sorted(sum(parts.values(), []), key=ROWS.index) == ROWS


@pytest.mark.parametrize("suffix", WRITERS)
def test_train_and_test_files_of_any_format_are_ready_to_train_on(suffix: str, experiment: TinyExperiment) -> None:
    for name, rows in (("a", ROWS[:20]), ("b", ROWS[20:])):
        WRITERS[suffix](Path(f"data/raw/{name}.{suffix}"), rows)
    files = {part: f"data/raw/{name}.{suffix}" for part, name in (("train", "a"), ("test", "b"))}
    _, run = stamped(data={**DATA, **files})
    parts = split_rows(run)
    assert (sorted(parts["train"], key=ROWS.index), parts["test"]) == (ROWS[:20], ROWS[20:])


def test_one_json_of_parts_is_ready_to_train_on(experiment: TinyExperiment) -> None:
    Path("data/raw/parts.json").write_text(json.dumps({"train": ROWS[:30], "test": ROWS[30:]}))
    _, run = stamped(data={**DATA, "source": "data/raw/parts.json"})
    assert [len(rows) for rows in split_rows(run).values()] == [30, 10]


@pytest.mark.parametrize("how, column", [("stratify", "label"), ("group", "by")])
def test_stratified_and_grouped_splits_are_ready_to_train_on(how: str, column: str, experiment: TinyExperiment) -> None:
    write_csv(Path("data/raw/reviews.csv"), ROWS)
    _, run = stamped(data={**DATA, "source": "data/raw/reviews.csv", "split": {**SPLIT, how: column}})
    values = [[row[column] for row in rows] for rows in split_rows(run).values()]
    if how == "group":
        assert not set(values[0]) & set(values[1])
    else:
        assert [part.count("no") for part in values] == [8, 6]


def test_numbers_dates_and_truth_values_of_a_parquet_file_are_texts_of_the_prompt(experiment: TinyExperiment) -> None:
    rows = [
        {
            "review": number, "label": number % 3 == 0, "day": datetime.date(2020, 1, 1 + number % 28),
            "at": datetime.datetime(2020, 1, 1), "stars": number / 4, "tags": ["a", "b"], "raw": b"\x00\xff",
        }
        for number in range(40)
    ]
    WRITERS["parquet"](Path("data/raw/typed.parquet"), rows)
    _, run = stamped(data={**DATA, "source": "data/raw/typed.parquet"}, prompt={"user": "{day} {stars}: {input}"})
    row = next(row for row in split_rows(run)["train"] if row["review"] == "9")
    assert row == {
        "review": "9", "label": "true", "day": "2020-01-10", "at": "2020-01-01T00:00:00", "stars": "2.25", "tags": ["a", "b"],
        "raw": {"base64": "AP8="},
    }
    assert prompt_turns(run.prompt, "review", row) == [{"role": "user", "content": "2020-01-10 2.25: 9"}]


DESIGNS: dict[str, tuple[dict[str, Any], int]] = {
    "two corpora, of which one is split already": (
        {
            "data": DATA,
            "factors": {"corpus": {
                "whole": {"data.source": "data/raw/reviews.csv", "data.split": {"train": 0.6, "test": 0.4}},
                "parts": {"data.source": "data/raw/parts.json"},
            }},
        }, 2,
    ),
    "training files of one test file": (
        {
            "data": {**DATA, "test": "data/raw/reviews.csv"},
            "factors": {"corpus": {"a": {"data.train": "data/raw/a.jsonl"}, "b": {"data.train": "data/raw/b.parquet"}}},
        }, 1,
    ),
    "questions by column": (
        {
            "data": {"source": "data/raw/reviews.csv", "input": "review"},
            "factors": {"asked": {"label": {"data.output": "label"}, "stars": {"data.output": "stars"}}},
        }, 2,
    ),
    "prompts with and without a system turn": (
        {"factors": {"prompt_style": {
            "plain": {"prompt.user": "{input}"}, "told": {"prompt.system": "Say yes or no.", "prompt.user": "{stars}: {input}"},
        }}}, 2,
    ),
    "models of three families, one without a template": (
        {"factors": {"model": ["tiny", "org/other", "bare"], "loss": ["completion", "full"]}, "constants": {"model": None}}, 3,
    ),
    "shares of the rows": ({"factors": {"train_size": [0.1, 0.5, 1.0]}}, 1),
}


@pytest.mark.parametrize("sections, controls", DESIGNS.values(), ids=DESIGNS)
def test_a_design_over_data_prompts_and_models_is_ready_to_train(
    sections: dict[str, Any], controls: int, experiment: TinyExperiment
) -> None:
    write_csv(Path("data/raw/reviews.csv"), ROWS)
    Path("data/raw/parts.json").write_text(json.dumps({"train": ROWS[:30], "test": ROWS[30:]}))
    for name, suffix in (("a", "jsonl"), ("b", "parquet")):
        WRITERS[suffix](Path(f"data/raw/{name}.{suffix}"), [{**row, "review": f"{row['review']} {name}"} for row in ROWS])
    document = yaml.safe_load(paths.EXPERIMENT_YAML.read_text())
    constants = {**document["constants"], **sections.get("constants", {})}
    paths.EXPERIMENT_YAML.write_text(
        yaml.safe_dump({**document, "constants": {name: value for name, value in constants.items() if value is not None}})
    )
    data = {**DATA, "source": "data/raw/reviews.csv"}
    runs = stamped(**{"data": data, "factors": {}, **{key: value for key, value in sections.items() if key != "constants"}})
    levels = 1
    for factor in sections["factors"].values():
        levels *= len(factor)
    assert [run.kind for run in runs] == ["control"] * controls + ["trained"] * levels


def completions(items: pd.DataFrame, run: str) -> dict[tuple[str, int], str]:
    return {(row.item, row.epoch): row.completion for row in items[items["run"] == run].itertuples()}


@pytest.mark.slow
def test_parquet_named_prompts_and_models_shares_of_rows_and_sampled_answers_go_all_the_way(experiment: TinyExperiment) -> None:
    """Two models, one told by a system prompt; half of the rows and all of them; every item asked twice."""
    WRITERS["parquet"](Path("data/raw/reviews.parquet"), ROWS)
    document = yaml.safe_load(paths.EXPERIMENT_YAML.read_text())
    del document["constants"]["model"]
    paths.EXPERIMENT_YAML.write_text(yaml.safe_dump(document))
    runs = stamped(
        data={**DATA, "source": "data/raw/reviews.parquet", "split": {**SPLIT, "stratify": "label"}},
        factors={
            "setting": {
                "plain": {"model": "tiny", "prompt.user": "{input}"},
                "told": {"model": "org/other", "prompt.system": "Say yes or no.", "prompt.user": "{stars}: {input}"},
            },
            "train_size": [0.5, 1.0],
        },
        evaluation={
            "temperature": 1.5, "top_p": 0.95, "epochs": 2, "seed": 7, "max_tokens": 12, "cluster": "by", "metrics": ["macro_f1"],
        },
    )
    names = [run.id for run in runs]
    assert names[2:] == [f"setting-{setting}_n{share}" for setting in ("plain", "told") for share in ("0.5", "1.0")]
    assert [run.steps["train_rows"] for run in runs[2:]] == [12, 24, 12, 24]
    assert execute.main(["train", *names[2:]]) == 0
    assert execute.main(["eval", *names]) == 0
    assert report.main([]) == 0
    with paths.RESULTS_CSV.open() as file:
        table = {(row["run"], row["metric"]): row for row in csv.DictReader(file)}
    rows = {name: table[name, "exact"] for name in names}
    assert set(table) == {(name, metric) for name in names for metric in ("exact", "macro_f1")}
    items = pd.read_parquet(paths.ITEMS_PARQUET)
    assert len(items) == 6 * 16 * 2
    for name in names:
        own = items[items["run"] == name]
        assert (rows[name]["n"], float(rows[name]["score"])) == ("16", pytest.approx(own["exact"].mean()))
        assert own["completion"].nunique() > 4, "answers that are all alike tell nothing"
    before = paths.RESULTS_CSV.read_bytes(), paths.EFFECTS_CSV.read_bytes(), completions(items, names[-1])
    for name in names:
        paths.RunPaths(name).manifest("eval").unlink()
    assert execute.main(["eval", *reversed(names)]) == 0
    assert report.main([]) == 0
    items = pd.read_parquet(paths.ITEMS_PARQUET)
    assert before == (paths.RESULTS_CSV.read_bytes(), paths.EFFECTS_CSV.read_bytes(), completions(items, names[-1]))
    assert before[2] == by_hand(names[-1])


def by_hand(run: str) -> dict[tuple[str, int], str]:
    """What `inspect eval runs/<id>/eval.py` answers, with nothing else set."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    inspect = str(Path(sys.executable).parent / "inspect")
    command = [inspect, "eval", str(paths.RunPaths(run).eval_py), "--log-dir", "logs", "--display", "none"]
    done = subprocess.run(
        command, env={**kept, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    samples = read_eval_log(list_eval_logs("logs")[0]).samples or []
    return {(str(sample.id), sample.epoch): sample.output.completion for sample in samples}


def test_alpacas_columns_are_ready_to_train_on_with_and_without_an_input(
    experiment: TinyExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty `input` is no repetition and no empty question where the prompt shows an instruction beside it."""
    rows = [{"instruction": f"Write {word}", "input": "", "output": word.upper()} for word in map("word{}".format, range(20))]
    rows += [{"instruction": "Write this", "input": f"word{number}", "output": f"WORD{number}"} for number in range(20)]
    Path("data/raw/alpaca.json").write_text(json.dumps(rows))
    _, run = stamped(data={"source": "data/raw/alpaca.json"}, prompt={"user": "{instruction}\n{input}"})
    assert [len(part) for part in split_rows(run).values()] == [32, 8]
    said = capsys.readouterr().err
    assert "removed" not in said and "empty" not in said
