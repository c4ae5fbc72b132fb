"""Every key of config.json that is known.

A key is read (`config_json`, `rope`), or must have the one value that changes nothing (FIXED), or changes nothing whatever it
says (HARMLESS). A file with any other key is of a model that is not tested: it may shape it.
Tests compare this with the library's classes.
"""

from collections.abc import Mapping
from typing import Any

from ftexp.models.kinds import AS_SAID, KINDS, ROPE, Kind
from ftexp.models.reading import Reading

SIZES = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings",
)
READ = frozenset({
    "model_type", *SIZES, "rms_norm_eps", "num_key_value_heads", "head_dim", "tie_word_embeddings", "hidden_act",
    "hidden_activation", "layer_types", "dtype", "torch_dtype", "architectures", "auto_map", "bos_token_id", "eos_token_id",
    "pad_token_id", *ROPE,
})
# What says that the weights are no plain numbers any more.
QUANTIZED = ("quantization_config", "quantization", "compression_config")
PLAIN = "Take the model's own weights in bf16, fp16 or fp32; `quantize_base: true` quantises those for a training."
_SUCH = "Choose such a model."
_CONTINUES = ("ForCausalLM", "LMHeadModel")
_NO = (False, None)
_NO_DECODER = ("is_encoder_decoder", "add_cross_attention")
# The library's own classes, for which some models bring code of the same name.
_OTHER_CLASSES = ("Model", "ForSequenceClassification", "ForTokenClassification")
# Read by a library's class, by a newer one, or by a model's own code; only these values leave the model as it is that is tested.
FIXED: Mapping[str, tuple[Any, ...]] = {
    **dict.fromkeys(("attention_dropout", "resid_pdrop", "embd_pdrop"), (0, None)),
    **dict.fromkeys(("attention_bias", "mlp_bias", "use_sliding_window", "rope_interleaved", "use_mrope"), (False, None)),
    **dict.fromkeys(("use_bidirectional_attention", "is_encoder_decoder", "add_cross_attention"), (False, None)),
    **dict.fromkeys(("tie_encoder_decoder", "torchscript", "use_qk_norm"), (False, None)),
    **dict.fromkeys(("sliding_window", "cross_attention_hidden_size", *QUANTIZED), (None,)),
    "partial_rotary_factor": (1, None), "is_causal": (True, None), "pruned_heads": ({}, None), "per_layer_config": ({}, None),
    "chunk_size_feed_forward": (0, None), **dict.fromkeys(("full_attn_mod", "interpolate_factor"), (1, None)),
    "lm_head_bias": (False, None),
}
_OF_THE_FILE = (
    "_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "transformers.js_config", "is_llama_config",
    "unsloth_version", "unsloth_fixed", "max_sequence_length", "model_max_length",
)
_OF_ITS_USE = (
    "use_cache", "initializer_range", "gradient_checkpointing", "neftune_noise_alpha", "is_decoder", "output_hidden_states",
    "output_attentions", "return_dict", "use_bfloat16", "tf_legacy_loss", "attn_implementation", "_attn_implementation",
    "_attn_implementation_autoset", "_attn_implementation_internal", "_experts_implementation_internal",
    "_flash_attn_2_enabled", "tie_last_hidden_states", "max_window_layers",
)
_OF_OTHER_TASKS = (
    "finetuning_task", "id2label", "label2id", "num_labels", "task_specific_params", "problem_type", "tokenizer_class", "prefix",
    "sep_token_id", "decoder_start_token_id",
)
# How to generate: an evaluation says all of it itself.
_OF_GENERATION = (
    "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty", "temperature",
    "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
    "bad_words_ids", "num_return_sequences", "output_scores", "return_dict_in_generate", "forced_bos_token_id",
    "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens",
    "begin_suppress_tokens", "cache_implementation",
)
HARMLESS = frozenset({*_OF_THE_FILE, *_OF_ITS_USE, *_OF_OTHER_TASKS, *_OF_GENERATION})


