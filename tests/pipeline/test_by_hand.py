"""What a person does with a finished experiment by hand: `tune run`, `make merge`, the READMEs' lines."""

import os
import subprocess
from pathlib import Path

import pytest
from helpers.experiments import REPOSITORY, adapter, bake_small, edit, make
from helpers.tiny_models import make_tiny_model
from warm.environment import REAL_ENVIRONMENT, warm_environment


def bare_tune_run(folder: Path, run: str, elsewhere: Path) -> bytes:
    """The adapter of the last epoch (of 3), by `tune run` with nothing set but PYTHONPATH=scripts."""
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "PYTHONPATH")}
    command = ["tune", "run", "lora_finetune_single_device", "--config", f"runs/{run}/finetune.yaml", f"output_dir={elsewhere}"]
    command[0] = str(REAL_ENVIRONMENT / "bin/tune")
    subprocess.run(command, cwd=folder, env={**environment, "PYTHONPATH": "scripts"}, check=True, capture_output=True)
    return (elsewhere / "epoch_2/adapter_model.safetensors").read_bytes()


def test_a_bare_tune_run_gives_the_pipelines_bytes_for_qwen(finished: Path, tmp_path: Path) -> None:
    assert bare_tune_run(finished, "r4_s1", tmp_path / "elsewhere") == adapter(finished, "r4_s1")


@pytest.mark.slow
def test_a_bare_tune_run_gives_the_pipelines_bytes_for_llama(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "models/tiny-llama", "llama3_2", "llama3", is_sharded=True)
    folder = bake_small(tmp_path, factors="{lora_rank: [4], seed: [1]}", model=str(tmp_path / "models/tiny-llama"))
    edit(folder / "experiment.yaml", "epochs: 1, batch_size: 8, dtype: bf16", "epochs: 3, batch_size: 16, dtype: fp32")
    make(folder, "setup", f"VENV={warm_environment()}")
    make(folder, "split", "validate", "submit")
    assert bare_tune_run(folder, "r4_s1", tmp_path / "elsewhere") == adapter(folder, "r4_s1")


def test_merged_weights_give_the_logits_of_base_and_adapter(copy: Path) -> None:
    make(copy, "merge", "RUN=r4_s1")
    import torch
    from ftexp.evaluation.tuned_model import load_model

    base, ids = copy / "models/tiny-instruct", torch.arange(0, 60).reshape(2, 30)
    adapted = load_model(base, copy / "runs/r4_s1/checkpoint", "fp32", "cpu")
    merged = load_model(copy / "runs/r4_s1/merged", None, "fp32", "cpu")
    with torch.no_grad():
        assert torch.allclose(adapted(ids).logits, merged(ids).logits, atol=1e-3)
        assert not torch.allclose(load_model(base, None, "fp32", "cpu")(ids).logits, merged(ids).logits, atol=1e-1)


def readme_lines(heading: str, language: str) -> list[str]:
    """The lines of the first block of code below a heading of the README."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    return text.partition(f"```{language}\n")[2].partition("```")[0].splitlines()


def test_the_readmes_lines_load_a_finished_adapter_and_are_those_of_make_cite(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from ftexp.design.planning import read_run
    from ftexp.evaluation.tuned_model import load_model
    from ftexp.results.loading_lines import loading_lines

    monkeypatch.chdir(finished)
    lines = [line.replace("r16_lr3e-3_s1", "r4_s1") for line in readme_lines("A finished adapter elsewhere", "python")]
    assert lines == loading_lines(read_run("r4_s1"))
    names: dict[str, object] = {}
    exec("\n".join(lines), names)
    ids = torch.arange(0, 60).reshape(2, 30)
    ours = load_model(finished / "models/tiny-instruct", finished / "runs/r4_s1/checkpoint", "fp32", "cpu")
    with torch.no_grad():
        assert torch.equal(names["model"](ids).logits, ours(ids).logits)  # type: ignore[operator]


def test_the_logs_are_published_by_the_command_of_the_experiments_readme(finished: Path, tmp_path: Path) -> None:
    text = (finished / "README.md").read_text(encoding="utf-8")
    command = next(line for line in text.splitlines() if " view bundle " in line).partition("#")[0].split()
    command[command.index("site")] = str(tmp_path / "site")
    subprocess.run(command, cwd=finished, check=True, capture_output=True)
    published = {path.name for path in (tmp_path / "site").rglob("*.eval")}
    assert (tmp_path / "site/index.html").is_file() and published == {"test.eval"}
    assert len(list((tmp_path / "site").rglob("*.eval"))) == 3
