"""Stamping: the same bytes for the same experiment, exactly what changed regenerated, every level in its config."""

import ast
import functools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plan as plan_stage
import pytest
import stamp as stamp_stage
from conftest import ENVIRONMENT, REPOSITORY
from ftexp.checks.design_check import check_differences, check_distinct
from ftexp.checks.read_back import check_read_back
from ftexp.design.planning import planned_runs
from ftexp.design.runs import derive_steps, expand
from ftexp.design.spec import read_experiment
from ftexp.evaluation.eval_file import eval_text
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.nested import value_at
from ftexp.ground.yamlfile import load_yaml, parse_yaml
from ftexp.jobs import stamping
from ftexp.jobs.site import Site
from ftexp.jobs.stamping import generate_files
from ftexp.state.code_version import code_versions
from omegaconf import OmegaConf

RUNS = ["base", "r4_lr1e-4", "r4_lr1e-3", "r16_lr1e-4", "r16_lr1e-3"]
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


def _edit(old: str, new: str) -> None:
    text = paths.EXPERIMENT_YAML.read_text(encoding="utf-8")
    assert text.count(old) == 1, text
    paths.EXPERIMENT_YAML.write_text(text.replace(old, new), encoding="utf-8")


def _set_factors(text: str) -> None:
    """Replace the factors by one line of YAML."""
    content = paths.EXPERIMENT_YAML.read_text(encoding="utf-8")
    content, count = re.subn(r"(?s)factors:.*?(?=design:)", lambda _: f"factors: {text}\n", content)
    assert count == 1
    paths.EXPERIMENT_YAML.write_text(content, encoding="utf-8")


def _resolved(loaded: Any) -> Any:
    """A config's values as a component gets them: torchtune 0.6.1's `instantiate` resolves references twice."""
    return OmegaConf.to_container(OmegaConf.create(OmegaConf.to_container(loaded, resolve=True)), resolve=True)


def _config(run: str) -> Any:
    return _resolved(OmegaConf.load(paths.RunPaths(run).finetune_yaml))


def _trained() -> list[dict[str, Any]]:
    return [run for run in planned_runs() if run.kind == "trained"]


@pytest.fixture(autouse=True, scope="module")
def _hash_the_code_once() -> Iterator[None]:
    """Reading the code's syntax trees takes 0.2 s, and is not what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stamping, "code_versions", functools.cache(code_versions))
        yield


@pytest.fixture(scope="module")
def _stamped_for_reading(baked_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stamped") / "mine"
    shutil.copytree(baked_once, folder, symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert stamp_stage.main([]) == 0
    return folder


@pytest.fixture
def stamped_once(_stamped_for_reading: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stamped experiment of 2 x 2 runs that tests only read; the working folder."""
    monkeypatch.chdir(_stamped_for_reading)
    return _stamped_for_reading


@pytest.fixture
def stamped(experiment: Path) -> Path:
    """A stamped experiment of 2 x 2 runs for one test; the working folder."""
    assert stamp_stage.main([]) == 0
    return experiment


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


ALL_FACTORS = """{lora_rank: [4, 16], lora_alpha: [8, 3.5], lr: [1e-4, 0.02], seed: [0, 7], warmup_steps: [0, 3],
 loss: [completion, full], optimizer.weight_decay: [0, 0.5], clip_grad_norm: [1.0, null], lora_modules: [[q, v], [mlp, o, q]],
 max_seq_len: [64, null], train_size: [64, 128], gradient_accumulation_steps: [1, 2], dtype: [fp32, bf16],
 wording: {bare: {prompt.user: '{input}'}, told: {prompt.system: 'Be ${brief}.', prompt.user: 'Do {input}'}}}"""


