"""What is around an experiment and would not let it be kept: taken back, or said before anything is spent."""

import importlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import validate as validate_stage
from ftexp.design.planning import planned_runs
from ftexp.ground.errors import UserError
from ftexp.life import surroundings
from ftexp.life.surroundings import kept_in_git, require_surroundings

IGNORED = [
    "runs/\ndata/\n*.csv\n*.parquet\n*.log\nmodels/\ncheckpoint*/\n.env", "*.json\n*.jsonl\n*.yaml\n*.lock\n*.html",
    "**/raw/\nraw\n/experiments/mine/data", ".*\n!.gitignore", "scripts\nfigures\nmetrics\n*.py\n*.svg\n*.png\n*.mk",
    "*.txt\n*.md\n*.template\nMakefile\nREADME*\n.dvc*",
    "experiments/*/runs\nexperiments/mine/*.csv\n/experiments/**/*.yaml", "*.*", "eval*\ntrain*\nrun*\n*.sql\n*.safetensors",
]  # fmt: skip


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def experiment(experiment: Path) -> Path:
    """One as `make setup` leaves it; the working folder."""
    git(experiment, "init", "--quiet")
    Path(".dvc").mkdir()
    Path(".dvc/config").touch()
    return experiment


@pytest.fixture
def inside(experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The experiment as a folder of another repository; the working folder."""
    shutil.rmtree(experiment / ".git")
    (tmp_path / "project/experiments").mkdir(parents=True)
    folder = experiment.rename(tmp_path / "project/experiments/mine")
    git(tmp_path / "project", "init", "--quiet")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("pattern", [".*", ".dvc", "*"])
def test_dvc_may_begin_where_a_folder_above_ignores_what_begins_with_a_dot(inside: Path, pattern: str) -> None:
    (inside.parents[1] / ".gitignore").write_text(f"{pattern}\n!experiments\n!experiments/mine\n")
    shutil.rmtree(".dvc")
    found = subprocess.run(["git", "check-ignore", ".dvc"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")


@pytest.mark.parametrize("place", [".gitignore", ".git/info/exclude", "excludes", "experiments/.gitignore"])
@pytest.mark.parametrize("patterns", IGNORED)
def test_what_is_ignored_around_an_experiment_is_kept_in_it(inside: Path, patterns: str, place: str) -> None:
    top, runs = inside.parents[1], planned_runs()
    git(top, "config", "core.excludesFile", str(top / "excludes"))
    (top / place).write_text(f"{patterns}\n")
    for path in kept_in_git(runs):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for left_out in (".env", "data/raw/.env", "items.parquet", "runs/base/eval/x.eval", "scripts/__pycache__/x.pyc"):
        Path(left_out).parent.mkdir(parents=True, exist_ok=True)
        Path(left_out).touch()
    assert require_surroundings(runs) == []
    git(inside, "add", "--all", ".")
    held = {Path(name) for name in git(inside, "ls-files", ".").splitlines()}
    assert {*kept_in_git(runs), Path("data/models/tiny-instruct/config.json")} <= held
    assert not [name for name in held if name.suffix in (".parquet", ".eval", ".pyc", ".env") or name.name in (".env", "x")]


HIDDEN = [
    (".gitignore", "*.csv", "runs.csv, results.csv, cells.csv and "),
    ("runs/.gitignore", "run.yaml", "runs/base/run.yaml, "),
    ("data/.gitignore", "*", "data/raw/words.json."),
]


@pytest.mark.parametrize(("place", "pattern", "names"), HIDDEN)
@pytest.mark.usefixtures("experiment")
def test_what_cannot_be_taken_back_is_said_before_anything_is_spent(place: str, pattern: str, names: str) -> None:
    with Path(place).open("a") as file:
        file.write(f"{pattern}\n")
    line = len(Path(place).read_text().splitlines())
    with pytest.raises(UserError) as said:
        validate_stage.main(["--surroundings"])
    expected = f"{place}: line {line}: {pattern}: hides from git what the experiment keeps there: {names}"
    assert str(said.value).startswith(expected) and "Take that line out" in str(said.value)


def test_a_file_that_git_holds_already_is_not_hidden(experiment: Path) -> None:
    Path("data/.gitignore").write_text("words.json\n")
    git(experiment, "add", "--force", "data/raw/words.json")
    assert require_surroundings(planned_runs()) == []


@pytest.mark.parametrize("name", ["runs", "data", "data/raw", "scripts", ".dvc", "runs/base"])
def test_a_folder_that_is_a_link_is_refused(experiment: Path, tmp_path: Path, name: str) -> None:
    Path(name).rename(tmp_path / "elsewhere")
    Path(name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError) as said:
        require_surroundings(planned_runs())
    assert str(said.value).startswith(f"{name}: is a link to {tmp_path}/elsewhere, and git keeps a link without what is behind")


def test_an_experiment_behind_a_link_is_as_any_and_a_file_behind_one_is_told_of(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(experiment)
    monkeypatch.chdir(tmp_path / "link")
    assert require_surroundings(planned_runs()) == []
    Path("data/raw/words.json").rename(tmp_path / "words.json")
    Path("data/raw/words.json").symlink_to(tmp_path / "words.json")
    assert [warning.partition(":")[0] for warning in require_surroundings(planned_runs())] == ["data/raw/words.json"]


@pytest.mark.parametrize(
    ("missing", "message"),
    [(".git", "git: this folder is in no repository"), (".dvc", ".dvc: is missing, so that nothing could be recorded.")],
)
def test_a_repository_that_is_gone_is_missed_before_anything_is_spent(experiment: Path, missing: str, message: str) -> None:
    shutil.rmtree(missing)
    with pytest.raises(UserError) as said:
        require_surroundings(planned_runs())
    assert message in str(said.value) and "Run `make setup`." in str(said.value)


def test_a_repository_of_another_user_is_none_to_build_on(
    inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up: Any = importlib.import_module("set_up")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(UserError, match=r"^git: .*dubious ownership.*safe\.directory.*Cure that, and run the same"):
        require_surroundings(planned_runs())
    with pytest.raises(SystemExit):
        set_up.init_git()
    assert "dubious ownership" in capsys.readouterr().err and not (inside / ".git").exists()


@pytest.mark.parametrize("name", [".", "runs", "runs/base", "data", "metrics", ".dvc", ".scratch", "events.jsonl"])
def test_where_nothing_can_be_written_is_said_before_anything_is_spent(
    experiment: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a stand-in for the system's answer, since all is writable to root."""
    for folder in ("metrics", ".scratch"):
        Path(folder).mkdir()
    Path("events.jsonl").touch()
    monkeypatch.setattr(surroundings.os, "access", lambda path, mode: Path(path) != Path(name))
    with pytest.raises(UserError) as said:
        validate_stage.main(["--surroundings"])
    shown = str(experiment) if name == "." else name
    assert str(said.value).startswith(f"{shown}: cannot be written by you. Get the permission, or copy the experiment to a place")
    assert not Path(".scratch/locks").exists()
