"""The kinds of models that torchtune has not: our config of a published file makes the model that the library makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ftexp.ground.errors import UserError
from ftexp.models.config_json import parse_config, read_model_config, require_tested
from ftexp.models.kinds import KINDS
from ftexp.models.loading import attention_of, load_transformers_model, transformers_config
from ftexp.trainers.torchtune.families import NotInTorchtune, family_of
from helpers.config_files import LONGROPE, PUBLISHED, SCALED, config_of, in_keys_of_5
from helpers.formula_weights import fill, tokens
from helpers.tiny_models import make_tiny_model
from helpers.tiny_newer_models import NEWER
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

FILE = Path("models/any/config.json")
TOLERANCE = 5e-4  # float error of fp32 on logits of about 5, between two ways to compute attention
SAME = 1e-5  # in one way


def model_by_library(content: dict[str, Any], folder: Path) -> Any:
    """As the library makes it of the file as it stands, without looking at it as we do."""
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)


@pytest.mark.parametrize("name", PUBLISHED)
@torch.no_grad()
def test_a_published_files_model_is_the_librarys(name: str, tmp_path: Path) -> None:
    config = parse_config(PUBLISHED[name], FILE)
    ours = AutoModelForCausalLM.from_config(transformers_config(config), dtype=torch.float32, **attention_of(config))
    theirs = model_by_library(PUBLISHED[name], tmp_path)
    assert type(ours).__name__ == type(theirs).__name__ == config.kind.of_model
    for model in (ours, theirs):
        fill(model.eval())
    text = tokens(config.vocab_size)
    logits = theirs(input_ids=text).logits
    assert (ours(input_ids=text).logits - logits).abs().max().item() < TOLERANCE < logits.std().item()
    assert config.parameters == sum(parameter.numel() for parameter in ours.parameters() if parameter.dim() == 2)
    assert config.kind.embedding in dict(ours.named_parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_both_generations_of_a_published_file_say_the_same(name: str) -> None:
    content = PUBLISHED[name]
    assert parse_config(in_keys_of_5(content), FILE) == parse_config(content, FILE)


@pytest.mark.parametrize("name", PUBLISHED)
@torch.no_grad()
def test_no_key_of_a_published_file_that_shapes_the_model_is_left_unread(name: str, tmp_path: Path) -> None:
    """Each number that the kind has to itself, as another number, gives other logits in our model as in the library's."""
    content = PUBLISHED[name]
    kind = KINDS[content["model_type"]]
    changed = {
        **{key: value * 2 for key, value in content.items() if key in kind.numbers and value},
        **{key: value * 3 for key, value in content.items() if key in ("rope_local_base_freq", "rope_theta")},
        **({"no_rope_layers": [1, 0, 1, 1], "no_rope_layer_interval": 2} if "no_rope_layers" in content else {}),
        **({"activation_function": "gelu"} if "activation_function" in content else {}),
        **({"original_max_position_embeddings": 100} if "original_max_position_embeddings" in content else {}),
        **({"sliding_window_pattern": 2} if "sliding_window_pattern" in content else {}),
    }
    changed.pop("no_rope_layer_interval", None)
    plain, text = parse_config(content, FILE), tokens(content["vocab_size"])
    reference = _logits(plain, text)
    for key, value in changed.items():
        other = {name: said for name, said in content.items() if name != "no_rope_layer_interval"} | {key: value}
        ours = _logits(parse_config(other, FILE), text)
        theirs = model_by_library(other, tmp_path)
        fill(theirs.eval())
        assert (ours - theirs(input_ids=text).logits).abs().max().item() < SAME, key
        assert (ours - reference).abs().max().item() > 10 * SAME, key


@torch.no_grad()
def _logits(config: Any, text: torch.Tensor) -> torch.Tensor:
    model = AutoModelForCausalLM.from_config(transformers_config(config), dtype=torch.float32, attn_implementation="eager")
    fill(model.eval())
    logits: torch.Tensor = model(input_ids=text).logits
    return logits


@pytest.mark.parametrize("family", NEWER)
@torch.no_grad()
def test_a_tiny_model_is_read_and_loaded_as_the_library_loads_it(family: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    make_tiny_model(folder, family, "chatml")
    config = read_model_config(folder)
    ours = load_transformers_model(folder, torch.float32).eval()
    theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    text = tokens(config.vocab_size)[:, :100]
    found, meant = ours(input_ids=text).logits, theirs(input_ids=text).logits
    assert (found - meant).abs().max().item() < TOLERANCE < meant.std().item()
    with pytest.raises(NotInTorchtune) as refused:
        family_of(config)
    title = config.kind.title
    assert refused.value.lacks == f"has no {title}" or (family == "phi4_mini" and "Phi-3" in refused.value.lacks)


@torch.no_grad()
def test_the_first_gpt2s_names_of_tensors_are_read(tmp_path: Path) -> None:
    """Without `transformer.`, with the masks that its files have besides; an output layer of its own is a message."""
    folder = tmp_path / "model"
    make_tiny_model(folder, "gpt2", "chatml")
    path, text = folder / "model.safetensors", tokens(100)[:, :50]
    meant, held = load_transformers_model(folder, torch.float32).eval()(input_ids=text).logits, load_file(path)
    bare = {name.removeprefix("transformer."): value for name, value in held.items()}
    masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 8, 8) for layer in range(2)}
    save_file({**bare, **masks}, path, metadata={"format": "pt"})
    assert torch.equal(load_transformers_model(folder, torch.float32).eval()(input_ids=text).logits, meant)
    embedding = "transformer.wte.weight"
    save_file({**held, "lm_head.weight": held[embedding].clone()}, path, metadata={"format": "pt"})
    assert torch.equal(load_transformers_model(folder, torch.float32).eval()(input_ids=text).logits, meant)
    save_file({**held, "lm_head.weight": held[embedding] + 1}, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=f"lm_head.weight differs from {embedding}, and config.json says that they are one"):
        load_transformers_model(folder, torch.float32)


