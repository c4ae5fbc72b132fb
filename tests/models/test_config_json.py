"""config.json, read in both generations of its keys: what is built is what the file says, or there is one message."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import transformers
from ftexp.ground.errors import UserError
from ftexp.models.config_json import ModelConfig, parse_config, read_model_config, require_tested
from ftexp.models.kinds import HEAD_DIM, KINDS, KV_HEADS
from ftexp.models.known_keys import FIXED, HARMLESS, SIZES, known_keys
from ftexp.models.library_keys import for_transformers
from ftexp.models.loading import transformers_config
from ftexp.models.rope import SHARE
from ftexp.trainers.torchtune.families import FAMILIES, NotInTorchtune, dimensions, family_of
from helpers.config_files import SCALED, config_of, in_keys_of_5
from helpers.tiny_newer_models import NEWER
from hypothesis import given, settings
from hypothesis import strategies as st

FILE = Path("models/any/config.json")
SAVED_BY_5 = sorted((Path(__file__).parent / "saved_by_5").glob("*/config.json"))


def read(kind: str, **changes: Any) -> ModelConfig:
    return parse_config({**config_of(kind), **changes}, FILE)


def without(kind: str, *keys: str, **changes: Any) -> ModelConfig:
    return parse_config({key: value for key, value in {**config_of(kind), **changes}.items() if key not in keys}, FILE)


def refusal(kind: str, **changes: Any) -> str:
    with pytest.raises(UserError) as refused:
        require_tested(read(kind, **changes), {})
    return str(refused.value).removeprefix(f"{FILE}: ")


def library_class(kind: str) -> Any:
    return getattr(transformers, KINDS[kind].of_config)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_the_librarys_class_is_known(kind: str) -> None:
    """And what it saves of a config of its own is read."""
    of_class = set(inspect.signature(library_class(kind).__init__).parameters) - {"self", "kwargs"}
    assert of_class <= known_keys(kind)
    assert set(library_class(kind)().to_dict()) <= known_keys(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_an_absent_key_is_what_the_librarys_class_takes_for_it(kind: str) -> None:
    of_kind, small = KINDS[kind], {"num_attention_heads": 32, "hidden_size": 4096}
    small = {of_kind.key(name): value for name, value in small.items()}
    needed = {"model_type", *map(of_kind.key, (*SIZES, "rms_norm_eps"))} - set(of_kind.may_lack)
    content = {key: value for key, value in {**config_of(kind), **small}.items() if key in needed}
    ours, theirs = transformers_config(parse_config(content, FILE)), library_class(kind)(**content)
    keys = ["rope_scaling", "tie_word_embeddings", "sliding_window", "layer_types", of_kind.activation_key, "no_rope_layers",
            "rope_local_base_freq", "partial_rotary_factor", "original_max_position_embeddings",
            *filter(None, map(of_kind.key, (KV_HEADS, "rope_theta", "rms_norm_eps"))), *of_kind.numbers, *of_kind.fixed]
    assert [getattr(ours, key, None) for key in keys] == [getattr(theirs, key, None) for key in keys]
    width = getattr(theirs, HEAD_DIM, None) or theirs.hidden_size // theirs.num_attention_heads
    assert parse_config(content, FILE).head_dim == width


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_built_leaves_nothing_to_the_librarys_class(kind: str) -> None:
    """Every argument of its class is given, but for those that change nothing, whatever they are."""
    arguments = set(inspect.signature(library_class(kind).__init__).parameters) - {"self", "kwargs"}
    given = set(for_transformers(parse_config(config_of(kind), FILE)))
    of_kind = KINDS[kind]
    harmless = HARMLESS | set(FIXED) | set(of_kind.more) | {"layer_types", "rope_scaling", "no_rope_layer_interval"}
    assert arguments - given <= harmless - set(of_kind.dropouts) - set(of_kind.fixed)


@pytest.mark.parametrize("path", SAVED_BY_5, ids=lambda path: path.parent.name)
def test_a_file_that_transformers_5_saved_is_read_as_it_was_meant(path: Path) -> None:
    """The files are those of `make_saved_by_5.py`, which sets what it says in `meant.json`."""
    meant = json.loads((path.parent / "meant.json").read_text(encoding="utf-8"))
    config, family = read_model_config(path.parent), path.parent.name
    theta = meant["rope_theta"] or config.rope.theta  # GPT-2 has none
    assert (config.rope.theta, config.is_tied) == (theta, meant["tie_word_embeddings"])
    assert dict(config.rope.scaling or {}) == in_one_word(meant["rope_scaling"] or {})
    if family in FAMILIES:
        assert family_of(config) == family
        assert dimensions(family, config)["rope_base"] == theta
        return
    with pytest.raises(NotInTorchtune):
        family_of(config)


def in_one_word(scaling: dict[str, Any]) -> dict[str, Any]:
    return {("rope_type" if key == "type" else key): value for key, value in scaling.items()}


def test_every_family_was_saved_by_5() -> None:
    assert {path.parent.name for path in SAVED_BY_5} == {*FAMILIES, *NEWER}


@pytest.mark.parametrize("kind", KINDS)
def test_both_generations_of_the_keys_say_the_same(kind: str) -> None:
    theta = {"rope_theta": 123456.5} if KINDS[kind].scalings else {}
    old = {**config_of(kind), "torch_dtype": "bfloat16", **theta, **({"rope_scaling": SCALED} if kind == "llama" else {})}
    assert parse_config(in_keys_of_5(old), FILE) == parse_config(old, FILE) == parse_config({**in_keys_of_5(old), **old}, FILE)
    assert not theta or parse_config(old, FILE).rope.theta == 123456.5


@pytest.mark.parametrize(("changes", "message"), [
    ({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}, "rope_parameters.rope_theta: the keys"),
    ({"rope_scaling": SCALED, "rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}}, "rope_scaling: the keys of"),
    ({"dtype": "float32", "torch_dtype": "bfloat16"}, "dtype: dtype is float32 and torch_dtype"),
    ({"rope_scaling": {**SCALED, "type": "linear"}}, "rope_scaling: has rope_type and type, and they differ: linear, llama3"),
    ({"rope_scaling": {"factor": 8.0}}, "rope_scaling: has no rope_type"),
    ({"rope_scaling": [8.0]}, "rope_scaling: must be a mapping or null"),
    ({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}, "rope_parameters.full_attention: is RoPE for one kind"),
    ({"rope_parameters": {"factor": 8.0}}, "rope_parameters: factor stands beside the type default"),
    ({"rope_theta": None}, "rope_theta: must be a number above 0, got null"),
    ({"rope_theta": True}, "rope_theta: must be a number above 0, got True"),
    ({"rope_theta": float("nan")}, "rope_theta: must be a number above 0, got nan"),
    ({"rope_theta": None, "rope_parameters": {"rope_theta": None, "rope_type": "default"}}, "rope_theta: must be a number"),
    ({"partial_rotary_factor": 0.5}, "partial_rotary_factor: must be 1"),
    ({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}, "rope_parameters: partial_rotary_factor stands"),
    ({"vocab_size": 10.0}, "vocab_size: must be a whole number"),
    ({"num_hidden_layers": 10**9}, "num_hidden_layers: must be a whole number from 1 to 1000"),
    ({"hidden_size": None}, "hidden_size: must be a whole number from 1 to 2147483647, got null"),
    ({"num_key_value_heads": 3}, "num_key_value_heads: must divide num_attention_heads = 4, got 3"),
    ({"hidden_size": 66}, "hidden_size: must be a multiple of num_attention_heads = 4, got 66"),
    ({"tie_word_embeddings": None}, "tie_word_embeddings: must be true or false, got null"),
    ({"hidden_act": None}, "hidden_act: must be silu, as every Llama here, got null"),
    ({"attention_dropout": 0.1}, "attention_dropout: must be 0"), ({"attention_dropout": False}, "attention_dropout: must be 0"),
    ({"rope_interleaved": True}, "rope_interleaved: must be false"), ({"torchscript": True}, "torchscript: must be false"),
    ({"sliding_window": 512}, "sliding_window: must be null"),
    ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types: a Llama of 2 layers has full_attention,"),
    ({"residual_multiplier": 0.5}, "residual_multiplier: is not known here, so that it may shape the model unread, got 0.5"),
    ({"original_max_position_embeddings": 4096}, "original_max_position_embeddings: is not known here"),
    ({"architectures": ["LlamaForSequenceClassification"]}, "architectures: must name LlamaForCausalLM"),
    ({"auto_map": {"AutoConfig": "configuration_llama.LlamaConfig", "AutoModelForCausalLM": "modeling_x.YarnForCausalLM"}},
     "auto_map.AutoModelForCausalLM: names code of the model's own"),
    ({"quantization_config": {"quant_method": "gptq", "bits": 4}},
     "quantization_config: says that the weights are quantised already (quant_method gptq, bits 4)"),
    ({"quantization": {"group_size": 64, "bits": 4}}, "quantization: says that the weights are quantised already (bits 4)"),
    ({"torch_dtype": "float8_e4m3fn"}, "torch_dtype: must be one of float32, bfloat16, float16, float64"),
    ({"eos_token_id": "2"}, "eos_token_id: must be a token's number, a list of them or null"),
    ({"bos_token_id": [1]}, "bos_token_id: must be a token's number or null"),
])
def test_what_a_llama_cannot_mean_is_a_message(changes: dict[str, Any], message: str) -> None:
    said = refusal("llama", **changes)
    assert said.startswith(message) and "\n" not in said


@pytest.mark.parametrize(("kind", "changes", "message"), [
    ("gemma", {"num_key_value_heads": None}, "num_key_value_heads: must be a whole number, got null"),
    ("gemma2", {"sliding_window": None}, "sliding_window: must be a whole number"),
    ("gemma2", {"query_pre_attn_scalar": None}, "query_pre_attn_scalar: must be a number above 0, got null"),
    ("gemma2", {"layer_types": ["full_attention"] * 2}, "layer_types: a Gemma2 of 2 layers has sliding_attention"),
    ("gemma2", {"use_bidirectional_attention": True}, "use_bidirectional_attention: must be false"),
    ("phi3", {"embd_pdrop": 0.1}, "embd_pdrop: must be 0"),
    ("qwen2", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping: is not"),
    ("qwen2", {"layer_types": ["sliding_attention"] * 2}, "layer_types: a Qwen2 of 2 layers has full_attention"),
])
def test_what_a_family_cannot_mean_is_a_message(kind: str, changes: dict[str, Any], message: str) -> None:
    assert refusal(kind, **changes).startswith(message)


def test_a_null_is_what_transformers_means_by_it() -> None:
    for kind in ("llama", "mistral", "qwen2", "phi3"):
        assert read(kind, num_key_value_heads=None).key_value_heads == library_class(kind)(
            num_attention_heads=4, num_key_value_heads=None).num_key_value_heads == 4
    assert without("llama", "num_key_value_heads").key_value_heads == 4
    assert without("mistral", "num_key_value_heads", num_attention_heads=16, hidden_size=64).key_value_heads == 8
    assert read("llama", head_dim=None).head_dim == 16
    assert read("mistral", sliding_window=None).window is None and without("mistral", "sliding_window").window == 4096
    assert read("llama", rope_theta=None, rope_parameters={"rope_theta": 1e6}).rope.theta == 1e6
    assert without("llama", "rope_theta").rope.theta == 1e4
    assert read("gemma2", final_logit_softcapping=None).numbers["final_logit_softcapping"] is None


def test_the_gelu_of_the_first_gemmas_is_the_approximation_that_they_were_trained_with() -> None:
    """transformers 4.57 takes the word as it stands; before and after it the library does not."""
    assert library_class("gemma")(hidden_act="gelu").hidden_act == "gelu"
    assert transformers_config(read("gemma", hidden_act="gelu", hidden_activation=None)).hidden_act == "gelu_pytorch_tanh"


def test_what_the_models_of_the_hub_say_besides_is_no_reason_to_refuse_them() -> None:
    phi3 = {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}
    assert read("phi3", auto_map=phi3, rope_scaling=None, resid_pdrop=0.0, original_max_position_embeddings=4096)
    assert read("llama", rope_interleaved=False, is_llama_config=True, pretraining_tp=1, unsloth_version="2025.1",
                quantization_config=None, _attn_implementation_autoset=True, use_cache=False, temperature=0.9)
    assert read("qwen2", use_mrope=False, use_sliding_window=False, sliding_window=32768, max_window_layers=21)
    assert read("gemma2", hidden_act="gelu_pytorch_tanh", cache_implementation="hybrid")


def test_a_key_that_is_there_twice_is_named(tmp_path: Path) -> None:
    text = json.dumps(config_of("llama")).replace('"rope_theta"', '"rope_theta": 1e6, "rope_theta"')
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="config.json: rope_theta: is there twice in one mapping. Keep the right one."):
        read_model_config(tmp_path)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**7) | st.floats() | st.text(max_size=8) | st.sampled_from(
        ["llama3", "default", "yarn", "silu", "gelu", "bfloat16", "full_attention"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["rope_theta", "rope_type", "type", "factor", "x", *SCALED]), inner, max_size=4), max_leaves=6,
)
KEYS = st.sampled_from(sorted(set().union(*map(known_keys, KINDS)) | {"new_key"}))


@given(kind=st.sampled_from(sorted(KINDS)), changes=st.dictionaries(KEYS, JUNK, max_size=3), dropped=st.sets(KEYS, max_size=2),
       is_new=st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_config_json_is_built_as_it_says_or_refused(
    kind: str, changes: dict[str, Any], dropped: set[str], is_new: bool
) -> None:
    base = in_keys_of_5(config_of(kind)) if is_new else config_of(kind)
    content = {key: value for key, value in {**base, **changes}.items() if key not in dropped}
    try:
        config = parse_config(content, FILE)
        require_tested(config, {})
    except UserError as refused:
        assert str(refused).startswith(str(FILE))
        return
    loaded = transformers_config(config)
    try:
        built = dimensions(family_of(config), config)
    except NotInTorchtune as refused:
        assert refused.lacks.startswith(("has ", "turns "))
    else:
        assert (loaded.rope_theta, loaded.num_key_value_heads) == (built["rope_base"], built["num_kv_heads"])
    for key, value in content.items():
        if value is not None and key in ("rope_theta", "num_key_value_heads", "head_dim", "vocab_size", "sliding_window"):
            is_read = key not in config.kind.more and key in loaded.to_dict()
            assert not is_read or getattr(loaded, key, value) == value
        is_read = (key == "sliding_window" and config.kind.has_window) or (key == SHARE and config.kind.has_partial_rope)
        if key in FIXED and key not in config.kind.more and not is_read:
            assert value in FIXED[key]
    assert (content.get("rope_parameters") or {}).get("rope_theta") in (None, config.rope.theta)
