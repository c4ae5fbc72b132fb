"""Stamping writes what is asked for, once, the same everywhere, and keeps what a person wrote."""

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import plan as plan_stage
import pytest
import stamp as stamp_stage
from conftest import ENVIRONMENT, REPOSITORY
from ftexp.checks.read_back import check_read_back
from ftexp.design.planning import planned_runs
from ftexp.evaluation.eval_file import eval_text
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import load_yaml
from helpers.stamped import RUNS, config_of, edit_experiment, set_factors, trained_runs
from omegaconf import OmegaConf

STAMPED = {"run.yaml", "finetune.yaml", "finetune.slurm", "eval.py", "eval.slurm", "dvc.yaml"}
Snapshot = dict[str, tuple[bytes, int]]


def _snapshot() -> Snapshot:
    """Bytes and time of every file of the experiment that stages write."""
    files = [
        p
        for p in Path().rglob("*")
        if p.is_file() and not p.is_relative_to("data") and p.parts[0] not in (".venv", "models", "scripts")
    ]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def _changed(before: Snapshot) -> set[str]:
    after = _snapshot()
    return {
        name for name in {*before, *after} if before.get(name) != after.get(name) and not name.startswith((".scratch", "events"))
    }


@pytest.mark.usefixtures("stamped_once")
def test_every_run_folder_holds_exactly_what_is_stamped() -> None:
    assert sorted(path.name for path in Path("runs").iterdir()) == sorted(RUNS)
    for run in RUNS[1:]:
        assert {path.name for path in (Path("runs") / run).iterdir()} == STAMPED
    assert {path.name for path in Path("runs/base").iterdir()} == STAMPED - {"finetune.yaml", "finetune.slurm"}


@pytest.mark.usefixtures("stamped")
def test_stamping_twice_changes_nothing() -> None:
    before = _snapshot()
    assert stamp_stage.main([]) == 0
    assert _snapshot() == before
    paths.STAMP_JSON.unlink()  # as in a fresh clone: everything is made again, to the same bytes
    assert stamp_stage.main([]) == 0
    assert _changed(before) == set()


