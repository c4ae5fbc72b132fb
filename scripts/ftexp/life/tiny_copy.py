"""A minute random model with the architecture, the tokenizer and the chat template of a real one, for a rehearsal.

Of the real folder only config.json and the small files are read: the weights need not be there.
"""

import shutil
from pathlib import Path
from typing import Any

from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import write_json
from ftexp.models.config_json import ModelConfig, parse_config, read_model_config
from ftexp.models.folder import small_files
from ftexp.models.kinds import AS_SAID, LONGROPE
from ftexp.models.loading import transformers_config

# Every matrix then has a multiple of 16,384 elements, as NF4 quantisation needs (torchao 0.15: blocks of 64, in groups of 256).
WIDTH, LAYERS, HEADS = 256, 2, 4
_SEED = 0


def make_tiny_copy(source: Path, target: Path) -> None:
    """Write config.json, random weights and copies of all other small files into `target`.

    Raises:
        UserError: If the folder has no readable config.json, or it is of a model that nobody has tested.
    """
    config = read_model_config(source)
    if config.untested:
        what = "; a rehearsal makes a small copy only of what is tested."
        raise UserError("\n".join(f"{message.rstrip('.')}{what}" for message in config.untested))
    tiny = tiny_shape(config)
    target.mkdir(parents=True)
    _write_weights(parse_config(tiny, target / "config.json"), target)
    write_json(target / "config.json", tiny)
    for path in small_files(source):
        if path.name != "config.json" and not path.name.endswith(".index.json"):
            shutil.copyfile(path, target / path.name)


def tiny_shape(config: ModelConfig) -> dict[str, Any]:
    """The config.json of a model of the same kind, small: what is equal in the real one stays equal, what is fewer fewer.

    Vocabulary, special tokens, RoPE, window, caps, activation and precision stay as they are.
    """
    kind, groups = config.kind, config.heads // config.key_value_heads
    sizes = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    sizes["num_key_value_heads"] = HEADS if groups == 1 else 1 if config.key_value_heads == 1 else HEADS // 2
    has_usual_heads = config.head_dim * config.heads == config.hidden_size
    head_dim = WIDTH // HEADS * (1 if has_usual_heads else 2)
    if "head_dim" in config.content or not has_usual_heads:
        sizes["head_dim"] = head_dim
    tiny = {**config.content, **{kind.key(name): size for name, size in sizes.items() if kind.key(name)}}
    if kind.layers != AS_SAID and tiny.get("layer_types"):
        tiny["layer_types"] = tiny["layer_types"][:LAYERS]
    return {**tiny, **_layers(config), **_longrope(config, head_dim)}


def _layers(config: ModelConfig) -> dict[str, Any]:
    """A layer of each sort, where a model's layers differ as its file says."""
    said: dict[str, Any] = {}
    if config.layer_types:
        sorts = sorted(set(config.layer_types), key=config.layer_types.index)
        said["layer_types"] = [sorts[layer % len(sorts)] for layer in range(LAYERS)]
        said |= {"sliding_window_pattern": LAYERS} if "sliding_window_pattern" in config.content and len(sorts) > 1 else {}
    if config.rope_layers:
        said |= {"no_rope_layers": [1, 0], "no_rope_layer_interval": LAYERS}
    return said


def _longrope(config: ModelConfig, head_dim: int) -> dict[str, Any]:
    """Longrope's lists, which have a number for each pair of dimensions that is turned: the first of the real ones."""
    pairs, cut = int(head_dim * config.rope.share) // 2, {}
    for key in ("rope_scaling", "rope_parameters"):
        said = config.content.get(key) or {}
        if LONGROPE in (said.get("rope_type"), said.get("type")):
            lists = {name: value for name, value in said.items() if isinstance(value, list)}
            cut[key] = {**said, **{name: (value + value[-1:] * pairs)[:pairs] for name, value in lists.items()}}
    return cut


def _write_weights(config: ModelConfig, folder: Path) -> None:
    """Random weights of this shape in safetensors, the same at every call."""
    import torch
    from transformers import AutoModelForCausalLM

    made = transformers_config(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = AutoModelForCausalLM.from_config(made)
    model.save_pretrained(folder, max_shard_size="100GB")
    (folder / "generation_config.json").unlink(missing_ok=True)  # the real one's counts, or that it has none
