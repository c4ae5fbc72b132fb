"""`make upgrade`: newer scripts come into an experiment, what becomes stale is said before, and nothing of a person's is lost."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import split as split_stage
import stamp
from conftest import REPOSITORY
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.ground.filesystem import read_json, sha256_file, write_json
from ftexp.life import upgrading
from ftexp.life.template_files import SINGLE_FILES, files_of_template
from ftexp.life.upgrading import _kept_path
from helpers.finished import finish, states
from helpers.marks import slow_but
from warm.environment import use, warm_environment

STAMPED = "{{cookiecutter.experiment_name}}"
DATASET, CHAT, PLAN = "scripts/ftexp/trainers/torchtune/components/dataset.py", "scripts/ftexp/models/chat.py", "scripts/plan.py"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A copy of the template that a test makes newer."""
    folder = tmp_path / "a template"
    for name in ("scripts", STAMPED):
        shutil.copytree(REPOSITORY / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    shutil.copy(REPOSITORY / "cookiecutter.json", folder)
    return folder


@pytest.fixture(scope="module")
def _finished(baked_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("upgrade") / "mine"
    use(warm_environment(), shutil.copytree(baked_once, folder, symlinks=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert stamp.main([]) == 0 and split_stage.main([]) == 0
        for run in planned_runs():
            finish(run.id, run.stages)
    return folder


@pytest.fixture
def finished(_finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of an experiment whose stages are done; the working folder."""
    folder = tmp_path / "mine"
    shutil.copytree(_finished, folder, symlinks=True)
    monkeypatch.chdir(folder)
    assert stamp.main([]) == 0  # job scripts hold this folder's path
    return folder


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def upgrade(template: Path | str, **options: str) -> "subprocess.CompletedProcess[str]":
    """By the experiment's own script."""
    environment = {**os.environ, "TEMPLATE": str(template), **options}
    command = [".venv/bin/python", "scripts/upgrade.py"]
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def is_as(template: Path) -> bool:
    return all(Path(name).read_bytes() == path.read_bytes() for name, path in files_of_template(template).items())


def contents(folder: Path = Path()) -> dict[str, bytes]:
    """Every file but what our memory of hashes is."""
    files = [path for path in folder.rglob("*") if path.is_file() and not {".venv", ".scratch"} & set(path.parts)]
    return {str(path): path.read_bytes() for path in files}


@pytest.mark.usefixtures("finished")
def test_a_newer_docstring_comes_in_and_nothing_becomes_stale(template: Path) -> None:
    path = template / DATASET
    path.write_text(path.read_text(encoding="utf-8").replace('"""', '"""Newer: ', 1), encoding="utf-8")
    lock = template / STAMPED / "requirements.txt"
    lock.write_text(re.sub(r"(?m)^torch==.*$", "torch==99.0", lock.read_text(encoding="utf-8")), encoding="utf-8")
    shown = upgrade(template)
    assert shown.returncode == 0, shown.stderr
    assert f"{DATASET}: +1 -1" in shown.stdout and "nothing: what is done stays done" in shown.stdout
    assert re.search(r"packages:\n  torch 2\.\S+ -> 99\.0\n\n", shown.stdout)
    assert "Next: make setup, since the lock changed" in shown.stdout
    assert is_as(template) and states() == ("4 done", "5 done")
    assert read_json(paths.TEMPLATE_JSON)["files"][DATASET] == sha256_file(path)
    assert not Path("upgrade-kept").exists() and "nothing to do" in upgrade(template).stdout


def test_a_package_that_is_spelled_another_way_is_the_same_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("requirements.txt").write_text("PyYAML==6.0.3\nruamel.yaml==0.18\n", encoding="utf-8")
    newer = tmp_path / "newer.txt"
    newer.write_text("pyyaml==6.0.3 \\\n    --hash=sha256:00\nruamel-yaml==0.19 ; python_version > '3'\n", encoding="utf-8")
    upgrade = upgrading.Upgrade(tmp_path, {}, {"requirements.txt": newer}, [], [], [])
    assert upgrading.packages_in_words(upgrade) == ["ruamel-yaml 0.18 -> 0.19"]


@pytest.mark.usefixtures("finished")
def test_what_would_become_stale_is_said_before_anything_is_changed(template: Path) -> None:
    append(template / DATASET, "NEW = 1\n")
    config = template / "scripts/ftexp/trainers/torchtune/config.py"
    config.write_text(config.read_text(encoding="utf-8").replace('"log_every_n_steps": 1', '"log_every_n_steps": 2'))
    before = contents()
    shown = upgrade(template, DRY="1")
    assert shown.returncode == 0, shown.stderr
    assert "train: 4 of 4 that are done: stale: changed: finetune.yaml, the code\n" in shown.stdout
    assert "eval: 4 of 5 that are done: after their training\n" in shown.stdout
    assert "finetune.yaml: log_every_n_steps: in 4 runs" in shown.stdout
    assert contents() == before and len(list(Path("..").glob(".ftexp-upgrade-*"))) == 0


@pytest.mark.usefixtures("finished")
def test_what_a_person_changed_is_named_and_never_lost(template: Path) -> None:
    append(Path(CHAT), "# mine\n")
    append(Path(PLAN), "# mine\n")
    Path("scripts/own.py").write_text("# mine\n")
    append(template / PLAN, "# newer\n")
    append(template / DATASET, "# newer\n")
    before = contents()
    refused = upgrade(template)
    assert refused.returncode == 1 and f"{PLAN}: was changed here, and by the template too." in refused.stderr
    assert CHAT not in refused.stderr and "Traceback" not in refused.stderr and contents() == before
    forced = upgrade(template, FORCE="1")
    assert forced.returncode == 0, forced.stderr
    assert f"kept as they are:\n  {CHAT}\n" in forced.stdout
    after = contents()
    assert after[f"upgrade-kept/{PLAN}"] == before[PLAN] and after[PLAN].endswith(b"# newer\n")
    assert after[CHAT] == before[CHAT] and after["scripts/own.py"] == b"# mine\n" and after[DATASET].endswith(b"# newer\n")


@pytest.mark.usefixtures("finished")
def test_where_an_older_template_did_not_say_what_it_stamped_all_that_is_replaced_is_kept(template: Path) -> None:
    write_json(paths.TEMPLATE_JSON, {"version": "0.0.1", "commit": None})
    append(Path(PLAN), "# old, or mine\n")
    Path("scripts/upgrade.py").unlink()
    before = contents()
    environment = {key: value for key, value in os.environ.items() if key != "TEMPLATE"}
    command = [".venv/bin/python", str(template / "scripts/upgrade.py")]
    shown = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "template 0.0.1 (commit not known) -> " in shown.stdout and "cannot be told" in shown.stdout
    assert is_as(template) and contents()[f"upgrade-kept/{PLAN}"] == before[PLAN]


@pytest.mark.usefixtures("finished")
def test_scripts_that_refuse_the_experiment_do_not_come_in(template: Path) -> None:
    spec = template / "scripts/ftexp/design/spec.py"
    spec.write_text(spec.read_text(encoding="utf-8").replace('"evaluation", "validation"', '"validation"'), encoding="utf-8")
    before = contents()
    refused = upgrade(template)
    assert refused.returncode == 1 and contents() == before
    assert "the newer scripts refuse the experiment:\nexperiment.yaml: evaluation: unknown key" in refused.stderr


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("", "TEMPLATE: is missing. For example: make upgrade TEMPLATE=gh:lab/ftexp"),
        (".", "TEMPLATE: must be a template of ftexp's that can upgrade, got ."),
        ("file:///nowhere/at/all", "TEMPLATE: is no folder here, and git cannot clone file:///nowhere/at/all: "),
    ],
)
def test_a_template_that_is_none_is_one_message(named: str, message: str, finished: Path) -> None:
    refused = upgrade(named)
    assert refused.returncode == 1 and message in refused.stderr and "Traceback" not in refused.stderr


@pytest.mark.usefixtures("finished")
def test_a_template_is_cloned_from_a_repository(template: Path) -> None:
    append(template / DATASET, "# newer\n")
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "newer"]):
        subprocess.run(["git", *words], cwd=template, check=True)
    shown = upgrade(template.as_uri())
    assert shown.returncode == 0, shown.stderr
    assert is_as(template) and len(read_json(paths.TEMPLATE_JSON)["commit"]) == 40


class Killed(Exception):
    """Stands for kill -9: nothing of ours handles it."""


def scripts() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("scripts").rglob("*") if path.is_file()}


