"""Which rows validate: a file's, a share, the source's own part; none that a test has, none that trains beside them."""

import json
from pathlib import Path
from typing import Any

import pytest
import split as split_stage
from ftexp.data.held_out import DEFAULT_VALIDATION, Kept, TaskSet, TrainingSet, task_items, training_items
from ftexp.data.splits import Sources, half_of
from ftexp.design.planning import make_plan, write_plan
from ftexp.design.runs import expand
from ftexp.design.sections import check_data, validation_rows_of
from ftexp.design.spec import read_experiment
from ftexp.ground import paths
from ftexp.ground.errors import Findings, UserError

Rows = list[dict[str, Any]]
WORDS: Rows = [{"input": f"word{i:03}", "output": f"WORD{i}", "group": f"g{i // 7}"} for i in range(100)]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _written(name: str, rows: Any) -> str:
    Path(f"{name}.json").write_text(json.dumps(rows))
    return f"{name}.json"


def _kept(data: dict[str, Any], *, templates: tuple[str, ...] = ("{input}",), is_validated: bool = True) -> Kept:
    found = Findings("experiment.yaml")
    checked = validation_rows_of(check_data(found, "data", data), is_validated=is_validated)
    found.raise_if_any()
    return training_items(Sources(), TrainingSet(half_of(checked, "train"), templates, (half_of(checked, "test"),)))


def _inputs(items: list[dict[str, Any]]) -> set[str]:
    return {item["row"]["input"] for item in items}


def test_by_default_a_twentieth_of_the_training_rows_validates_and_does_not_train() -> None:
    data = {"source": _written("all", WORDS)}
    without, found = _kept(data, is_validated=False), _kept(data)
    assert len(without.items) == 80 and not without.validation and DEFAULT_VALIDATION == 1 / 20
    assert len(found.items) == 76 and len(found.validation) == 4
    assert _inputs(found.items) | _inputs(found.validation) == _inputs(without.items)
    assert [item["item"] for item in found.items] == [item["item"] for item in without.items[:76]]


@pytest.mark.parametrize(("data", "count"), [
    ({"validation": 0.25}, 20), ({"validation": 0.001}, 1), ({"split": {"train": 0.6, "validation": 0.2, "test": 0.2}}, 20),
])
def test_a_share_is_of_the_training_rows_and_one_of_the_split_of_all(data: dict[str, Any], count: int) -> None:
    found = _kept({"source": _written("all", WORDS), **data})
    assert (len(found.validation), len(found.items)) == (count, 80 - count)


def test_a_file_of_its_own_validates_and_training_rows_with_its_prompts_leave() -> None:
    data = {"train": _written("train", WORDS[:50]), "test": _written("test", WORDS[40:60])}
    found = _kept({**data, "validation": _written("own", [*WORDS[30:45], *WORDS[70:72]])})
    assert _inputs(found.validation) == {row["input"] for row in (*WORDS[30:40], *WORDS[70:72])}, "what a test has is not in it"
    assert _inputs(found.items) == {row["input"] for row in WORDS[:30]}
    assert sorted(found.removed.values()) == [10, 15] and found.removed["validation"] == 10


def test_the_sources_own_part_validates() -> None:
    parts = {"train": WORDS[:60], "validation": WORDS[60:80], "test": WORDS[80:]}
    found = _kept({"source": _written("parts", parts)})
    assert _inputs(found.validation) == {row["input"] for row in WORDS[60:80]} and len(found.items) == 60
    with pytest.raises(UserError, match="has a part 'validation', and nothing asks for validation rows. Add `validation: {}`"):
        _kept({"source": "parts.json"}, is_validated=False)
    for own in (0.1, "parts.json"):
        with pytest.raises(UserError, match=r"data.validation: parts.json has a part 'validation' already. Leave"):
            _kept({"source": "parts.json", "validation": own})