def test_a_text_that_longrope_would_turn_otherwise_is_too_long() -> None:
    """Beyond the first training's length all texts of a batch are turned by other numbers: one would change the others."""
    config = parse_config(PUBLISHED["Phi-4-mini-instruct"], FILE)
    assert (config.longest, config.positions) == (4096, 131072)
    assert parse_config(PUBLISHED["gpt2"], FILE).longest == 4096


@pytest.mark.parametrize(("kind", "changes", "message"), [
    ("qwen3", {"head_dim": None}, "head_dim: must be a whole number, got null"),
    ("qwen3", {"use_sliding_window": True}, "use_sliding_window: must be false"),
    ("gemma3_text", {"layer_types": ["full_attention"]}, "layer_types: must be full_attention or sliding_attention for each"),
    ("gemma3_text", {"layer_types": ["full_attention", "chunked_attention"]}, "layer_types: must be full_attention or sliding"),
    ("gemma3_text", {"layer_types": ["full_attention"] * 2, "sliding_window_pattern": 6},
     "sliding_window_pattern: is 6, and layer_types are others"),
    ("gemma3_text", {"rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}},
     "rope_parameters: must have a mapping for full_attention and one for sliding_attention, as every Gemma3"),
    ("gemma3_text", {"rope_parameters": {"full_attention": {"rope_theta": 1e4},
                                         "sliding_attention": {"rope_theta": 1e4, "rope_type": "linear", "factor": 2.0}}},
     "rope_parameters.sliding_attention: must have the rope_type default"),
    ("gemma3_text", {"rope_local_base_freq": None}, "rope_local_base_freq: must be a number above 0, got null"),
    ("olmo2", {"rope_scaling": SCALED}, "rope_scaling: must have the rope_type default or one of linear, dynamic in a Olmo2"),
    ("olmo2", {"rope_scaling": {"type": "linear", "factor": 1}}, "rope_scaling.factor: must be above 1"),
    ("llama", {"rope_scaling": {"rope_type": "yarn"}}, "rope_scaling.factor: must be there for the rope_type yarn, got nothing"),
    ("llama", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "finetuned": True}},
     "rope_scaling.finetuned: is nothing that the rope_type yarn has"),
    ("smollm3", {"no_rope_layers": [1]}, "no_rope_layers: must be 0 or 1 for each of 2 layers, got 1"),
    ("smollm3", {"no_rope_layers": [0, 0], "no_rope_layer_interval": 4}, "no_rope_layer_interval: is 4, and no_rope_layers are"),
    ("phi3", {"rope_scaling": {**LONGROPE, "long_factor": [1.0]}, "partial_rotary_factor": 0.75},
     "rope_scaling.long_factor: must have a number for each of 6 pairs of dimensions, got 1"),
    ("phi3", {"rope_scaling": LONGROPE}, "rope_scaling.short_factor: must have a number for each of 8 pairs of dimensions"),
    ("phi3", {"partial_rotary_factor": 1.5}, "partial_rotary_factor: must be a number above 0, at most 1, got 1.5"),
    ("phi3", {"partial_rotary_factor": 0.7}, "partial_rotary_factor: must leave an even number of 16 dimensions, got 11.2"),
    ("granite", {"logits_scaling": 0}, "logits_scaling: must be a number above 0, got 0"),
    ("gpt2", {"hidden_size": 64}, "hidden_size: is not known here"),
    ("gpt2", {"n_inner": 0}, "n_inner: must be a whole number from 1 to"),
    ("gpt2", {"activation_function": "relu"}, "activation_function: must be one of gelu_new, gelu_pytorch_tanh, gelu, got"),
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx: must be false"),
    ("gpt2", {"architectures": ["GPT2Model"]}, "architectures: must name GPT2LMHeadModel"),
])
def test_what_a_newer_kind_cannot_mean_is_a_message(kind: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        require_tested(parse_config({**config_of(kind), **changes}, FILE), {})
    assert str(refused.value).removeprefix(f"{FILE}: ").startswith(message)