@pytest.mark.usefixtures("experiment")
def test_every_factor_is_read_back_from_the_config() -> None:
    _edit(", dtype: fp32", "")
    keys = {
        "lora_rank": "model.lora_rank",
        "lora_alpha": "model.lora_alpha",
        "lr": "optimizer.lr",
        "seed": "dataset.seed",
        "warmup_steps": "lr_scheduler.num_warmup_steps",
        "loss": "dataset.loss",
        "optimizer.weight_decay": "optimizer.weight_decay",
        "clip_grad_norm": "clip_grad_norm",
        "max_seq_len": "dataset.max_seq_len",
        "train_size": "dataset.rows",
        "dtype": "dtype",
        "gradient_accumulation_steps": "gradient_accumulation_steps",
    }
    every = parse_yaml(ALL_FACTORS, "factors")
    for which in (0, 1):
        one = {
            name: [levels[which]] if isinstance(levels, list) else dict([list(levels.items())[which]])
            for name, levels in every.items()
        }
        _set_factors(json.dumps(one))
        experiment = read_experiment(paths.EXPERIMENT_YAML)
        (run,) = [run for run in expand(experiment) if run.kind == "trained"]
        derive_steps(run, 2000)
        document = run
        text = generate_files([document], Site()).files[paths.RunPaths(run.id).finetune_yaml]
        loaded: Any = OmegaConf.create(text)
        config = _resolved(loaded)
        assert check_read_back(document, parse_yaml(text, "finetune.yaml")) == []
        for name, key in keys.items():
            if name in one:
                assert value_at(config, key) == one[name][0], name
        modules = {"q": "q_proj", "v": "v_proj", "o": "output_proj"}
        assert value_at(config, "model.lora_attn_modules") == [
            modules[m] for m in ("q", "v", "o") if m in one["lora_modules"][0]
        ]
        assert value_at(config, "model.apply_lora_to_mlp") == ("mlp" in one["lora_modules"][0])
        (wording,) = dict(one["wording"]).values()
        assert value_at(config, "dataset.user") == wording["prompt.user"]
        assert value_at(config, "dataset.system") == wording.get("prompt.system")


def _configs(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {run.id: load_yaml(paths.RunPaths(run.id).finetune_yaml) for run in runs}


def undeclared(runs: list[dict[str, Any]], configs: dict[str, Any]) -> list[tuple[str, str]]:
    return check_differences(runs, configs, read_experiment(paths.EXPERIMENT_YAML).factors)


def _set(config: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        config = config[parent]
    config[last] = value


@pytest.mark.usefixtures("stamped_once")
def test_two_configs_differ_in_declared_factors_only() -> None:
    runs = _trained()
    configs = _configs(runs)
    assert undeclared(runs, configs) == []
    texts = {run: paths.RunPaths(run).finetune_yaml.read_text().replace(run, "RUN").splitlines() for run in RUNS[1:]}
    changed = {
        line.split(":")[0].strip()
        for a in texts.values()
        for b in texts.values()
        for line, other in zip(a, b, strict=True)
        if line != other
    }
    assert changed == {"lora_rank", "lora_alpha", "lr"}


@pytest.mark.usefixtures("stamped_once")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer.weight_decay", 0.02),
        ("seed", 9),
        ("dataset.user", "{input}!"),
        ("model.num_layers", 2),
        ("new_key", 1),
        ("loss._component_", "x.y"),
    ],
)
@pytest.mark.parametrize("position", [0, 2])
def test_a_difference_that_no_factor_declares_is_found(key: str, value: Any, position: int) -> None:
    runs = _trained()
    configs = _configs(runs)
    _set(configs[runs[position].id], key, value)
    assert any(f"finetune.yaml: {key}: differs from run" in message for _, message in undeclared(runs, configs))


@pytest.mark.usefixtures("stamped_once")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer.lr", 0.5),
        ("model.lora_rank", 5),
        ("model.lora_alpha", 1),
        ("batch_size", 33),
        ("dataset.rows", 1),
        ("dtype", "bf16"),
        ("checkpointer.checkpoint_dir", "models/other"),
        ("model.apply_lora_to_mlp", False),
        ("lr_scheduler.num_warmup_steps", 0),
        ("dataset.user", "{input}!"),
        ("dataset.system", "Be brief."),
        ("dataset.file", "data/splits/other/train.jsonl"),
        ("dataset.output_column", "input"),
        ("tokenizer.date", "2025-12-31"),
    ],
)
def test_a_value_that_was_not_declared_is_found(key: str, value: Any) -> None:
    run = _trained()[1]
    config = load_yaml(paths.RunPaths(run.id).finetune_yaml)
    assert check_read_back(run, config) == []
    _set(config, key, value)
    assert any(message.startswith(f"finetune.yaml: {key}: is {value!r}, but ") for message in check_read_back(run, config))


