"""QLoRA: what is refused, what reaches training and evaluation, and the control of a run on a quantised base."""

import inspect
from pathlib import Path
from typing import Any

import inspect_ai
import merge as merge_stage
import pytest
import torch
from ftexp.checks.preflight import check_runs
from ftexp.checks.verdicts import Verdicts
from ftexp.design.controls import controls_of
from ftexp.design.planning import planned_runs
from ftexp.evaluation import loaded_model
from ftexp.evaluation.tuned_model import load_model
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import load_yaml
from ftexp.models.config_json import read_model_config
from ftexp.trainers.torchtune import quantized_base
from ftexp.trainers.torchtune.config import training_config
from ftexp.trainers.torchtune.families import FAMILIES, dimensions, family_of
from ftexp.trainers.torchtune.quantization import check_quantized, matrix_shapes
from helpers.tiny_models import TinyExperiment, enter, make_experiment, make_tiny_model, train

PROBE = torch.arange(0, 60).reshape(2, 30)
WITHOUT, WITH = "nf4-false_s1", "nf4-true_s1"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyExperiment:
    """Runs without and with a quantised base, and a control for each; the latter is trained."""
    factors = {"quantize_base": [False, True], "seed": [1]}
    experiment = make_experiment(
        tmp_path_factory.mktemp("nf4") / "tiny", "llama3_2", "llama3", factors=factors, is_wide=True,
        evaluation={"max_tokens": 16},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(experiment.root)
        train(experiment.config(WITH))
        scratch, places = paths.RunPaths(WITH).scratch_dir("train"), paths.RunPaths(WITH)
        places.checkpoint_dir.parent.mkdir(parents=True, exist_ok=True)
        (scratch / "epoch_0").rename(places.checkpoint_dir)
    return experiment


def settings(**changes: Any) -> dict[str, Any]:
    """Those of a run on a quantised base."""
    return {"quantize_base": True, "recipe": "lora_finetune_single_device", "model": "tiny", **changes}


def test_a_run_without_it_is_what_it_was(made: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it stands in run.yaml, finetune.yaml and eval.py but in the level's own name."""
    monkeypatch.chdir(made.root)
    places = paths.RunPaths(WITHOUT)
    for path in (places.run_yaml, places.finetune_yaml, places.eval_py):
        text = path.read_text(encoding="utf-8").replace(WITHOUT, "RUN").replace("  quantize_base: false\n", "", 1)
        assert "quantize" not in text and "nf4" not in text, path
    assert "quantize_base" not in made.document(WITHOUT).settings


def test_it_reaches_training_evaluation_and_the_control(made: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.root)
    assert made.runs == ["base_nf4-false", "base_nf4-true", WITHOUT, WITH]
    assert load_yaml(paths.RunPaths(WITH).finetune_yaml)["model"]["quantize_base"] is True
    assert made.document(WITH).settings["quantize_base"] is True
    for run in made.runs:
        text = paths.RunPaths(run).eval_py.read_text(encoding="utf-8")
        assert text.count("        quantize_base=True,\n") == ("true" in run)
    assert controls_of(planned_runs()) == {WITHOUT: "base_nf4-false", WITH: "base_nf4-true"}
    verdicts = Verdicts.of(made.runs)
    check_runs(planned_runs(), verdicts)
    assert not any(verdicts.errors.values()), verdicts.errors


@pytest.mark.parametrize("run", ["base_nf4-false", "base_nf4-true", WITH])
def test_eval_py_loads_the_base_as_it_was_trained(run: str, made: TinyExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(made, monkeypatch)
    asked: list[Any] = []

    def spy(*args: Any, **kwargs: Any) -> Any:
        asked.append(inspect.signature(load_model).bind(*args, **kwargs).arguments)
        return load_model(*args, **kwargs)

    monkeypatch.setattr(loaded_model, "load_model", spy)
    logs = inspect_ai.eval(str(paths.RunPaths(run).eval_py), log_dir="logs", display="none")
    assert logs[0].status == "success", logs[0].error
    assert [arguments["quantize_base"] for arguments in asked] == ["true" in run]


def test_merged_weights_are_those_of_the_quantized_base_and_the_adapter(
    made: TinyExperiment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(made.root)
    merge_stage._merge(made.document(WITH), tmp_path / "merged")
    base, checkpoint = Path("models/tiny"), paths.RunPaths(WITH).checkpoint_dir
    with torch.no_grad():
        merged = load_model(tmp_path / "merged", None, "fp32", "cpu")(PROBE).logits
        trained = load_model(base, checkpoint, "fp32", "cpu", quantize_base=True)(PROBE).logits
        on_another_base = load_model(base, checkpoint, "fp32", "cpu")(PROBE).logits
    assert torch.allclose(merged, trained, atol=1e-3)
    assert not torch.allclose(merged, on_another_base, atol=1e-1)


@pytest.mark.parametrize(("family", "same"), [("qwen2", True), ("llama3", False), ("phi3", False), ("gemma2", False)])
def test_the_trainers_layout_decides_what_a_number_becomes(
    family: str, same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is another base that is quantised as the file lays it out, but for Qwen2, whose layouts are one."""
    make_tiny_model(tmp_path / "tiny", family, "llama3", is_wide=True)
    ours = load_model(tmp_path / "tiny", None, "fp32", "cpu", quantize_base=True).state_dict()
    for name in ("to_trainer", "to_hugging_face"):
        monkeypatch.setattr(quantized_base, name, lambda weights, *_: weights)
    theirs = load_model(tmp_path / "tiny", None, "fp32", "cpu", quantize_base=True).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours) == same


@pytest.mark.parametrize(("recipe", "message"), [
    ("full_finetune_single_device", "a full fine-tune trains the base's own matrices, which nothing can train in 4 bits"),
    ("full_finetune_distributed", "a full fine-tune trains the base's own matrices"),
    ("lora_finetune_distributed", "distributed recipes round the base to dtype before they quantise it"),
])
def test_recipes_that_cannot_are_refused_with_the_reason(recipe: str, message: str) -> None:
    wide = {"embed_dim": 256, "intermediate_dim": 320, "num_heads": 4, "num_kv_heads": 2}
    check_quantized("llama3", wide, settings())
    check_quantized("llama3", wide, {"recipe": recipe})
    with pytest.raises(UserError) as refused:
        check_quantized("llama3", wide, settings(recipe=recipe))
    text = str(refused.value)
    assert text.startswith(f"experiment.yaml: quantize_base: {message}") and text.endswith("Use lora_finetune_single_device.")


def test_matrices_that_nf4_cannot_take_are_refused_by_layer_and_shape(made: TinyExperiment, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        make_tiny_model(Path("models/tiny"), "qwen2", "chatml")
        patch.chdir(made.root)
        document = made.document(WITH)
        patch.chdir(tmp_path)
        what = r"a multiple of 16384 numbers, got q_proj \[64, 64\] in qwen2\. Leave quantize_base out for model tiny\."
        with pytest.raises(UserError, match=what):
            training_config(document)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_matrices_of_the_layers_and_no_others_are_quantized(family: str, tmp_path: Path) -> None:
    """Whichever layers are trained; their shapes are those that the refusal counts with."""
    from omegaconf import OmegaConf
    from torchao.dtypes.nf4tensor import NF4Tensor
    from torchtune.config import instantiate

    make_tiny_model(tmp_path / "tiny", family, "llama3", is_wide=True)
    config = read_model_config(tmp_path / "tiny")
    assert family_of(config) == family
    arguments = dimensions(family, config)
    lora = {"lora_attn_modules": ["q_proj"], "apply_lora_to_mlp": False, "lora_rank": 2, "lora_alpha": 4}
    component = f"{FAMILIES[family].quantized_builders}.{family}.lora_{family}"
    model = instantiate(OmegaConf.create({"_component_": component, **arguments, **lora, "quantize_base": True}))
    found = {name: tuple(p.shape) for name, p in model.named_parameters() if isinstance(p.data, NF4Tensor)}
    wanted = {
        f"layers.{layer}.{'mlp' if name.startswith('w') else 'attn'}.{name}.weight": shape_
        for layer in range(2) for name, shape_ in matrix_shapes(arguments).items()
    }
    assert found == wanted
