"""make rehearse: a design made small and still the same, runs that stand for all, tiny models, and the real thing untouched."""

import hashlib
import itertools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPOSITORY
from cookiecutter.main import cookiecutter
from ftexp.design.planning import plan_runs
from ftexp.design.runs import Run, expand
from ftexp.design.spec import Experiment, check_experiment
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import read_json
from ftexp.ground.options import Options
from ftexp.ground.yamlfile import dump_yaml, parse_yaml
from ftexp.jobs.site import read_site
from ftexp.life.covering_set import FEW, covering_runs
from ftexp.life.rehearsal import LOG, TEST_ROWS, local_site, open_folder, trim_test_rows
from ftexp.life.small_design import changes_in_words, small_document, small_values
from ftexp.life.tiny_copy import make_tiny_copy, tiny_shape
from ftexp.trainers.torchtune.checks.checkpoint_check import read_header
from ftexp.trainers.torchtune.families import FAMILIES, dimensions, family_of
from helpers.tiny_models import make_tiny_model
from warm.environment import warm_environment

ROWS = [{"input": f"word {number}", "output": f"WORD {number}", "kind": number % 4} for number in range(200)]
WHAT = ("model", "recipe", "lora_rank", "lr", "loss", "seed", "max_seq_len")


@pytest.fixture(autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("rows.json", "../outside.json"):
        Path(name).write_text(json.dumps(ROWS), encoding="utf-8")


def document(**changes: Any) -> dict[str, Any]:
    """An experiment.yaml of 100 training rows, as parsed."""
    made: dict[str, Any] = {
        "experiment": "e", "question": "Why?", "data": {"source": "rows.json", "split": {"train": 0.5, "test": 0.5}},
        "factors": {}, "constants": {"model": "tiny", "epochs": 3, "batch_size": 20}, **changes,
    }
    return parse_yaml(dump_yaml(made), "experiment.yaml")


def rehearsed(made: dict[str, Any]) -> tuple[Experiment, list[Run], Experiment, list[Run]]:
    """The design and its runs, and both again as they are rehearsed, read back from YAML."""
    experiment = check_experiment(made, "experiment.yaml")
    runs = plan_runs(experiment)
    text = dump_yaml(small_document(made, experiment, small_values(experiment, runs)))
    small = check_experiment(parse_yaml(text, "rehearsal/experiment.yaml"), "rehearsal/experiment.yaml")
    return experiment, runs, small, plan_runs(small)


DESIGNS: dict[str, dict[str, Any]] = {
    "one run": {},
    "settings that stay": {"factors": {"lora_rank": [4, 16], "lr": [1e-4, 1e-3], "seed": [1, 2]}},
    "epochs": {"factors": {"epochs": [1, 3, 10]}, "constants": {"model": "tiny"}},
    "epochs as a named factor": {
        "factors": {"length": {"short": {"epochs": 2, "lr": 1e-3}, "long": {"epochs": 9}, "usual": {"lr": 1e-4}}},
        "constants": {"model": "tiny"},
    },
    "train_size": {"factors": {"train_size": [40, None, 80]}},
    "train_size as shares": {"factors": {"train_size": [0.4, 0.6, 1.0]}, "baseline": {"train_size": 1.0}},
    "a constant share": {"constants": {"model": "tiny", "train_size": 0.6}},
    "shares of two corpora": {
        "data": {"split": {"train": 0.5, "test": 0.5}}, "constants": {"model": "tiny", "batch_size": 2}, "factors": {
            "corpus": {"in": {"data.source": "rows.json"}, "out": {"data.source": "../outside.json"}}, "train_size": [1.0, 0.1],
        },
    },
    "a constant train_size and warm-up": {"constants": {"model": "tiny", "train_size": 60, "warmup_steps": 5, "epochs": 9}},
    "warmup_steps": {"factors": {"warmup_steps": [0, 5, 10]}, "constants": {"model": "tiny", "epochs": 9}},
    "warm-up as a named factor": {
        "factors": {"warm": {"none": {"warmup_steps": 0}, "usual": {"lr": 1e-3}, "long": {"warmup_steps": 10}}},
        "constants": {"model": "tiny", "epochs": 9},
    },
    "batches": {
        "factors": {"batch_size": [1, 4, 16], "gradient_accumulation_steps": [1, 2]}, "constants": {"model": "tiny"},
    },
    "one batch in three ways": {
        "factors": {
            "memory": {
                name: {"batch_size": rows, "gradient_accumulation_steps": 16 // rows}
                for name, rows in (("small", 4), ("middle", 8), ("large", 16))
            },
        },
        "constants": {"model": "tiny"},
    },
    "everything about size": {
        "factors": {"epochs": [2, 4], "train_size": [30, 60], "warmup_steps": [1, 3], "batch_size": [5, 10]},
        "constants": {"model": "tiny"},
    },
    "models and precisions": {"factors": {"model": ["one", "org/two"], "dtype": ["bf16", "fp32"]}, "constants": {}},
    "prompts": {
        "factors": {
            "wording": {"plain": {"prompt.user": "{input}"}, "asked": {"prompt.user": "{kind}: {input}", "epochs": 4}},
            "lora_rank": [4, 8],
        },
        "constants": {"model": "tiny"},
    },
    "names and a baseline": {
        "factors": {"epochs": [1, 5], "lr": [1e-4, 1e-3]}, "constants": {"model": "tiny"}, "naming": {"epochs": "passes"},
        "baseline": {"epochs": 5, "lr": 1e-3},
    },
    "a distributed recipe": {"recipe": "full_finetune_distributed"},
    "two distributed recipes": {
        "factors": {"recipe": ["lora_finetune_distributed", "full_finetune_distributed"]}, "baseline": {
            "recipe": "full_finetune_distributed",
        },
    },
    "data from elsewhere": {
        "data": {}, "factors": {"corpus": {"in": {"data.source": "rows.json"}, "out": {"data.source": "../outside.json"}}},
    },
    "one at a time": {
        "factors": {"epochs": [1, 5, 9], "lr": [1e-4, 1e-3], "seed": [1, 2]}, "constants": {"model": "tiny"},
        "baseline": {"epochs": 5}, "design": "one_at_a_time",
    },
    "a list": {
        "factors": {"epochs": [1, 5], "wording": {"a": {"prompt.user": "{input}"}, "b": {"prompt.user": "? {input}"}}},
        "design": [{"epochs": 5, "wording": "b"}, {"wording": "b"}, {}], "constants": {"model": "tiny"},
    },
    "what is excluded": {
        "factors": {"batch_size": [4, 8], "lora_rank": [2, 4], "seed": [1, 2]}, "constants": {"model": "tiny"},
        "exclude": [{"batch_size": 8, "lora_rank": 4}, {"batch_size": 4, "seed": 2}],
    },
    "rows that hardly suffice": {
        "data": {"source": "rows.json", "split": {"train": 0.02, "test": 0.98}}, "constants": {"model": "tiny", "batch_size": 4},
    },
}


@pytest.mark.parametrize("changes", DESIGNS.values(), ids=DESIGNS)
def test_a_small_design_has_the_runs_of_the_real_one_and_every_run_can_be_trained(changes: dict[str, Any]) -> None:
    real, runs, small, small_runs = rehearsed(document(**changes))
    assert [run.id for run in small_runs] == [run.id for run in runs]
    assert not [problem for run in small_runs for problem in run.problems]
    for run, other in zip(runs, small_runs, strict=True):
        assert list(run.levels.values()) == list(other.levels.values())
        same = [name for name in WHAT if name != "recipe"]
        assert [run.settings[name] for name in same] == [other.settings[name] for name in same]
        assert (run.prompt, run.overrides, run.evaluation) == (other.prompt, other.overrides, other.evaluation)
        assert other.settings["epochs"] <= run.settings["epochs"] and other.steps.get("steps", 0) <= 40
        assert "distributed" not in other.settings["recipe"]
    assert set(small.baseline.values()) == set(real.baseline.values()) and "mean nothing: Why?" in small.question


@pytest.mark.parametrize("changes", DESIGNS.values(), ids=DESIGNS)
def test_runs_that_differ_differ_in_the_small_design_too(changes: dict[str, Any]) -> None:
    _, runs, _, small_runs = rehearsed(document(**changes))
    assert len({_trains(run) for run in runs}) == len({_trains(run) for run in small_runs})
    if len(_batches(runs)) == 1:
        assert len(_batches(small_runs)) == 1


def _batches(runs: list[Run]) -> set[int]:
    return {run.steps["effective_batch"] for run in runs if run.kind == "trained"}


def _trains(run: Run) -> str:
    """What a run trains and asks, wherever its data lies."""
    settings = {name: value for name, value in run.settings.items() if name != "train_size"}  # steps say how many rows
    return repr((run.kind, settings, run.steps, run.overrides, run.prompt, Path(run.data["source"]).name))


def test_what_becomes_small_is_small() -> None:
    _, _, _, runs = rehearsed(document(constants={"model": "tiny", "epochs": 30, "batch_size": 20, "dtype": "bf16"}))
    run = next(run for run in runs if run.kind == "trained")
    shown = {name: run.settings[name] for name in ("epochs", "batch_size", "train_size", "warmup_steps", "dtype")}
    assert shown == {"epochs": 1, "batch_size": 2, "train_size": 4, "warmup_steps": 0, "dtype": "fp32"}
    assert run.steps["steps"] == 2


def test_a_distributed_recipe_beside_its_counterpart_is_rehearsed_once() -> None:
    levels = ["lora_finetune_distributed", "lora_finetune_single_device"]
    _, runs, _, small_runs = rehearsed(document(factors={"recipe": levels, "seed": [1, 2]}, baseline={"recipe": levels[1]}))
    assert [run.id for run in runs if run not in small_runs][1:] and [run.id for run in small_runs] == [
        "base", "lora-finetune-distributed_s1", "lora-finetune-distributed_s2",
    ]


@pytest.mark.parametrize("design", [
    {"exclude": [{"recipe": "lora_finetune_distributed", "lora_rank": 16}]},
    {"design": "one_at_a_time", "baseline": {"recipe": "lora_finetune_single_device"}},
    {"design": [{}, {"recipe": "lora_finetune_single_device", "lora_rank": 16}]},
])
def test_levels_that_become_equal_leave_a_design_in_which_every_level_still_comes(design: dict[str, Any]) -> None:
    levels = ["lora_finetune_distributed", "lora_finetune_single_device"]
    _, runs, small, small_runs = rehearsed(document(factors={"recipe": levels, "lora_rank": [2, 16]}, **design))
    left = {(run.settings["recipe"], run.settings["lora_rank"]) for run in small_runs if run.kind == "trained"}
    ranks = {run.settings["lora_rank"] for run in runs if run.kind == "trained"}
    assert left == {("lora_finetune_single_device", rank) for rank in ranks} and len(small.factors["recipe_rehearsed"]) == 1


def test_the_summary_says_what_each_value_became() -> None:
    made = document(factors={"train_size": [None, 50], "epochs": [3, 1]}, constants={"model": "tiny"})
    experiment = check_experiment(made, "experiment.yaml")
    assert changes_in_words(small_values(experiment, plan_runs(experiment))) == [
        "epochs: 2 for 3", "batch_size: 2 for 8", "train_size: 4, 6 for 50, all", "dtype: fp32 for bf16",
    ]


LEVELS: list[dict[str, Any]] = [
    {"lora_rank": [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]},
    {"lora_rank": [2, 4, 8], "lr": [1e-4, 1e-3], "seed": list(range(30))},
    {"model": ["a", "b", "c"], "wording": {"x": {"prompt.user": "{input}"}, "y": {"prompt.user": "? {input}"}}, "lr": [1, 2, 3]},
    {"seed": list(range(20))},
]


@pytest.mark.parametrize("factors", LEVELS)
def test_the_runs_that_are_rehearsed_cover_every_level_with_their_controls(factors: dict[str, Any]) -> None:
    constants = {} if "model" in factors else {"model": "tiny"}
    runs = expand(check_experiment(document(factors=factors, constants=constants), "experiment.yaml"))
    chosen = covering_runs(runs, Options())
    assert [run for run in runs if run in chosen] == chosen
    for name, levels in factors.items():
        seen = {str(run.levels[name]) for run in chosen if run.kind == "trained"}
        assert seen == set(map(str, levels)) if name != "seed" else len(seen) == 2
    assert sum(run.kind == "trained" for run in chosen) <= max(len(levels) for levels in factors.values())
    models = {(run.settings["model"], run.prompt["user"]) for run in chosen if run.kind == "trained"}
    assert {(run.settings["model"], run.prompt["user"]) for run in chosen if run.kind == "control"} == models


def test_a_few_runs_are_all_rehearsed_and_only_narrows_them() -> None:
    made = document(factors={"lora_rank": [2, 4], "lr": [1e-4, 1e-3], "seed": [1, 2]})
    runs = expand(check_experiment(made, "experiment.yaml"))
    assert len(runs) == FEW + 1 and covering_runs(runs, Options()) == runs
    assert [run.id for run in covering_runs(runs, Options(only="r2_*_s1"))] == ["base", "r2_lr1e-4_s1", "r2_lr1e-3_s1"]
    assert [run.id for run in covering_runs(runs, Options(only="base"))] == ["base"]


def test_a_clusters_site_becomes_this_machines_and_stays_valid(tmp_path: Path) -> None:
    for profile in sorted((REPOSITORY / "sites").glob("*.yaml")):
        was = {**parse_yaml(profile.read_text(encoding="utf-8"), profile.name), "setup": "export A=1\nexport B=2"}
        (tmp_path / "site.yaml").write_text(dump_yaml(local_site(was, has_modules=True)), encoding="utf-8")
        site = read_site(tmp_path / "site.yaml")
        assert (site.backend, site.device, site.venv, site.sizes, site.setup) == ("local", "cpu", None, {}, was["setup"])
        assert [site.resources(stage, 10**11).gpus for stage in ("train", "eval")] == [0, 0]
        assert list(site.modules) == (was.get("modules") or []) and site.offline is True
        assert "modules" not in local_site(was, has_modules=False)


GQA = {"num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 2048}


@pytest.mark.parametrize(("real", "tiny"), [
    (GQA, {"num_key_value_heads": 2}),
    ({**GQA, "num_key_value_heads": 32}, {"num_key_value_heads": 4}),
    ({**GQA, "num_key_value_heads": 1}, {"num_key_value_heads": 1}),
    ({**GQA, "head_dim": 64}, {"num_key_value_heads": 2, "head_dim": 64}),
    ({**GQA, "head_dim": 256}, {"num_key_value_heads": 2, "head_dim": 128}),
    ({"num_attention_heads": 32, "hidden_size": 2048}, {}),
    ({**GQA, "layer_types": ["a", "b"] * 9}, {"num_key_value_heads": 2, "layer_types": ["a", "b"]}),
])
def test_a_tiny_shape_is_of_the_real_ones_kind(real: dict[str, Any], tiny: dict[str, Any]) -> None:
    kept = {"vocab_size": 50_000, "rope_theta": 5e5, "sliding_window": 4096, "intermediate_size": 8192, "num_hidden_layers": 30}
    small = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    assert tiny_shape({**kept, **real}) == {**kept, **small, **tiny}


FAMILIES_MADE = ("qwen2", "llama3", "llama3_1", "llama3_2", "mistral", "phi3", "gemma", "gemma2")


@pytest.mark.parametrize("family", FAMILIES_MADE)
def test_a_tiny_copy_is_of_the_same_family_with_matrices_that_can_be_quantised(family: str, tmp_path: Path) -> None:
    source, target = tmp_path / "real", tmp_path / "tiny"
    make_tiny_model(source, family, "llama3", is_sharded=True)
    for path in source.glob("*.safetensors"):
        path.unlink()
    make_tiny_copy(source, target)
    real, tiny = (read_json(folder / "config.json") for folder in (source, target))
    assert family_of(tiny, target) == family_of(real, source)
    sizes = {"num_layers", "num_heads", "num_kv_heads", "embed_dim", "intermediate_dim", "head_dim"}
    before, after = (dimensions(family, shape) for shape in (real, tiny))
    assert {key: value for key, value in before.items() if key not in sizes} == {k: v for k, v in after.items() if k not in sizes}
    tensors = read_header(target / "model.safetensors")
    inner = [tensor.numel() for name, tensor in tensors.items() if tensor.dim() == 2 and ".layers." in name]
    assert len(inner) >= 8 and all(count % 16384 == 0 for count in inner)
    names = {path.name for path in source.iterdir() if not path.name.endswith(".index.json")}
    assert {path.name for path in target.iterdir()} == {*names, "model.safetensors"}
    assert all((source / n).read_bytes() == (target / n).read_bytes() for n in names - {"config.json"})


def test_every_family_is_copied() -> None:
    assert set(FAMILIES_MADE) == set(FAMILIES)


def test_a_tiny_copy_is_the_same_at_every_call(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "real", "qwen2", "chatml")
    for name in ("one", "two"):
        make_tiny_copy(tmp_path / "real", tmp_path / name)
    assert len({(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")}) == 1


def test_a_model_that_cannot_be_trained_is_refused_as_stamp_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        make_tiny_copy(tmp_path / "nowhere", tmp_path / "tiny")
    (tmp_path / "real").mkdir()
    (tmp_path / "real/config.json").write_text('{"model_type": "mixtral"}')
    with pytest.raises(UserError, match="config.json: model_type: is 'mixtral', and supported are"):
        make_tiny_copy(tmp_path / "real", tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists()


def test_test_rows_are_few_and_evenly_spaced() -> None:
    for name, count in (("many", 100), ("few", 3)):
        folder = Path("rehearsal/data/splits") / name
        folder.mkdir(parents=True)
        (folder / "test.jsonl").write_text("".join(f"{number}\n" for number in range(count)))
        (folder / "split.json").write_text(json.dumps({"rows": {"train": 5, "test": count}, "sha256": {"test": "x"}}))
    trim_test_rows()
    kept = {name: Path(f"rehearsal/data/splits/{name}/test.jsonl").read_text().split() for name in ("many", "few")}
    assert kept == {"many": ["0", "12", "25", "37", "50", "62", "75", "87"], "few": ["0", "1", "2"]}
    facts = read_json(Path("rehearsal/data/splits/many/split.json"))
    text = Path("rehearsal/data/splits/many/test.jsonl").read_bytes()
    assert facts == {"rows": {"train": 5, "test": TEST_ROWS}, "sha256": {"test": hashlib.sha256(text).hexdigest()}}


def test_a_folder_that_is_not_ours_and_a_rehearsal_under_way_are_left_alone() -> None:
    Path("rehearsal").mkdir()
    Path("rehearsal/notes.txt").write_text("mine")
    with pytest.raises(UserError, match="rehearsal: was not made by `make rehearse`"):
        open_folder()
    Path("rehearsal/notes.txt").unlink()
    with open_folder() as log:
        print("begun", file=log, flush=True)
        Path("rehearsal/half").mkdir()
        child = subprocess.Popen(["sleep", "60"], stdout=log)
    try:
        with pytest.raises(UserError, match="rehearsal: a rehearsal is under way, or what a killed one began still ends"):
            open_folder()
        assert Path("rehearsal/half").is_dir() and LOG.read_text() == "begun\n"
    finally:
        child.kill()
        child.wait()
    with open_folder():
        assert [path.name for path in Path("rehearsal").iterdir()] == [LOG.name] and LOG.read_text() == ""


# Whole rehearsals, in a process of their own


SITE = """\
backend: slurm
models: {models}
modules: [no-such-module/1.0]
setup: export FTEXP_TEST=1
device: cuda
account: lab
train: {{time_min: 60, mem_gb: 64, cpus: 4, gpus: 4}}
eval: {{time_min: 60, mem_gb: 64, cpus: 4, gpus: 1}}
sizes: {{1B: {{train: {{gpus: 8}}}}}}
"""
DESIGN = """\
experiment: two
question: Which model, for how long?
recipe: lora_finetune_distributed
data: {source: words.json, split: {train: 0.5, validation: 0, test: 0.5}, input: input, output: output}
prompt: {user: "{kind}: {input}"}
factors:
  model: [org/llama, gemma]
  epochs: [5, 50]
constants: {batch_size: 16, warmup_steps: 10, optimizer.weight_decay: 0.1}
evaluation: {max_tokens: 24, metrics: [macro_f1], cluster: passage, groups: [kind]}
"""


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment for a cluster, two models of two families without their weights, set up and not run."""
    root = tmp_path_factory.mktemp("a cluster")
    for name, family in {"org/llama": "llama3_2", "gemma": "gemma2"}.items():
        make_tiny_model(root / "models" / name, family, "llama3")
    rows = [
        {"input": f"word {n}", "output": "yes" if n % 3 else "no", "kind": "ab"[n % 2], "passage": n // 2} for n in range(120)
    ]
    (root / "words.json").write_text(json.dumps(rows), encoding="utf-8")
    (root / "design.yaml").write_text(DESIGN, encoding="utf-8")
    (root / "here.yaml").write_text(SITE.format(models=root / "models"), encoding="utf-8")
    answers = {"experiment_name": "two", "design": str(root / "design.yaml"), "site": str(root / "here.yaml"), "model": "gemma"}
    cookiecutter(str(REPOSITORY), no_input=True, extra_context=answers, output_dir=str(root), default_config=True)
    made = make(root / "two", "setup", f"VENV={warm_environment()}")
    assert made.returncode == 0, made.stderr
    for path in root.glob("models/**/*.safetensors"):
        path.unlink()
    return root / "two"


def make(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *words], cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file, link and folder but the rehearsal's, with its time and content."""
    found = {}
    for path in itertools.chain([folder], folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[:1] not in (("rehearsal",), (".venv",)) and name != Path():
            content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            found[str(name)] = (path.lstat().st_mtime_ns, content)
    return found


def test_a_clusters_experiment_is_rehearsed_and_nothing_of_it_is_touched(clusters: Path) -> None:
    """Scaled RoPE and Gemma 2, no weights, no GPU, no Slurm, from within a Slurm job and another make."""
    before = snapshot(clusters)
    made = make(clusters, "rehearse", SLURM_JOB_ID="1", SLURM_CPUS_PER_TASK="1", MAKEFLAGS="k")
    assert made.returncode == 0, made.stdout + made.stderr
    assert snapshot(clusters) == before
    for text in (
        "rehearsed: 4 runs and 2 controls of 4 runs and 2 controls, every stage, in ", "org/llama: its weights are not here",
        "recipe: lora_finetune_single_device for lora_finetune_distributed", "epochs: 1, 2 for 5, 50", "warmup_steps: 1 for 10",
        "no-such-module/1.0 not loaded", "make submit DRY=1", str(clusters / "rehearsal/report.html"),
    ):
        assert text in made.stdout, made.stdout
    folder = clusters / "rehearsal"
    assert all(f"rehearse: {stage} " in made.stderr for stage in ("setup", "split", "validate", "submit", "eval", "report"))
    assert "Rehearsal, its numbers mean nothing: Which model" in (folder / "report.html").read_text(encoding="utf-8")
    ids = [f"{model}_e{epochs}" for model in ("org-llama", "gemma") for epochs in (5, 50)]
    assert all((folder / f"runs/{run}/{stage}.json").is_file() for run in ids for stage in ("train", "eval"))
    script = (folder / f"runs/{ids[0]}/finetune.slurm").read_text(encoding="utf-8")
    assert "export FTEXP_TEST=1" in script and "module load" not in script
    config = yaml.safe_load((folder / f"runs/{ids[0]}/finetune.yaml").read_text(encoding="utf-8"))
    assert config["optimizer"]["weight_decay"] == 0.1


def test_what_only_running_shows_ends_a_rehearsal_with_its_message(clusters: Path) -> None:
    """An override that every check accepts and the loss refuses; then a shell line that does not work."""
    path, site = clusters / "experiment.yaml", clusters / "site.yaml"
    whole, whole_site = path.read_text(encoding="utf-8"), site.read_text(encoding="utf-8")
    try:
        path.write_text(whole.replace("optimizer.weight_decay: 0.1", "loss.num_output_chunks: 0"), encoding="utf-8")
        made = make(clusters, "rehearse", "ONLY=gemma_e5")
        assert made.returncode != 0 and "Traceback (most recent call last)" not in made.stdout
        for text in (
            "rehearse: 1 run and 1 control of 4 runs and 2 controls", "runs/gemma_e5: train failed", "submit   FAILED",
            "the end of rehearsal/runs/gemma_e5/train.log:", "greater than 0, got: 0",
            "The rehearsal failed at `make submit`. All that was printed is in rehearsal/rehearsal.log.",
        ):
            assert text in made.stderr, made.stderr
        path.write_text(whole, encoding="utf-8")
        site.write_text(whole_site.replace("setup: export FTEXP_TEST=1", "setup: source /no/such/environment"), encoding="utf-8")
        made = make(clusters, "rehearse", "ONLY=gemma_e5")
        assert made.returncode != 0 and "/no/such/environment: No such file" in made.stderr, made.stderr
        assert "its job ended before its work began; see above, and `setup` and `modules` in site.yaml" in made.stderr
    finally:
        path.write_text(whole, encoding="utf-8")
        site.write_text(whole_site, encoding="utf-8")


def test_a_folder_without_a_tokenizer_fails_as_validate_would(clusters: Path) -> None:
    moved = {path: path.rename(path.with_suffix(".away")) for path in clusters.parent.glob("models/gemma/tokenizer*")}
    try:
        made = make(clusters, "rehearse")
        assert made.returncode != 0 and "models/gemma: has no tokenizer" in made.stderr, made.stderr
        assert "failed at `make validate`" in made.stderr
    finally:
        for path, away in moved.items():
            away.rename(path)