@pytest.mark.usefixtures("stamped")
def test_a_factor_that_changes_nothing_is_found() -> None:
    """A full fine-tune has no LoRA matrices, so their rank is no factor of it."""
    assert check_distinct(_trained(), _configs(_trained())) == []
    _edit("constants: {", "recipe: full_finetune_single_device\nconstants: {")
    assert stamp_stage.main([]) == 0
    found = check_distinct(_trained(), _configs(_trained()))
    what = "experiment.yaml: factors.lora_rank: changes nothing here: it trains and evaluates exactly what run r4_lr1e-4 does. "
    what += "Remove the level, or let it set something else"
    assert ("r16_lr1e-4", what) in found and len(found) == 2


@pytest.mark.usefixtures("stamped")
def test_after_a_change_exactly_what_changed_is_regenerated() -> None:
    before = _snapshot()
    _edit("lora_rank: [4, 16]", "lora_rank: [2, 4, 16]")
    assert stamp_stage.main([]) == 0
    new = {f"runs/{run}/{name}" for run in ("r2_lr1e-4", "r2_lr1e-3") for name in STAMPED}
    assert _changed(before) == {*new, "runs.csv", "dvc.yaml", "experiment.yaml", "README.md"}

    before = _snapshot()
    _edit("max_tokens: 16", "max_tokens: 20")
    assert stamp_stage.main([]) == 0
    assert {Path(name).name for name in _changed(before)} == {"experiment.yaml", "run.yaml", "eval.py"}

    before = _snapshot()
    paths.SITE_YAML.write_text(paths.SITE_YAML.read_text().replace("device: auto", "device: cpu"))
    assert stamp_stage.main([]) == 0
    assert {Path(name).name for name in _changed(before)} == {"site.yaml", "finetune.slurm", "eval.slurm"}


@pytest.mark.usefixtures("stamped")
def test_a_comment_regenerates_nothing() -> None:
    before = _snapshot()
    _edit("design: factorial", "# a new thought\ndesign: factorial   # another")
    assert stamp_stage.main([]) == 0
    assert _changed(before) == {"experiment.yaml"}


@pytest.mark.usefixtures("stamped")
def test_a_run_no_longer_in_the_design_is_kept_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    product = Path("runs/r16_lr1e-3/checkpoint/adapter")
    product.parent.mkdir()
    product.write_text("hours of work")
    before = _snapshot()
    _edit("lora_rank: [4, 16]", "lora_rank: [4]")
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
        _edit("model: tiny-instruct, ", "")
    _set_factors(factors)
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


@pytest.mark.usefixtures("experiment")
def test_a_torchtune_key_reaches_the_config_and_null_removes_it() -> None:
    _set_factors("{optimizer.weight_decay: [0.25, null], optimizer.amsgrad: [true]}")
    assert stamp_stage.main([]) == 0
    first, second = (_config(run.id)["optimizer"] for run in _trained())
    assert (first["weight_decay"], first["amsgrad"]) == (0.25, True)
    assert "weight_decay" not in second and second["amsgrad"] is True


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
    _set_factors(json.dumps({"wording": {"$(touch pwned)": {"prompt.user": prompt, "prompt.system": prompt}}}))
    assert stamp_stage.main([]) == 0
    (run,) = _trained()
    config = _config(run.id)
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
    run = _trained()[0]
    text = eval_text(run)
    assert text == (stamped_once / "runs" / run.id / "eval.py").read_text()
    constants = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    assert {
        f"data/splits/{run.split}/test.jsonl",
        "{input}",
        run.id,
        "models/tiny-instruct",
        f"runs/{run.id}/checkpoint",
        "fp32",
    } <= constants


@pytest.mark.usefixtures("stamped_once")
def test_a_config_is_complete_and_names_only_components_that_exist() -> None:
    import importlib

    from ftexp.trainers.torchtune.checks.config_check import check_config

    config = _config("r4_lr1e-4")
    flat = json.dumps(config)
    for dotpath in re.findall(r'"_component_": "([^"]+)"', flat):
        module, _, name = dotpath.rpartition(".")
        assert hasattr(importlib.import_module(module), name)
    assert check_config(config, "lora_finetune_single_device") == []
    config["optimizer"]["_component_"] = "torch.optim.NoSuchThing"
    assert check_config(config, "lora_finetune_single_device") != []


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
    _edit("lora_rank: [4, 16]", "lora_rank: [4]")
    assert stamp_stage.main([]) == 0
    assert stamp_stage._is_fresh()
