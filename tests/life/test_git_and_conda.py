"""What is around a new experiment: a git repository, and a conda environment."""

import importlib
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Bake
from ftexp.life.environment import conda_environment


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("place", ["outside", "inside", "ignored"])
def test_setup_makes_a_repository_only_where_there_is_none(
    place: str, bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up: Any = importlib.import_module("set_up")

    (tmp_path / "baked").mkdir()
    if place != "outside":
        _git(tmp_path, "init", "--quiet")
    if place == "ignored":
        (tmp_path / ".gitignore").write_text("baked/\n")
    folder = bake(experiment_name="mine", factors="{lr: [1e-4]}")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    set_up.init_git()
    assert Path(_git(folder, "rev-parse", "--show-toplevel")) == (tmp_path if place == "inside" else folder)
    assert (folder / ".git").exists() == (place != "inside")
    set_up.link_models(Path("data/models"))
    assert os.readlink(folder / "models") == "data/models"
    names: Any = _git(folder, "status", "--porcelain", "--untracked-files=all", ".").splitlines()
    assert not [name for name in names if "models/tiny" in name and "data/models" not in name]
    assert [name for name in names if name.endswith("experiment.yaml")]


CONDA_ENVS = "# conda environments:\n#\nbase                     /opt/conda\nftexp                 *  {folder}\n"


@pytest.mark.parametrize(("named", "found"), [("ftexp", "here"), ("/some/where", "/some/where"), ("ftexq", None)])
def test_a_conda_environment_is_found_by_name_or_folder(
    named: str, found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conda = tmp_path / "conda"
    conda.write_text(f"#!/bin/sh\nprintf '%s' '{CONDA_ENVS.format(folder=tmp_path / 'here')}'\n")
    conda.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if found is None:
        with pytest.raises(SystemExit):
            conda_environment(named)
        assert "site.yaml: conda: there is no environment 'ftexq'. Those there are: base, ftexp" in capsys.readouterr().err
    else:
        assert conda_environment(named) == tmp_path / found


def test_a_conda_that_is_not_there_is_one_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit):
        conda_environment("ftexp")
    assert "Load conda's module first" in capsys.readouterr().err
