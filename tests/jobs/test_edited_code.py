"""Code that is edited while a process computes with what it imported: no number stands under another code than its own."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import stamp
from ftexp.design.planning import read_run
from ftexp.ground import own_code
from ftexp.ground.filesystem import read_json
from ftexp.ground.own_code import CodeEdited, handed_on, import_own_code
from ftexp.ground.source_code import FTEXP, read_source
from ftexp.jobs.diagnosis import sign_in_text
from ftexp.state import code_version
from ftexp.state.imported_code import ImportedCode
from ftexp.state.job_record import read_job
from ftexp.state.work import Work
from helpers.tiny_models import TinyExperiment, make_experiment
from warm.environment import use, warm_environment

SCORER, SCHEDULE = "evaluation/scorer.py", "trainers/torchtune/components/schedule.py"
# Put at the beginning of a function of ours that computes no number, so that the edit comes at that moment.
EDIT = '''
    if {condition}:
        with open("scripts/ftexp/{file}", "a") as code:
            code.write("\\nEDITED = True\\n")
'''


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """A control and two runs, stamped and split."""
    return make_experiment(tmp_path_factory.mktemp("edited") / "tiny", "qwen2", "chatml", factors={"seed": [1, 2]})


@pytest.fixture
def tiny(made: TinyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, with an environment; the working folder, whose code is the code."""
    folder = use(warm_environment(), Path(shutil.copytree(made.root, tmp_path / "tiny", symlinks=True)))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(code_version, "_FTEXP", folder / "scripts/ftexp")
    assert stamp.main([]) == 0  # job scripts name their folder
    return folder


def edit_at(function: str, module: str, condition: str, file: str) -> None:
    """Let a function of the experiment's own code edit `file` when it is called."""
    path = Path("scripts/ftexp", module)
    before, head, rest = path.read_text(encoding="utf-8").partition(f"def {function}(")
    signature, end, body = rest.partition(":\n    \"\"\"")
    said, quotes, code = body.partition("\"\"\"\n")
    edit = EDIT.format(condition=condition, file=file)
    path.write_text(before + head + signature + end + said + quotes + edit + code, encoding="utf-8")


def call(*words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": "scripts", "FORCE": "1", "JOBS": "1"}
    return subprocess.run([".venv/bin/python", *words], env=environment, capture_output=True, text=True, check=False)


def state(run: str, stage: str) -> tuple[str, str]:
    found = Work().state(read_run(run), stage)
    return found.status, found.reason


@pytest.mark.slow
def test_code_edited_during_a_training_the_manifest_names_what_was_imported_and_its_process_begins_no_further_one(
    tiny: Path
) -> None:
    imported = code_version.code_versions()["training"]
    edit_at("write_manifest", "state/publishing.py", "True", SCHEDULE)
    ended = call("scripts/submit.py")
    assert ended.returncode == 1, ended.stderr
    assert read_json(Path("runs/s1/train.json"))["inputs"]["code"] == imported != code_version.code_versions()["training"]
    assert state("s1", "train") == ("stale", "changed: the code")
    assert state("s2", "train")[0] == "ready" and read_job("s2", "train") is None
    said = ended.stderr.splitlines()
    assert [line for line in said if "Traceback" in line] == []
    [stopped] = [line for line in said if own_code.EDITED in line]
    assert stopped.startswith(f"scripts/ftexp/{SCHEDULE}: was edited") and stopped.endswith("Not done: train of s2.")
    assert [line.split(" failed: ")[1].split(" (runs")[0] for line in said if line.startswith("runs/")] == [
        "it is done, and stale: changed: the code",
        "it was not begun, because the code was edited meanwhile: `make validate` first. The next call tries again.",
    ]
    assert call("scripts/execute.py", "train", "s2").returncode == 0  # edits once more as it ends
    assert state("s2", "train") == ("stale", "changed: the code")


@pytest.mark.parametrize(("stage", "run", "file"), [
    ("train", "s1", SCHEDULE), pytest.param("eval", "base", SCORER, marks=pytest.mark.slow),
])
def test_code_edited_between_the_beginning_and_the_imports_nothing_is_computed(
    stage: str, run: str, file: str, tiny: Path
) -> None:
    edit_at("begin", "state/job_record.py", "True", file)
    ended = call("scripts/execute.py", stage, run, "s2")
    assert ended.returncode == 1 and ended.stderr.endswith(f"Not done: {stage} of {run}, s2.\n") and file in ended.stderr
    assert not Path("runs", run, f"{stage}.json").exists() and state(run, stage)[0] == "ready"
    record = read_job(run, stage)
    assert record is not None and record["state"] == "stopped" and file in record["reason"]


@pytest.mark.slow
def test_code_edited_during_an_evaluation_the_manifest_names_what_was_imported(tiny: Path) -> None:
    imported = code_version.code_versions()["evaluation"]
    edit_at("write_manifest", "state/publishing.py", "True", SCORER)
    ended = call("scripts/execute.py", "eval", "base", "s1")
    assert ended.returncode == 1 and ended.stderr.endswith("Not done: eval of s1.\n")
    assert read_json(Path("runs/base/eval.json"))["inputs"]["code"] == imported
    assert state("base", "eval") == ("stale", "changed: the code")


def test_a_package_that_changes_under_a_process_ends_it_too(tiny: Path) -> None:
    code = ImportedCode.before_imports("train")
    code.require_on_disk()
    with pytest.raises(CodeEdited, match=r"^the package torch: was edited after this process had begun"):
        replace(code, packages={**code.packages, "torch": "0"}).require_on_disk()


@pytest.mark.slow
def test_a_process_of_a_recipe_that_imports_for_itself_looks_too(tiny: Path) -> None:
    digest = read_source(FTEXP / SCHEDULE)[0]
    with handed_on({SCHEDULE: digest}):
        import_own_code()
    with handed_on({SCHEDULE: "other"}), pytest.raises(CodeEdited) as error:
        import_own_code()
    assert sign_in_text(f"...\nftexp.ground.own_code.CodeEdited: {error.value}") == "the code was edited while it began"
    environment = {**os.environ, "PYTHONPATH": "scripts", "FTEXP_CODE": json.dumps({SCHEDULE: "other"})}
    command = [".venv/bin/tune", "run", "lora_finetune_single_device", "--config", "runs/s1/finetune.yaml"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode != 0 and str(error.value) in ended.stderr
