"""Families of models: known by their shape, refused by name with the reason, and all of them in one experiment."""

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.main import cookiecutter
from ftexp.ground.errors import UserError
from ftexp.models.config_json import parse_config, require_tested
from ftexp.trainers.torchtune.families import dimensions, family_of
from helpers.tiny_models import make_tiny_model
from warm.environment import warm_environment

TEMPLATE = Path(__file__).resolve().parents[2]
FILE = Path("models/any-name/config.json")
LLAMA = {
    "model_type": "llama", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
    "hidden_act": "silu", "rope_theta": 10000.0,
}
LONGROPE = {"type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
SCALED = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
GEMMA = {**LLAMA, "model_type": "gemma", "head_dim": 32, "hidden_act": "gelu", "hidden_activation": None}


@pytest.mark.parametrize(("shape", "family"), [
    (LLAMA, "llama3"), ({**LLAMA, "rope_scaling": SCALED}, "llama3_1"), ({**LLAMA, "tie_word_embeddings": True}, "llama3_2"),
    ({**LLAMA, "model_type": "mistral"}, "mistral"), ({**LLAMA, "model_type": "phi3"}, "phi3"), (GEMMA, "gemma"),
    ({**GEMMA, "model_type": "gemma2", "hidden_activation": "gelu_pytorch_tanh"}, "gemma2"),
    ({**LLAMA, "model_type": "qwen2", "attention_bias": True}, "qwen2"),
])
def test_a_family_is_known_by_its_shape(shape: dict[str, Any], family: str) -> None:
    assert family_of(parse_config(shape, FILE)) == family


@pytest.mark.parametrize(("changes", "message"), [
    ({"model_type": "mixtral"}, "model_type: is 'mixtral', and supported are llama, mistral, qwen2, phi3, gemma, gemma2"),
    ({"model_type": "mllama"}, "model_type: 'mllama' is a vision model, and prompts here are text"),
    ({"hidden_act": "relu"}, "hidden_act: must be silu, as every Llama here, got 'relu'"),
    ({"head_dim": 128}, "head_dim: must be hidden_size / num_attention_heads = 16, got 128"),
    ({"mlp_bias": True}, "mlp_bias: must be false, as nothing else is computed here, got true"),
    ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_scaling: torchtune knows only Llama 3.1's"),
    ({"model_type": "qwen2", "use_sliding_window": True}, "use_sliding_window: must be false, as nothing else is computed"),
    ({"model_type": "phi3", "rope_scaling": LONGROPE}, "rope_scaling: torchtune's phi3 has none, got longrope"),
    ({"model_type": "phi3", "partial_rotary_factor": 0.75}, "partial_rotary_factor: must be 1, as torchtune's phi3"),
    ({"model_type": "mistral", "tie_word_embeddings": True}, "tie_word_embeddings: torchtune's mistral has an output layer"),
    ({**GEMMA, "hidden_activation": "gelu"}, "hidden_activation: must be gelu_pytorch_tanh, as every Gemma here, got 'gelu'"),
    ({**GEMMA, "tie_word_embeddings": False}, "tie_word_embeddings: torchtune's Gemma"),
])
def test_what_torchtune_cannot_represent_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        config = parse_config({**LLAMA, **changes}, FILE)
        require_tested(config, {})
        family_of(config)
    assert str(refused.value).startswith(f"{FILE}: {message}")


def test_a_window_that_torchtune_does_not_know_bounds_the_rows() -> None:
    def longest(**said: Any) -> int:
        mistral = {**LLAMA, "model_type": "mistral", "max_position_embeddings": 9999, **said}
        return int(dimensions("mistral", parse_config(mistral, FILE))["max_seq_len"])

    assert longest(sliding_window=1024) == 1024
    assert longest(sliding_window=None) == 9999
    assert longest() == 4096  # what transformers takes where the file says nothing


@pytest.mark.slow
def test_four_families_in_one_experiment(tmp_path: Path) -> None:
    """Stamped, validated, trained, evaluated and reported, the model being the factor; each with its own chat template."""
    models = {
        "qwen": ("qwen2", "qwen2.5"), "llama": ("llama3", "llama3"), "gemma": ("gemma2", "gemma2"),
        "mistral": ("mistral", "mistral-v0.3"),
    }
    for name, (family, template) in models.items():
        make_tiny_model(tmp_path / "models" / name, family, template)
    words = json.loads((TEMPLATE / "data/words.json").read_text(encoding="utf-8"))[:60]
    (tmp_path / "words.json").write_text(json.dumps(words), encoding="utf-8")
    design = (
        "experiment: four\nquestion: Which model?\ndata: {source: words.json, split: {train: 0.5, test: 0.5}}\n"
        f"factors: {{model: [{', '.join(models)}]}}\nconstants: {{epochs: 1, batch_size: 6, lr: 1e-3, dtype: fp32}}\n"
        "evaluation: {max_tokens: 24}\n"
    )
    (tmp_path / "design.yaml").write_text(design, encoding="utf-8")
    (tmp_path / "here.yaml").write_text(f"backend: local\nmodels: {tmp_path / 'models'}\n", encoding="utf-8")
    design_path, site_path = (str(tmp_path / name) for name in ("design.yaml", "here.yaml"))
    answers = {"experiment_name": "four", "design": design_path, "site": site_path, "model": "qwen"}
    cookiecutter(str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(tmp_path), default_config=True)
    folder = tmp_path / "four"
    for targets in (["setup", f"VENV={warm_environment()}"], ["all"]):
        made = subprocess.run(["make", *targets], cwd=folder, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        table = {row["run"]: row for row in csv.DictReader(file)}
    assert set(table) == {*models, *(f"base_{name}" for name in models)}
    assert all(row["eval_status"] == "done" and row["n"] == "30" for row in table.values())
    assert all(float(table[name]["train_loss"]) > 0 for name in models)
    assert "model" in (folder / "effects.csv").read_text(encoding="utf-8")