def test_the_same_experiment_elsewhere_has_the_same_bytes(stamped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "else where"
    other.mkdir()
    shutil.copytree(stamped / "data", other / "data")
    for name in ("experiment.yaml", "site.yaml", "job.slurm.template", "models"):
        shutil.copy(stamped / name, other / name, follow_symlinks=False)
    monkeypatch.chdir(other)
    assert stamp_stage.main([]) == 0
    for path in other.rglob("*"):
        place = path.relative_to(other)
        if path.is_file() and path.suffix != ".slurm" and place.parts[0] in ("runs", "runs.csv", "dvc.yaml", "code.json"):
            assert path.read_bytes() == (stamped / place).read_bytes(), place


def test_nothing_generated_holds_a_machines_path_or_a_time(stamped_once: Path) -> None:
    written = [
        *stamped_once.glob("runs/*/*"),
        stamped_once / "runs.csv",
        stamped_once / "dvc.yaml",
        stamped_once / "code.json",
        stamped_once / "experiment.yaml",
    ]
    checked = [path for path in written if path.suffix != ".slurm"]
    assert len(checked) == 4 + 4 * 4 + 3
    for path in checked:
        text = path.read_text(encoding="utf-8")
        for machine in (str(stamped_once), str(REPOSITORY), str(ENVIRONMENT), str(Path.home()), os.uname().nodename):
            assert not re.search(rf"(?<![\w.]){re.escape(machine)}(?![\w])", text), (path, machine)
        assert not re.search(r"(?m)(^|[\s'\"=:])/(?!=)\w+/", text), path
        assert not re.search(r"\b\d\d:\d\d:\d\d\b|\b1[6-9]\d{8}\b", text), path
        dates = set(re.findall(r"\b20\d\d-\d\d-\d\d\b", text))
        assert dates <= {"2026-01-01"}, path


@pytest.mark.usefixtures("stamped")
def test_after_a_change_exactly_what_changed_is_regenerated() -> None:
    before = _snapshot()
    edit_experiment("lora_rank: [4, 16]", "lora_rank: [2, 4, 16]")
    assert stamp_stage.main([]) == 0
    new = {f"runs/{run}/{name}" for run in ("r2_lr1e-4", "r2_lr1e-3") for name in STAMPED}
    assert _changed(before) == {*new, "runs.csv", "dvc.yaml", "experiment.yaml", "README.md"}

    before = _snapshot()
    edit_experiment("max_tokens: 16", "max_tokens: 20")
    assert stamp_stage.main([]) == 0
    assert {Path(name).name for name in _changed(before)} == {"experiment.yaml", "run.yaml", "eval.py"}

    before = _snapshot()
    paths.SITE_YAML.write_text(paths.SITE_YAML.read_text().replace("device: auto", "device: cpu"))
    assert stamp_stage.main([]) == 0
    assert {Path(name).name for name in _changed(before)} == {"site.yaml", "finetune.slurm", "eval.slurm"}


@pytest.mark.usefixtures("stamped")
def test_a_comment_regenerates_nothing() -> None:
    before = _snapshot()
    edit_experiment("design: factorial", "# a new thought\ndesign: factorial   # another")
    assert stamp_stage.main([]) == 0
    assert _changed(before) == {"experiment.yaml"}


@pytest.mark.usefixtures("stamped")
def test_a_run_no_longer_in_the_design_is_kept_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    product = Path("runs/r16_lr1e-3/checkpoint/adapter")
    product.parent.mkdir()
    product.write_text("hours of work")
    before = _snapshot()
    edit_experiment("lora_rank: [4, 16]", "lora_rank: [4]")
    assert stamp_stage.main([]) == 0
    assert "not in the design (kept, not reported): r16_lr1e-3, r16_lr1e-4" in capsys.readouterr().err
    assert _changed(before) == {"experiment.yaml", "runs.csv", "dvc.yaml", "README.md"}
    assert [run.id for run in planned_runs()] == ["base", "r4_lr1e-4", "r4_lr1e-3"]
    assert "r16" not in Path("dvc.yaml").read_text()
    assert plan_stage.main([]) == 0
    assert "not in the design (kept, not reported): r16_lr1e-3, r16_lr1e-4" in capsys.readouterr().out


@pytest.mark.usefixtures("stamped")
@pytest.mark.parametrize("name", ["run.yaml", "finetune.yaml", "eval.py", "dvc.yaml", "finetune.slurm"])
def test_a_generated_file_that_was_edited_by_hand_is_named_and_kept(name: str) -> None:
    path = Path("runs/r4_lr1e-3") / name
    path.write_text(path.read_text() + "# mine\n")
    before = _snapshot()
    for _ in range(2):
        with pytest.raises(UserError, match=rf"^runs/r4_lr1e-3/{re.escape(name)}: was edited by hand, but is generated"):
            stamp_stage.main([])
    assert _changed(before) == set()
    path.unlink()
    assert stamp_stage.main([]) == 0
    assert "# mine" not in path.read_text()


@pytest.mark.usefixtures("stamped")
def test_a_generated_file_that_is_gone_comes_back() -> None:
    before = {name: content for name, (content, _) in _snapshot().items()}
    for name in ("runs/base/eval.py", "runs/r4_lr1e-3/finetune.yaml", "dvc.yaml", "runs.csv"):
        Path(name).unlink()
    assert stamp_stage.main([]) == 0
    after = {name: content for name, (content, _) in _snapshot().items()}
    for name in before:
        assert name.startswith((".scratch", "events")) or after[name] == before[name], name


@pytest.mark.usefixtures("experiment")
@pytest.mark.parametrize(
    ("factors", "bad", "reason"),
    [
        (
            "{model: [tiny-instruct, tiny-instrcut]}",
            "tiny-instrcut",
            "there is no folder models/tiny-instrcut. Did you mean 'tiny-instruct'?",
        ),
        ("{train_size: [64, 6400]}", "n6400", "train_size: is 6400, but the split has 2000 training rows"),
        (
            "{mix: {a: {lr: 0.1}, b: {optimizer.wight_decay: 0.1}}}",
            "mix-b",
            "optimizer.wight_decay: unknown torchtune key. Did you mean 'weight_decay'?",
        ),
        (
            "{mix: {a: {lr: 0.1}, b: {optimiser.weight_decay: 0.1}}}",
            "mix-b",
            "torchtune's config has no section 'optimiser'. Did you mean 'optimizer'?",
        ),
    ],
)
def test_a_mistake_of_one_run_leaves_that_run_unstamped_and_the_others_usable(
    factors: str,
    bad: str,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "model" in factors:
        edit_experiment("model: tiny-instruct, ", "")
    set_factors(factors)
    good = {"tiny-instrcut": "tiny-instruct", "n6400": "n64", "mix-b": "mix-a"}[bad]
    for arguments, code in (([], 1), (["--usable"], 0), ([], 1)):
        assert stamp_stage.main(arguments) == code
        message = capsys.readouterr().err
        assert f"runs/{bad}: not stamped: " in message and reason in message and f"runs/{good}: not stamped" not in message
    assert {path.name for path in (Path("runs") / bad).iterdir()} == {"run.yaml"}
    assert {path.name for path in (Path("runs") / good).iterdir()} == STAMPED
    rows = Path("runs.csv").read_text().splitlines()
    assert any(row.startswith(f"{bad},") and reason.split(".")[0] in row for row in rows)
    assert bad not in Path("dvc.yaml").read_text()


HOSTILE = [
    "$(touch pwned) {input}",
    "`touch pwned` {input}",
    "\"'; touch pwned; # {input}",
    "${{oc.env:HOME}} {input}",
    "\\${{x}} {input}",
    '"""\nimport os #{input}',
    "a\\n{input}\\",
]


@pytest.mark.usefixtures("experiment")
@pytest.mark.parametrize("prompt", HOSTILE)
def test_a_hostile_prompt_is_text_in_every_file_and_executes_nowhere(prompt: str) -> None:
    set_factors(json.dumps({"wording": {"$(touch pwned)": {"prompt.user": prompt, "prompt.system": prompt}}}))
    assert stamp_stage.main([]) == 0
    (run,) = trained_runs()
    config = config_of(run.id)
    assert (config["dataset"]["user"], config["dataset"]["system"]) == (prompt, prompt)
    path = paths.RunPaths(run.id).finetune_yaml
    assert check_read_back(run, load_yaml(path)) == []
    assert load_yaml(path) == OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    tree = ast.parse(paths.RunPaths(run.id).eval_py.read_text(encoding="utf-8"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert texts.count(prompt) == 2
    for script in Path("runs").glob("*/*.slurm"):
        assert "touch" not in script.read_text().replace(run.id, "")
        assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert not list(Path().rglob("pwned"))


def test_the_eval_file_is_python_that_names_data_prompt_scorer_and_model(stamped_once: Path) -> None:
    run = trained_runs()[0]
    text = eval_text(run)
    assert text == (stamped_once / "runs" / run.id / "eval.py").read_text()
    constants = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    assert {
        f"data/splits/{run.asked[0].test_set}/test.jsonl",
        "{input}",
        run.id,
        "models/tiny-instruct",
        f"runs/{run.id}/checkpoint",
        "fp32",
    } <= constants


@pytest.mark.usefixtures("stamped")
def test_what_is_fresh_is_looked_at_without_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive, or a colleague's folder, that may only be read."""
    monkeypatch.setattr(stamp_stage, "only_one_make", lambda work: pytest.fail("the lock was taken"))
    assert stamp_stage.main([]) == 0


@pytest.mark.usefixtures("stamped")
def test_a_folder_that_nothing_reads_any_more_stops_no_stage() -> None:
    for name, text in (("old_1", "- [broken"), ("old_2", "[1, 2]\n")):
        Path(f"runs/{name}").mkdir()
        Path(f"runs/{name}/run.yaml").write_text(text)
    edit_experiment("lora_rank: [4, 16]", "lora_rank: [4]")
    assert stamp_stage.main([]) == 0
    assert stamp_stage._is_fresh()
