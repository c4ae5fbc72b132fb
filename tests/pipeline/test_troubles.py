"""Troubles of the machine: a full disk, no permission, two commands at once, a clock that is set back, a kill in the middle.

Kills while configs are validated, while a run trains, is evaluated or is recorded: test_kills. Between the files of an epoch:
test_training_components. On a cluster: test_slurm.
"""

import contextlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plan as plan_stage
import pytest
import split as split_stage
import stamp as stamp_stage
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.memories import FileHashes, YamlMemory
from ftexp.ground.yamlfile import load_yaml
from ftexp.state import dvc_files, job_record
from ftexp.state.run_lock import only_one_make
from helpers.experiments import tree
from helpers.troubles import KILLED, FullDisk, Stage, command

NOBODY = 65534
STAGES: dict[str, Stage] = {"plan": plan_stage.main, "stamp": stamp_stage.main, "split": split_stage.main}


def without_scratch(folder: Path) -> dict[str, bytes | None]:
    return {name: held for name, held in tree(folder).items() if not name.startswith((".scratch", "events.jsonl"))}


def start_anew(before: str) -> None:
    """An experiment of which the stages before `before` are done."""
    paths.RUNS_CSV.unlink()
    shutil.rmtree(paths.RUNS_DIR)
    for name, stage in STAGES.items():
        if name == before:
            return
        assert command(stage)[0] == 0


