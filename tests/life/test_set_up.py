"""`make setup`, killed anywhere and called again, with stand-ins for what needs a network or minutes."""

import importlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ftexp.life import environment

LOCK = Path("requirements.txt")
PIP = """#!/bin/sh
echo pip >> called
test -e killed || {{ touch killed; kill -9 $$; }}
touch installed
"""


class StandIn:
    """Stands in for `python -m venv`: makes so many of the files that it makes, and then is killed; the next time all."""

    FILES = ("pyvenv.cfg", "bin/python", "bin/pip")

    def __init__(self, files: int) -> None:
        self.files, self.calls = files, 0

    def call(self, command: list[str]) -> int:
        if command[1:3] != ["-m", "venv"]:
            return subprocess.run(command, check=False).returncode
        shutil.rmtree(".venv", ignore_errors=True)
        for name in self.FILES[: self.files if self.calls == 0 else None]:
            path = Path(".venv") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(PIP.format())
            path.chmod(0o755)
        self.calls += 1
        if self.calls == 1 and self.files < len(self.FILES):
            raise KeyboardInterrupt
        return 0


def probe(folder: Path, locks: list[Path]) -> tuple[str, list[str]] | None:
    """As the real one, of a stand-in's environment: which has the lock once pip has ended."""
    if not (folder / "bin/python").exists():
        return None
    return environment.tested()[0], [] if Path("installed").exists() else ["torch==2.13.0 (has nothing)"]


@pytest.mark.parametrize("files", [0, 1, 2])
def test_an_environment_that_was_interrupted_while_it_was_made_is_made_again(
    files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stand_in = StandIn(files)
    monkeypatch.setattr(environment, "probe", probe)
    monkeypatch.setattr(environment.subprocess, "call", stand_in.call)
    with pytest.raises(KeyboardInterrupt):
        environment.make_environment([LOCK], "")
    Path("killed").touch()  # pip is not killed here
    environment.make_environment([LOCK], "")
    assert stand_in.calls == 2 and Path("installed").exists()


def test_an_installation_that_was_killed_goes_on_without_a_new_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    stand_in = StandIn(len(StandIn.FILES))
    monkeypatch.setattr(environment, "probe", probe)
    monkeypatch.setattr(environment.subprocess, "call", stand_in.call)
    with pytest.raises(SystemExit) as end:
        environment.make_environment([LOCK], "")
    assert end.value.code == 1 and "setup: pip could not install the lock." in capsys.readouterr().err
    environment.make_environment([LOCK], "")
    assert (stand_in.calls, Path("called").read_text()) == (1, "pip\npip\n")
    environment.make_environment([LOCK], "")
    assert Path("called").read_text() == "pip\npip\n"


def test_a_venv_that_cannot_be_made_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment.subprocess, "call", lambda command: 1)
    with pytest.raises(SystemExit) as end:
        environment.make_environment([LOCK], "")
    assert end.value.code == 1 and "could not make .venv. Its message is above" in capsys.readouterr().err


@pytest.mark.parametrize("half", [".git", ".dvc"])
def test_a_repository_that_was_killed_while_it_was_made_is_finished(
    half: str, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git and dvc for real: a folder without what they write last is made whole by the next call."""
    set_up: Any = importlib.import_module("set_up")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(experiment.parent))
    if half == ".dvc":
        set_up.init_git()
    (experiment / half / "tmp").mkdir(parents=True)
    (experiment / half / "objects").mkdir()
    set_up.init_git()
    set_up.init_dvc()
    top = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True).stdout.strip()
    assert Path(top) == experiment and "analytics = false" in Path(".dvc/config").read_text()
    before = Path(".dvc/config").read_bytes()
    set_up.init_dvc()
    assert Path(".dvc/config").read_bytes() == before
