"""Whole rehearsals, in a process of their own: every stage runs, and the real thing is untouched."""

import itertools
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY
from cookiecutter.main import cookiecutter
from helpers.tiny_models import make_tiny_model
from warm.environment import warm_environment

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
data: {source: words.json, split: {train: 0.5, test: 0.5}, input: input, output: output}
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_folder_without_a_tokenizer_fails_as_validate_would(clusters: Path) -> None:
    moved = {path: path.rename(path.with_suffix(".away")) for path in clusters.parent.glob("models/gemma/tokenizer*")}
    try:
        made = make(clusters, "rehearse")
        assert made.returncode != 0 and "models/gemma: has no tokenizer" in made.stderr, made.stderr
        assert "failed at `make validate`" in made.stderr
    finally:
        for path, away in moved.items():
            away.rename(path)