def known_keys(model_type: str) -> frozenset[str]:
    """Every key that a config.json of this model_type may have."""
    kind = KINDS[model_type]
    own = {
        *kind.more, *kind.numbers, *kind.fixed, *(["rope_local_base_freq"] if kind.local_theta else []),
        *(["sliding_window_pattern"] if kind.layers == AS_SAID else []),
        *(["original_max_position_embeddings"] if kind.has_partial_rope else []),
        *(["no_rope_layers", "no_rope_layer_interval"] if kind.has_rope_layers else []),
    }
    return frozenset({kind.key(name) for name in READ} - {""}) | HARMLESS | frozenset(FIXED) | own


def check_known(content: Mapping[str, Any], model_type: str, found: Reading) -> None:
    """No key is unknown, none changes the model unread, and the class and the weights are the library's plain ones.

    Args:
        content: config.json, of a kind that is tested.
        found: Gets what is wrong, and what is not tested.
    """
    check_plain(content, found)
    _check_code(content, KINDS[model_type], found)
    _check_fixed(content, KINDS[model_type], found)
    for key in [key for key in content if key not in known_keys(model_type)]:
        what = f"is not known here, so that it may shape the model unread, got {_json(content[key])}"
        found.other(key, what, "If it does not, take it out of a copy of the file; else choose another model.")


def check_plain(content: Mapping[str, Any], found: Reading) -> None:
    """The weights are not those that somebody quantised, and the model is one that goes on with a text, whatever its kind."""
    for key in [key for key in _NO_DECODER if content.get(key) not in _NO]:
        found.add(key, f"must be false: only models that continue a text are trained here, got {_json(content[key])}", _SUCH)
    for key in QUANTIZED:
        said = content.get(key)
        if said is not None:
            inner = said if isinstance(said, dict) else {}
            names = [f"{name} {inner[name]}" for name in ("quant_method", "bits") if inner.get(name)]
            how = f" ({', '.join(names)})" if names else ""
            found.add(key, f"says that the weights are quantised already{how}, and a training here starts from plain ones", PLAIN)


def check_architecture(content: Mapping[str, Any], found: Reading) -> None:
    """Of a kind that is not tested: one of the classes that are named, if any are, answers in text."""
    classes = content.get("architectures")
    names = classes if isinstance(classes, list) else [classes]
    if classes is not None and not any(str(name).endswith(_CONTINUES) for name in names):
        found.add("architectures", f"must name a model that continues a text (...{_CONTINUES[0]}), got {classes!r}", _SUCH)


def _check_code(content: Mapping[str, Any], kind: Kind, found: Reading) -> None:
    """The class is the library's, and one that answers in text."""
    classes, wanted = content.get("architectures"), kind.of_model
    names = classes if isinstance(classes, list) else [classes]
    if classes is not None and wanted.lower() not in [str(name).lower() for name in names]:
        what = f"must name {wanted}, the model that continues a text, got {classes!r}"
        found.add("architectures", what, _SUCH)
    code = content.get("auto_map")
    ours = [kind.of_config, kind.of_model, *(f"{kind.name}{end}" for end in _OTHER_CLASSES)]
    for role, where in (code.items() if isinstance(code, dict) else [] if code is None else [("", code)]):
        if role == "AutoTokenizer":  # read from the tokenizer's own files
            continue
        if not isinstance(where, str) or where.rpartition(".")[2] not in ours:
            what = f"names code of the model's own, which is not run here, so that the library's {kind.name} would take its place"
            found.add(f"auto_map.{role}".rstrip("."), f"{what}, got {where!r}", "Choose a model without.")


def _check_fixed(content: Mapping[str, Any], kind: Kind, found: Reading) -> None:
    """No key has a value with which the model is another than what is built."""
    read_here = {*kind.more, *QUANTIZED, *_NO_DECODER, *(["sliding_window"] if kind.has_window else [])}
    read_here |= {"partial_rotary_factor"} if kind.has_partial_rope else set()
    fixed = {**FIXED, **kind.fixed}
    for key in [key for key in content if key in fixed and key not in read_here]:
        if not any(_is_same(content[key], allowed) for allowed in fixed[key]):
            what = f"must be {_json(fixed[key][0])}, as nothing else is computed here, got {_json(content[key])}"
            found.other(key, what, "Choose another model.")


def _is_same(value: Any, allowed: Any) -> bool:
    return isinstance(value, bool) == isinstance(allowed, bool) and bool(value == allowed)


def _json(value: Any) -> str:
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)