@pytest.mark.parametrize("stage", STAGES)
def test_whenever_the_disk_is_full_a_stage_says_so_and_finishes_when_there_is_room(
    stage: str, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_anew(stage)
    shutil.copytree(experiment, experiment.parent / "whole", symlinks=True)
    with contextlib.chdir(experiment.parent / "whole"):
        assert command(STAGES[stage])[0] == 0
    for room in range(1000):
        disk, before = FullDisk(room), tree(experiment)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", lambda path, data, disk=disk: disk.write(path, data))
            code, said = command(STAGES[stage])
        messages = [line for line in said if not line.startswith("split: ")]  # what was split before
        if not disk.is_full:
            break
        assert code == 1 and len(messages) == 1, messages
        assert messages[0].endswith(": No space left on device. Make room on this file system, and run the same command again.")
        assert not messages[0].startswith(("disk", "None")) and not list(experiment.rglob(".*.tmp"))
        assert set(before) <= set(tree(experiment))
    assert room > 1 and command(STAGES[stage])[0] == 0
    assert without_root(experiment) == without_root(experiment.parent / "whole")


def without_root(folder: Path) -> dict[str, bytes]:
    """Every file but the models', the folder's path in job scripts left out."""
    roots = [str(folder.with_name(name)).encode() for name in ("whole", "mine")]
    held = {name: data or b"" for name, data in without_scratch(folder).items() if not name.startswith("data/models")}
    return {name: data.replace(roots[0], b"").replace(roots[1], b"") for name, data in held.items()}


def test_a_real_disk_that_is_full_is_one_message(experiment: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this user may not mount a file system: {mounted.stderr.decode().strip()}")
    try:
        shutil.rmtree("runs")
        os.symlink(small, "runs")
        (small / "filler").write_bytes(b"x" * 480_000)
        code, messages = command(stamp_stage.main)
        assert code == 1 and len(messages) == 1 and "No space left on device. Make room" in messages[0], messages
        (small / "filler").unlink()
        assert command(stamp_stage.main)[0] == 0
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


@pytest.fixture
def foreign(experiment: Path) -> Iterator[Path]:
    """A copy of the experiment that everybody may read and its owner alone may change, and a user who is not the owner."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; a user's own folders obey chmod, which the next line would do")
    folder = Path(tempfile.mkdtemp(dir="/tmp")) / "mine"
    shutil.copytree(experiment, folder, symlinks=True)
    (folder / "models").unlink()
    (folder / "models").symlink_to("data/models")
    for path in (folder.parent, folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | stat.S_IRUSR | 0o055 if path.is_dir() else 0o644)
    with contextlib.chdir(folder):
        yield folder
    shutil.rmtree(folder.parent)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("stage", STAGES)
def test_without_permission_to_write_a_stage_says_so_and_changes_nothing(stage: str, foreign: Path) -> None:
    before = tree(foreign)
    with as_nobody():
        code, messages = command(STAGES[stage])
    if stage == "split":
        assert "Run `make plan` first" in messages[0] or "Permission denied" in messages[0]
    else:
        assert "Permission denied. Get the permission, and run the same command again." in messages[0]
    assert (code, len(messages)) == (1, 1) and tree(foreign) == before


def test_of_two_stamps_at_once_one_waits_and_says_so(experiment: Path) -> None:
    """The other is held where it would write, by the lock of the first."""
    with only_one_make("stamp"):
        waiting = subprocess.Popen([sys.executable, "scripts/stamp.py"], stderr=subprocess.PIPE, text=True)
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == "another make is at work here (stamp); waiting until it has ended\n"
        assert waiting.poll() is None and not paths.STAMP_JSON.exists()
    waiting.communicate()
    assert waiting.returncode == 0 and paths.STAMP_JSON.is_file()


def _stamp_at_once(folder: Path, gate: Any) -> None:
    os.chdir(folder)
    gate.wait()
    with contextlib.redirect_stderr(io.StringIO()):
        os._exit(stamp_stage.main([]))


def test_many_stamps_at_once_leave_what_one_leaves(experiment: Path) -> None:
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(4)
    stamps = [context.Process(target=_stamp_at_once, args=(experiment, gate)) for _ in range(4)]
    for process in stamps:
        process.start()
    for process in stamps:
        process.join()
    assert [process.exitcode for process in stamps] == [0] * 4
    after = without_scratch(experiment)
    assert command(stamp_stage.main)[0] == 0 and without_scratch(experiment) == after and not list(experiment.rglob("*.tmp"))
    known = json.loads(paths.STAMP_JSON.read_text())["files"]
    assert all(known[str(path)] for path in Path("runs").glob("*/*"))


def test_an_edit_while_it_stamps_is_stamped_by_the_next_call(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = stamp_stage.make_plan

    def plan_then_edit() -> Any:
        made = plan()
        text = paths.EXPERIMENT_YAML.read_text()
        paths.EXPERIMENT_YAML.write_text(text.replace("epochs: 2", "epochs: 3"))
        return made

    with monkeypatch.context() as patch:
        patch.setattr(stamp_stage, "make_plan", plan_then_edit)
        assert stamp_stage.main([]) == 0
    assert load_yaml(paths.RunPaths("r4_lr1e-4").finetune_yaml)["epochs"] == 2
    assert stamp_stage.main([]) == 0
    assert load_yaml(paths.RunPaths("r4_lr1e-4").finetune_yaml)["epochs"] == 3


@pytest.mark.parametrize("said", [
    "ERROR: Unable to acquire lock. Most likely another DVC process is running or was terminated abruptly.",
    "ERROR: failed to commit: '/mine/dvc.yaml' is busy, it is being blocked by:\n  (PID 1): dvc push",
])
def test_another_dvc_at_work_is_one_message(said: str, experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".dvc").mkdir()
    monkeypatch.setattr(dvc_files.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 255, "", said))
    with pytest.raises(UserError) as error:
        dvc_files._commit(["dvc.yaml:split"])
    assert str(error.value) == (
        ".dvc: another dvc command is at work here, so nothing was recorded. "
        "Nothing is lost: when that has ended, run the same command again."
    )


def test_a_config_of_dvcs_that_is_half_written_is_one_message(experiment: Path) -> None:
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core\n  analy")
    with pytest.raises(UserError) as error:
        dvc_files._commit(["dvc.yaml:split"])
    said = str(error.value)
    assert said.startswith(".dvc/config: dvc cannot read it: ") and said.endswith(". Correct it, or `git checkout .dvc/config`.")
    assert len(said.splitlines()) == 1


def _edit_behind_the_clock(path: Path, text: str) -> None:
    """The same size, and the modification time set back to what it was."""
    before = path.stat()
    assert len(text.encode()) == before.st_size
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def _let_it_rest() -> None:
    """Longer than a tick of the kernel's clock."""
    time.sleep(0.03)


def test_an_edit_of_equal_size_under_a_clock_set_back_is_noticed(tmp_path: Path) -> None:
    path, memory = tmp_path / "x.yaml", tmp_path / "memory.json"
    path.write_text("a: 1\n")
    _let_it_rest()
    hashes, documents = FileHashes(memory), YamlMemory(tmp_path / "documents.json")
    before = hashes.of_yaml(path)
    assert documents.load(path) == {"a": 1}
    hashes.save()
    documents.save()
    assert str(path) in memory.read_text() and str(path) in (tmp_path / "documents.json").read_text()
    _edit_behind_the_clock(path, "a: 2\n")
    assert FileHashes(memory).of_yaml(path) != before
    assert YamlMemory(tmp_path / "documents.json").load(path) == {"a": 2}


def test_a_large_file_under_a_clock_set_back_is_hashed_again(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_text("a" * 1_000_000)
    _let_it_rest()
    hashes = FileHashes(tmp_path / "memory.json")
    before = hashes.of(path)
    _edit_behind_the_clock(path, "b" * 1_000_000)
    assert hashes.of(path) != before


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A further change within the same tick of the kernel's clock would not be seen."""
    path, hashes = tmp_path / "x.yaml", FileHashes(tmp_path / "memory.json")
    path.write_text("a: 1\n")
    monkeypatch.setattr("ftexp.ground.filesystem.time.time_ns", lambda: path.stat().st_ctime_ns)
    hashes.of_yaml(path)
    assert hashes._known == {}


def test_a_stamp_under_a_clock_set_back_notices_an_edit(experiment: Path) -> None:
    assert stamp_stage.main([]) == 0
    path = paths.RunPaths("r4_lr1e-4").finetune_yaml
    _edit_behind_the_clock(path, path.read_text().replace("epochs: 2", "epochs: 7"))
    with pytest.raises(UserError, match="finetune.yaml: was edited by hand"):
        stamp_stage.main([])


def test_no_stage_takes_less_than_no_time(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = job_record.begin("r4_lr1e-4", "train", "0")
    hour_ago = time.time() - 3600
    monkeypatch.setattr(job_record.time, "time", lambda: hour_ago)
    job_record.end("r4_lr1e-4", "train", record, "done")
    written = job_record.read_job("r4_lr1e-4", "train")
    assert written is not None and 0 <= written["seconds"] < 60


@pytest.mark.parametrize("stage", STAGES)
def test_killed_before_any_of_its_files_is_in_place_a_stage_finishes_when_called_again(stage: str, experiment: Path) -> None:
    start_anew(stage)
    shutil.copytree(experiment, experiment.parent / "whole", symlinks=True)
    with contextlib.chdir(experiment.parent / "whole"):
        assert command(STAGES[stage])[0] == 0
    for files in (0, 1, 3):
        command_line = [sys.executable, "-c", KILLED.format(stage=stage), str(files)]
        killed = subprocess.run(command_line, capture_output=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert command(STAGES[stage])[0] == 0
    made = {name: data for name, data in without_root(experiment).items() if not name.endswith(".tmp")}
    assert made == without_root(experiment.parent / "whole")