def test_validation_rows_are_named_in_one_place() -> None:
    with pytest.raises(UserError, match=r"data.validation: stands beside data.split.validation. Keep one."):
        _kept({"source": _written("all", WORDS), "validation": 0.2, "split": {"train": 0.6, "validation": 0.2, "test": 0.2}})


def test_a_group_is_not_divided_between_training_and_validation() -> None:
    found = _kept({"source": _written("all", WORDS), "split": {"group": "group"}, "validation": 0.1})
    groups = [{item["row"]["group"] for item in items} for items in (found.items, found.validation)]
    assert not groups[0] & groups[1] and len(found.validation) >= 7


def test_prompts_are_compared_as_every_template_renders_them() -> None:
    train = [{"input": f"w{i}", "tone": tone, "output": "x"} for i in range(4) for tone in "ab"]
    data = {"train": _written("train", train), "test": _written("test", [{"input": "z", "tone": "a", "output": "x"}])}
    data["validation"] = _written("own", [train[0]])
    assert len(_kept(data, templates=("{input} {tone}",)).items) == 7
    assert len(_kept(data, templates=("{input} {tone}", "{input}")).items) == 6


@pytest.mark.parametrize(("rows", "message"), [
    ([], "own.json: has no rows"),
    (WORDS[40:50], "no row is left for validation: all 10 of own.json have the prompt of a test row"),
    ([{"input": "x"}], "own.json: row 1: has no column 'output'"), ([{"input": "x", "output": " "}], "column 'output' is empty"),
])
def test_rows_that_cannot_validate_are_refused(rows: Rows, message: str) -> None:
    files = {"train": _written("train", WORDS[:30]), "test": _written("test", WORDS[40:60]), "validation": _written("own", rows)}
    with pytest.raises(UserError, match=message):
        _kept(files)


def test_an_empty_part_and_a_single_row_are_refused() -> None:
    with pytest.raises(UserError, match=r"parts.json: has no rows for validation. Put some there"):
        _kept({"source": _written("parts", {"train": WORDS[:9], "validation": [], "test": WORDS[9:]})})
    with pytest.raises(UserError, match="no row is left for train beside one for validation, of 1"):
        _kept({"train": _written("train", WORDS[:1]), "test": _written("test", WORDS[5:])})


def test_a_task_with_a_file_of_its_own_does_not_ask_what_validates() -> None:
    data = validation_rows_of(
        check_data(Findings("experiment.yaml"), "data", {"source": _written("all", WORDS), "validation": 0.2}), is_validated=True
    )
    training = TrainingSet(half_of(data, "train"), ("{input}",), (half_of(data, "test"),))
    sources = Sources()
    kept = training_items(sources, training)
    asked = TaskSet({"test": _written("task", WORDS), "input": "input", "output": "output"}, (training,))
    assert not _inputs(task_items(sources, asked, lambda _: kept).items) & (_inputs(kept.items) | _inputs(kept.validation))


EXPERIMENT = """\
experiment: e
question: q?
data: {source: all.json}
constants: {model: tiny, batch_size: 2, epochs: 2}
factors:
  looks: {often: {validation.every: 0.5, data.validation: 0.5}, once: {validation.keep: last}}
"""


def test_levels_set_how_and_by_what_is_validated_and_split_writes_the_rows() -> None:
    _written("all", WORDS)
    Path("experiment.yaml").write_text(EXPERIMENT)
    often, once = (run for run in expand(read_experiment(Path("experiment.yaml"))) if not run.is_control)
    assert often.validation == {"every": 0.5, "metric": "loss", "patience": None, "threshold": 0.0, "keep": "best"}
    assert (once.validation["every"], once.validation["keep"], once.data["validation"]) == (1, "last", True)
    experiment, runs = make_plan()
    write_plan(experiment, runs)
    assert split_stage.main([]) == 0
    counts = {run.id: len(paths.split_part(run.training_set, "validation").read_text().splitlines()) for run in runs[1:]}
    assert list(counts.values()) == [40, 4] and [run.steps["train_rows"] for run in runs[1:]] == [40, 76]
