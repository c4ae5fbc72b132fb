"""Models that nobody has tested: refused unless a run allows them, and then what transformers makes of their file as it is."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ftexp.ground.errors import UserError
from ftexp.models.config_json import model_parameters, parse_config, read_model_config, require_tested
from ftexp.models.loading import attention_of, load_transformers_model, transformers_config
from ftexp.models.reading import ALLOW_UNTESTED
from ftexp.trainers.torchtune.families import NotInTorchtune, family_of
from helpers.config_files import config_of
from helpers.formula_weights import fill, tokens
from transformers import AutoModelForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM, MixtralConfig, MixtralForCausalLM

FILE = Path("models/any/config.json")
MIXTRAL = {
    "model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "vocab_size": 100, "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 4096, "num_local_experts": 4, "rope_theta": 1e6, "rms_norm_eps": 1e-5,
}
BLOOM = {"model_type": "bloom", "vocab_size": 100, "hidden_size": 64, "n_layer": 2, "n_head": 4, "seq_length": 2048}
ALLOWED = {ALLOW_UNTESTED: True}


@pytest.mark.parametrize(("content", "message"), [
    (MIXTRAL, "model_type: is 'mixtral', and supported are llama, mistral, qwen2"),
    (BLOOM, "model_type: is 'bloom', and supported are"),
    ({**config_of("llama"), "residual_multiplier": 0.5}, "residual_multiplier: is not known here"),
    ({**config_of("llama"), "mlp_bias": True}, "mlp_bias: must be false, as nothing else is computed here, got true"),
    ({**config_of("qwen3"), "use_sliding_window": True, "sliding_window": 64}, "use_sliding_window: must be false"),
    ({**config_of("llama"), "hidden_act": "gelu"}, "hidden_act: must be silu, as every Llama here, got 'gelu'"),
    ({**config_of("gemma2"), "layer_types": ["full_attention"] * 2}, "layer_types: a Gemma2 of 2 layers has sliding_attention"),
    ({**config_of("llama"), "rope_scaling": {"rope_type": "longrope", "factor": 4.0}}, "rope_scaling: must have the rope_type"),
    ({**config_of("llama"), "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "x": 1}}, "rope_scaling.x: is nothing that"),
])
def test_what_nobody_has_tested_is_refused_with_the_way_to_allow_it(content: dict[str, Any], message: str) -> None:
    config = parse_config(content, FILE)
    with pytest.raises(UserError) as refused:
        require_tested(config, {})
    said = str(refused.value)
    assert said.startswith(f"{FILE}: {message}") and "\n" not in said
    assert said.endswith(f", or set {ALLOW_UNTESTED}: true, which the results will say.")
    require_tested(config, ALLOWED)
    with pytest.raises(NotInTorchtune) as lack:
        family_of(config)
    assert lack.value.lacks.startswith(("has no ", "is not known to compute "))


def test_a_model_that_is_tested_needs_no_permission() -> None:
    assert parse_config(config_of("llama"), FILE).untested == ()
    require_tested(parse_config(config_of("llama"), FILE), {})


@pytest.mark.parametrize(("changes", "message"), [
    ({"hidden_size": None}, "hidden_size: must be a whole number from 1 to 2147483647, got nothing"),
    ({"num_attention_heads": "4"}, "num_attention_heads: must be a whole number from 1 to 2147483647, got '4'"),
    ({"architectures": ["MixtralForSequenceClassification"]}, "architectures: must name a model that continues a text"),
    ({"is_encoder_decoder": True}, "is_encoder_decoder: must be false: only models that continue a text"),
    ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "quantization_config: says that the weights are quantised"),
    ({"vision_config": {}}, "model_type: 'mixtral' is a vision model"),
    ({"torch_dtype": "int8"}, "torch_dtype: must be one of float32"),
    ({"eos_token_id": "2"}, "eos_token_id: must be a token's number"),
    ({"model_type": None}, "model_type: is None, and supported are"),
])
def test_what_makes_a_file_nonsense_cannot_be_allowed(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_config({**MIXTRAL, **changes}, FILE)
    assert str(refused.value).startswith(f"{FILE}: {message}")


@pytest.mark.parametrize("content", [MIXTRAL, {**config_of("llama"), "mlp_bias": True}])
def test_rope_in_keys_that_the_library_would_not_read_cannot_be_allowed(content: dict[str, Any]) -> None:
    """4.57 takes 10000 for the base without a word where a file has `rope_parameters`."""
    said = {key: value for key, value in content.items() if key != "rope_theta"}
    with pytest.raises(UserError, match="rope_parameters: are transformers 5's, and 4.57, which makes an untested model"):
        parse_config({**said, "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}, FILE)


def make(folder: Path, model: Any, **changes: Any) -> None:
    fill(model)
    model.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def models() -> dict[str, Any]:
    sizes = {"vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    mixtral = {key: value for key, value in MIXTRAL.items() if key not in ("model_type", "architectures")}
    return {
        "mixtral": MixtralForCausalLM(MixtralConfig(**mixtral)),
        "gpt_neox": GPTNeoXForCausalLM(GPTNeoXConfig(**sizes, intermediate_size=256, tie_word_embeddings=False)),
    }


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("name", ["mixtral", "gpt_neox"])
@torch.no_grad()
def test_an_untested_model_is_what_the_library_makes_of_its_folder(name: str) -> None:
    folder = Path("models") / name
    made = models()[name].eval()
    make(folder, made)
    config, text = read_model_config(folder), tokens(100)[:, :100]
    assert config.untested and attention_of(config) == {"attn_implementation": "eager"}
    assert (config.hidden_size, config.layers, config.heads, config.head_dim) == (64, 2, 4, 16)
    theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    ours = load_transformers_model(folder, torch.float32).eval()
    assert torch.equal(ours(input_ids=text).logits, theirs(input_ids=text).logits)
    assert model_parameters(name) == sum(parameter.numel() for parameter in made.parameters())


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(("changes", "message"), [
    ({"model_type": "mymodel"}, "config.json: transformers 4.57.6 makes no model of it: "),
    ({"model_type": "siglip_vision_model"}, "config.json: model_type: transformers 4.57.6 has no model of this type"),
    ({"auto_map": {"AutoModelForCausalLM": "modeling_my.MyForCausalLM"}},
     "config.json: auto_map.AutoModelForCausalLM: names code of the model's own, which is not run here, so that Mixtral"),
])
def test_what_the_library_cannot_make_is_a_message(changes: dict[str, Any], message: str) -> None:
    folder = Path("models/any")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**MIXTRAL, **changes}), encoding="utf-8")
    with pytest.raises(UserError) as refused:
        transformers_config(read_model_config(folder))
    assert str(refused.value).removeprefix("models/any/").startswith(message)


def test_a_class_that_refuses_the_file_is_a_message(tmp_path: Path) -> None:
    """OLMo 2's takes no other scaling than its own two."""
    content = {**config_of("olmo2"), "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}
    (tmp_path / "config.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match="config.json: transformers 4.57.6 makes no model of it: `rope_scaling`"):
        transformers_config(read_model_config(tmp_path))
