"""Secrets: what .env says reaches a job and nothing else, and a mistake in it is told without a value."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ftexp.ground.errors import UserError
from ftexp.jobs.dot_env import check_secrets, load_secrets, read_secrets
from ftexp.life.rehearsal import fill_folder
from warm.environment import warm_environment

SECRET = "hunter2-Zx81"
CURE = "is not of the form KEY=value. Write one KEY=value a line; a value with quotes or '#' in it goes in quotes."


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_values_are_taken_as_they_stand_and_comments_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME_OF", "elsewhere")
    Path(".env").write_text("# keys\n\nA=1\nexport B='x # y'\nC=${HOME_OF} $(id) `id`\nD=\n", encoding="utf-8")
    assert read_secrets() == {"A": "1", "B": "x # y", "C": "${HOME_OF} $(id) `id`", "D": ""}


def test_without_a_file_there_are_no_secrets() -> None:
    assert read_secrets() == {} and check_secrets() == []


def test_what_the_environment_says_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTEXP_TEST_OLD", "old")
    monkeypatch.setenv("FTEXP_TEST_NEW", "removed at the end of this test")
    monkeypatch.delenv("FTEXP_TEST_NEW")
    Path(".env").write_text("FTEXP_TEST_OLD=new\nFTEXP_TEST_NEW=new\n", encoding="utf-8")
    load_secrets()
    assert (os.environ["FTEXP_TEST_OLD"], os.environ["FTEXP_TEST_NEW"]) == ("old", "new")


@pytest.mark.parametrize(("content", "message"), [
    (f"A=1\n\n{SECRET}\n", f".env: line 3: {CURE}"),
    (f"A=1\nmy key={SECRET}\n", f".env: line 2: {CURE}"),
    (f"={SECRET}\n", f".env: line 1: {CURE}"),
    (f"A='{SECRET}\n", f".env: line 1: {CURE}"),
    (f"9A={SECRET}\n", f".env: line 1: {CURE}"),
    (f"'A B'={SECRET}\n", f".env: line 1: {CURE}"),
    (f"A={SECRET}\0\n", f".env: line 1: {CURE}"),
    (f"{SECRET}\nA=1\n-{SECRET}\n", f".env: line 1: {CURE}\n.env: line 3: {CURE}"),
])
def test_a_line_that_is_no_assignment_is_named_and_its_value_is_not_shown(content: str, message: str) -> None:
    Path(".env").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as said:
        read_secrets()
    assert str(said.value) == message and SECRET not in str(said.value)


def test_a_file_that_is_no_text_or_no_file_is_one_message() -> None:
    Path(".env").write_bytes(b"A=\xff\n")
    with pytest.raises(UserError, match=r"^\.env: not UTF-8 text, at byte 2\. Save it as UTF-8\.$"):
        read_secrets()
    Path(".env").unlink()
    Path(".env").mkdir()
    with pytest.raises(UserError, match=r"^\.env: cannot be read: Is a directory\."):
        read_secrets()


def test_a_job_stops_at_a_malformed_file_before_it_does_anything(experiment: Path) -> None:
    Path(".env").write_text(f"{SECRET}\n", encoding="utf-8")
    command = [str(warm_environment() / "bin/python"), "scripts/execute.py", "train", "r4_lr1e-4"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f".env: line 1: {CURE}\n")


def test_others_who_may_read_it_and_git_are_warned_of() -> None:
    subprocess.run(["git", "init", "--quiet"], check=True)
    Path(".env").write_text(f"A={SECRET}\n", encoding="utf-8")
    Path(".env").chmod(0o640)
    assert check_secrets() == [".env: others may read it (mode 640). Run: chmod 600 .env"]
    Path(".env").chmod(0o600)
    assert check_secrets() == []
    subprocess.run(["git", "add", ".env"], check=True)
    (warning,) = check_secrets()
    assert warning.startswith(".env: git tracks it") and "git rm --cached .env" in warning


def test_neither_git_nor_dvc_nor_a_rehearsal_takes_the_file(experiment: Path) -> None:
    shutil.rmtree(".git", ignore_errors=True)
    subprocess.run(["git", "init", "--quiet"], check=True)
    Path(".env").write_text(f"A={SECRET}\n", encoding="utf-8")
    assert subprocess.run(["git", "check-ignore", "--quiet", ".env"], check=False).returncode == 0
    assert ".env" in Path(".dvcignore").read_text(encoding="utf-8").split()
    Path("rehearsal").mkdir()
    fill_folder({"experiment": "mine"}, {}, [])
    assert Path("rehearsal/experiment.yaml").is_file() and not Path("rehearsal/.env").exists()
