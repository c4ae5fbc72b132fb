"""Bad input: one message in the house grammar, exit status 1, nothing lost, nothing written beside the experiment.

The rows are in bad_inputs.py; with test_mistakes.py they make the table in docs/mistakes.md.
"""

import contextlib
import io
import re
import shutil
import sys
from pathlib import Path

import pytest
import split as split_stage
import stamp as stamp_stage
import validate as validate_stage
from bad_inputs import BAD_INPUTS, BadInput
from ftexp.errors import run_command
from tiny_models import TinyExperiment, make_experiment
from written_tables import tell

Tree = dict[str, bytes | None]
# A file, perhaps a key, what is wrong; and a cure, if what is wrong does not say what must be.
GRAMMAR = re.compile(r".+?: .+[.?]")
CURE = re.compile(r"must |\. [A-Z]|; ")
RUNS = re.compile(r"^runs/[\w.+-]+(, runs/[\w.+-]+)*( and \d+ more)?: (not stamped: )?")
PROGRESS = re.compile(r"(stamp|split|validate): |cost of |  |$")
# What stages write for themselves; all else is a person's, or is a result.
GENERATED = re.compile(r"tiny/(runs\.csv|dvc\.yaml|code\.json|events\.jsonl|preflight\.json|\.scratch/.*|runs/[^/]+(/[^/]+)?)")
RESULTS = ("results.csv", "runs/s1/checkpoint/adapter_model.safetensors", "runs/s1/eval/log.eval")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """An experiment in which nothing is wrong, with results."""
    made = make_experiment(tmp_path_factory.mktemp("good") / "tiny", "qwen2", "chatml", evaluation={"max_tokens": 24})
    shutil.rmtree(made.root / "scripts")
    for name in RESULTS:
        (made.root / name).parent.mkdir(exist_ok=True)
        (made.root / name).write_text("precious")
    return made


@pytest.fixture
def folder(good: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds a copy of it, which is the working folder."""
    shutil.copytree(good.root, tmp_path / "tiny", symlinks=True)
    monkeypatch.chdir(tmp_path / "tiny")
    monkeypatch.setattr(sys, "argv", ["stage"])
    return tmp_path


def tree(folder: Path) -> Tree:
    """Every file with its bytes, every folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def said() -> tuple[str, int, list[str]]:
    """Which of stamp, split and validate spoke last, its exit status and messages, as its command gives them."""
    for stage in (stamp_stage, split_stage, validate_stage):
        lines = io.StringIO()
        with contextlib.redirect_stderr(lines), contextlib.redirect_stdout(io.StringIO()), pytest.raises(SystemExit) as end:
            run_command(stage.main)
        if end.value.code:
            break
    messages = [line for line in lines.getvalue().splitlines() if not PROGRESS.match(line)]
    return stage.__name__, int(end.value.code or 0), messages


def test_the_good_experiment_is_good(folder: Path) -> None:
    assert said() == ("validate", 0, [])


def test_every_bad_input_has_a_name_of_its_own() -> None:
    assert len({bad.name for bad in BAD_INPUTS}) == len(BAD_INPUTS)


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=[f"{bad.group}: {bad.name}" for bad in BAD_INPUTS])
def test_bad_input_ends_in_one_message_and_nothing_is_lost(bad: BadInput, folder: Path) -> None:
    bad.change()
    before = tree(folder)
    stage, code, messages = said()
    after = tree(folder)
    assert (code, len(messages)) == (1, 1), messages
    message = RUNS.sub("", messages[0])
    assert message.startswith(bad.message)
    assert GRAMMAR.fullmatch(message) and CURE.search(message) and message.isprintable() and len(message) < 1500, message
    changed = {name for name in {*before, *after} if before.get(name, b"absent") != after.get(name, b"absent")}
    assert {name for name in changed if not GENERATED.fullmatch(name)} == set()
    assert set(before) <= set(after)
    assert not changed or stage == "validate" or "not stamped: " in messages[0]
    tell("mistakes", bad.name, [bad.group, bad.name, message, "not asked"])
