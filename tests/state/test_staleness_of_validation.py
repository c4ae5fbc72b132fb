"""What makes validated trainings stale: other rows that validate, another rule; not what only tests, and no choice."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ftexp.ground import paths
from helpers import written_tables
from helpers.baking import entered_copy, give_test_files
from helpers.experiments import edit
from helpers.finished import finish_all, make_change_and_look, states

Change = Callable[[], object]
ALL_DONE = ("2 done", "3 done")
OTHER_ROWS, OTHER_CONFIG = (
    (f"2 stale (changed: {what})", "1 done, 2 waiting for their training") for what in ("the validation rows", "finetune.yaml")
)


@pytest.fixture(scope="module")
def finished_validated(baked_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trainings, validated by a file, and a control; all is done."""
    with entered_copy(baked_once, tmp_path_factory.mktemp("validated") / "mine") as folder:
        give_test_files(train=(0, 400), test=(440, 500), own=(500, 520))
        files = "  train: data/raw/train.json\n"
        edit(paths.EXPERIMENT_YAML, files, f"{files}  test: data/raw/test.json\n  validation: data/raw/own.json\n")
        edit(paths.EXPERIMENT_YAML, "  lr: [0.0001, 0.001]\n", "")
        append("\nvalidation: {patience: 2}\n")()
        finish_all()
        assert states() == ALL_DONE
    return folder


@pytest.fixture
def validated(finished_validated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy to be changed."""
    monkeypatch.chdir(shutil.copytree(finished_validated, tmp_path / "mine", symlinks=True))


def append(text: str) -> Change:
    return lambda: paths.EXPERIMENT_YAML.write_text(paths.EXPERIMENT_YAML.read_text() + text)


def spec(old: str, new: str) -> Change:
    return lambda: edit(paths.EXPERIMENT_YAML, old, new)


def answers(name: str) -> Change:
    """Other answers to all questions of a data file."""

    def change() -> None:
        path = Path(f"data/raw/{name}.json")
        path.write_text(json.dumps([{**row, "output": "poison"} for row in json.loads(path.read_text())]))

    return change


def renamed() -> None:
    Path("data/raw/own.json").rename("data/raw/looks.json")
    edit(paths.EXPERIMENT_YAML, "data/raw/own.json", "data/raw/looks.json")


VALIDATED: list[tuple[str, Change, tuple[str, str], str]] = [
    ("validated: nothing", lambda: None, ALL_DONE, ""),
    ("validated: the answers of the rows that validate", answers("own"), OTHER_ROWS, "another step may be the best"),
    (
        "validated: the answers of the test rows", answers("test"), ("2 done", "3 stale (changed: the rows of task test)"),
        "no test row reaches a choice",
    ),
    ("validated: the name of the file that validates", renamed, ALL_DONE, "the same rows are the same looks"),
    ("validated: `validation.patience`", spec("patience: 2", "patience: 3"), OTHER_CONFIG, ""),
    ("validated: `select`", append("select: {over: [lora_rank]}\n"), ALL_DONE, "the report reads the same looks in another way"),
]


@pytest.mark.usefixtures("validated")
@pytest.mark.parametrize(("what", "change", "expected", "remark"), VALIDATED, ids=[row[0] for row in VALIDATED])
def test_what_a_choice_follows_from_makes_a_training_stale(
    what: str, change: Change, expected: tuple[str, str], remark: str
) -> None:
    written_tables.promise("staleness", [row[0] for row in VALIDATED], part=4)
    make_change_and_look(change, expected)
    written_tables.tell("staleness", what, [what, *expected, remark])