def apply_until(template: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Upgrade, and be killed before the step of this number; whether there was one."""
    left = [step]

    def killing(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return function(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for module, name in ((os, "replace"), (shutil, "copy2"), (shutil, "rmtree"), (upgrading, "_exchange_at_once")):
            patch.setattr(module, name, killing(getattr(module, name)))
        try:
            upgrading.apply(upgrading.compare(template))
        except Killed:
            return True
    return False


@pytest.mark.parametrize("can_exchange", slow_but([True, False], True))
def test_killed_before_any_step_scripts_are_whole_and_the_next_call_completes_it(
    can_exchange: bool, template: Path, monkeypatch: pytest.MonkeyPatch, finished: Path
) -> None:
    for name in (PLAN, DATASET, f"{STAMPED}/Makefile", f"{STAMPED}/.gitignore"):
        append(template / name, "# newer\n")
    (template / CHAT).unlink()
    (template / "scripts/ftexp/newer.py").write_text("")
    Path("scripts/own.py").write_text("# mine\n")
    old = scripts()
    new = {name: path.read_bytes() for name, path in files_of_template(template).items() if name.startswith("scripts/")}
    new["scripts/own.py"] = b"# mine\n"
    if not can_exchange:
        monkeypatch.setattr(upgrading, "_exchange_at_once", lambda new, old: False)
    fresh, step = shutil.copytree(finished, finished.parent / "fresh", symlinks=True), 0
    while apply_until(template, step, monkeypatch):
        assert scripts() in (old, new) or (not can_exchange and not Path("scripts").exists())
        upgrading.restore_interrupted()
        assert scripts() in (old, new)
        upgrading.apply(upgrading.compare(template))
        assert scripts() == new and is_as(template) and CHAT not in read_json(paths.TEMPLATE_JSON)["files"]
        step += 1
        os.chdir(fresh.parent)
        shutil.rmtree(finished)
        shutil.copytree(fresh, finished, symlinks=True)
        os.chdir(finished)
    assert step > 8 and scripts() == new and is_as(template)


def test_what_the_template_copies_is_what_an_upgrade_looks_at() -> None:
    copied = json.loads((REPOSITORY / "cookiecutter.json").read_text())["_copy_without_render"]
    assert {*SINGLE_FILES, "scripts"} == set(copied)


def test_a_second_kept_copy_lies_beside_the_first(experiment: Path) -> None:
    edited = Path(PLAN)
    for number, folder in ((1, "upgrade-kept"), (2, "upgrade-kept/2"), (3, "upgrade-kept/3")):
        edited.write_text(f"# edit {number}\n")
        for _ in range(2):  # the same again, as after a kill, goes to the same place
            copy = _kept_path(PLAN)
            assert copy == Path(folder) / PLAN
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(edited, copy)
