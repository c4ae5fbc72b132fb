"""What only tests makes no training stale: further rows of the table of changes, in an experiment with a factor of tests."""

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
TWO_TESTS = "  on: {a: {data.test: data/raw/a.json}, b: {data.test: data/raw/b.json}}\n"
BOTH_DONE = ("2 done", "6 done")


@pytest.fixture(scope="module")
def finished_twice(baked_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trainings, each under two test files, and a control of each file; all is done."""
    with entered_copy(baked_once, tmp_path_factory.mktemp("tested") / "mine") as folder:
        give_test_files(train=(0, 400), a=(390, 440), b=(440, 500), c=(500, 560))
        edit(paths.EXPERIMENT_YAML, "  lr: [0.0001, 0.001]\n", TWO_TESTS)
        finish_all()
        assert states() == BOTH_DONE
    return folder


@pytest.fixture
def tested_twice(finished_twice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy to be changed."""
    monkeypatch.chdir(shutil.copytree(finished_twice, tmp_path / "mine", symlinks=True))


def spec(old: str, new: str) -> Change:
    return lambda: edit(paths.EXPERIMENT_YAML, old, new)


def rows_of(name: str, first: int, last: int) -> Change:
    """Some of the demo's words as a data file."""

    def change() -> None:
        rows = json.loads(Path("data/raw/words.json").read_text(encoding="utf-8"))[first:last]
        Path(f"data/raw/{name}.json").write_text(json.dumps(rows), encoding="utf-8")

    return change


def renamed(old: str, new: str) -> Change:
    """A data file under another name, in experiment.yaml too."""

    def change() -> None:
        Path(f"data/raw/{old}.json").rename(f"data/raw/{new}.json")
        edit(paths.EXPERIMENT_YAML, f"data/raw/{old}.json", f"data/raw/{new}.json")

    return change


def more_tests(text: str) -> Change:
    return spec("b: {data.test: data/raw/b.json}", f"b: {{data.test: data/raw/b.json}}, {text}")


OTHER_ROWS = ("2 done", "3 done, 3 stale (changed: the rows of task test)")
UNDER_TWO_TESTS: list[tuple[str, Change, tuple[str, str], str]] = [
    ("under two tests: nothing", lambda: None, BOTH_DONE, "each training is done once, and evaluated on both"),
    ("under two tests: a third", more_tests("c: {data.test: data/raw/c.json}"), ("2 done", "6 done, 3 ready"), ""),
    (
        "under two tests: a third, which comes first", spec("{a: {", "{c: {data.test: data/raw/c.json}, a: {"),
        ("2 done", "3 ready, 6 done"), "the run that trained goes on to have the training",
    ),
    (
        "under two tests: their order",
        spec(TWO_TESTS, "  on: {b: {data.test: data/raw/b.json}, a: {data.test: data/raw/a.json}}\n"), BOTH_DONE, "",
    ),
    (
        "under two tests: another file for one of them", spec("data/raw/b.json", "data/raw/c.json"),
        OTHER_ROWS, "",
    ),
    ("under two tests: the rows of one of them", rows_of("b", 440, 490), OTHER_ROWS, ""),
    (
        "under two tests: the name of the training file", renamed("train", "learn"), BOTH_DONE,
        "the same rows are the same training",
    ),
    ("under two tests: the name of a test file", renamed("b", "exam"), BOTH_DONE, "the same rows are the same test"),
    (
        "under two tests: training rows that a test came to ask", rows_of("b", 380, 440),
        (
            "2 stale (changed: finetune.yaml, the rows)",
            "1 done, 1 stale (changed: the rows of task test), 4 waiting for their training",
        ),
        "they are held out of the training, for all tests",
    ),
    (
        "under two tests: without the one whose runs trained", spec("a: {data.test: data/raw/a.json}, ", ""),
        ("2 ready", "1 done, 2 waiting for their training"),
        "another run has the training now; to keep the first, keep its level",
    ),
]


@pytest.mark.usefixtures("tested_twice")
@pytest.mark.parametrize(("what", "change", "expected", "remark"), UNDER_TWO_TESTS, ids=[row[0] for row in UNDER_TWO_TESTS])
def test_what_only_tests_makes_no_training_stale(what: str, change: Change, expected: tuple[str, str], remark: str) -> None:
    written_tables.promise("staleness", [row[0] for row in UNDER_TWO_TESTS], part=2)
    make_change_and_look(change, expected)
    written_tables.tell("staleness", what, [what, *expected, remark])
