"""Writes tests/models/saved_by_5/: config.json and tokenizer of a small model per family, as the newest transformers saves them.

To be run by an environment that has the newest transformers and torch, and is not this project's:
    PYTHONPATH=tests python tests/make_saved_by_5.py [FOLDER]
Beside them lies `meant.json`: what was special for, the ids of some texts, and logits of the model as that version computes it.
Weights are no files but a formula (`helpers.formula_weights`), so that another version can be special for the same numbers.
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from helpers.formula_weights import TEXTS, fill, fingerprint
from helpers.tiny_tokenizers import save_tokenizer

FOLDER = Path(__file__).parent / "models" / "saved_by_5"
SCALED = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
LONG = {"type": "longrope", "short_factor": [1.0] * 5 + [1.25], "long_factor": [1.0, 1.1, 1.25, 1.4, 3.0, 30.0]}
# Class, tokenizer (none where it has been looked at for another), and what is special about the family.
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama3": ("Llama", "llama2", {"rope_theta": 10000.0}),
    "llama3_1": ("Llama", "llama3.1", {"rope_theta": 500000.0, "rope_scaling": SCALED}),
    "llama3_2": ("Llama", "llama3.2", {"rope_theta": 500000.0, "rope_scaling": SCALED, "tie_word_embeddings": True}),
    "qwen2": ("Qwen2", "qwen2.5", {"rope_theta": 1000000.0, "tie_word_embeddings": True}),
    "mistral": ("Mistral", "mistral-v0.3", {"rope_theta": 1000000.0, "sliding_window": None}),
    "phi3": ("Phi3", "phi3", {"rope_theta": 20000.0}),
    "gemma": ("Gemma", "gemma", {"rope_theta": 30000.0, "head_dim": 32, "tie_word_embeddings": True}),
    "gemma2": ("Gemma2", "gemma2", {
        "rope_theta": 40000.0, "head_dim": 32, "tie_word_embeddings": True, "sliding_window": 64, "query_pre_attn_scalar": 16,
    }),
    "qwen3": ("Qwen3", "", {"rope_theta": 1000000.0, "head_dim": 32, "tie_word_embeddings": True}),
    "gemma3": ("Gemma3", "", {
        "rope_theta": 1000000.0, "rope_local_base_freq": 20000.0, "head_dim": 32, "tie_word_embeddings": True,
        "sliding_window": 64, "sliding_window_pattern": 2, "query_pre_attn_scalar": 16,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    }),
    "olmo2": ("Olmo2", "", {"rope_theta": 500000.0}),
    "smollm3": ("SmolLM3", "", {"rope_theta": 5000000.0, "tie_word_embeddings": True, "no_rope_layer_interval": 2}),
    "phi4_mini": ("Phi3", "", {
        "rope_theta": 10000.0, "tie_word_embeddings": True, "partial_rotary_factor": 0.75, "sliding_window": 262144,
        "original_max_position_embeddings": 512, "rope_scaling": LONG,  # the text that is asked is longer
    }),
    "granite": ("Granite", "", {
        "rope_theta": 10000000.0, "tie_word_embeddings": True, "embedding_multiplier": 12.0, "attention_multiplier": 0.0625,
        "residual_multiplier": 0.22, "logits_scaling": 8.0,
    }),
    "gpt2": ("GPT2", "", {
        "tie_word_embeddings": True, "n_embd": 64, "n_inner": 96, "n_layer": 2, "n_head": 4, "n_positions": 1024,
    }),
}
# Classes that are called by more than the name.
CONFIGS, MODELS = {"Gemma3": "Gemma3TextConfig"}, {"GPT2": "GPT2LMHeadModel"}
SIZES = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 16384,
}


def main(arguments: list[str]) -> int:
    """Write all families into the folder."""
    folder = Path(arguments[0]) if arguments else FOLDER
    for family, (name, template, special) in FAMILIES.items():
        _save(folder / family, name, template, special)
    print(f"saved by transformers {transformers.__version__}: {folder}")
    return 0


def _save(folder: Path, name: str, template: str, special: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = save_tokenizer(folder, template) if template else None
    tokens = {"vocab_size": 100, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    if tokenizer:
        tokens = {"vocab_size": len(tokenizer), **{f"{end}_token_id": getattr(tokenizer, f"{end}_token_id")
                                                   for end in ("bos", "eos", "pad")}}
    config = getattr(transformers, CONFIGS.get(name, f"{name}Config"))(
        dtype="float32", **tokens, **(SIZES if name != "GPT2" else {}),
        **copy.deepcopy(special),  # transformers 5 writes the base into the mapping that it is given
    )
    config._attn_implementation = "eager"
    model = getattr(transformers, MODELS.get(name, f"{name}ForCausalLM"))(config).eval()
    fill(model)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    meant = {
        "transformers": transformers.__version__, "torch": torch.__version__.partition("+")[0],
        "rope_theta": special.get("rope_theta"), "rope_scaling": special.get("rope_scaling"),
        "tie_word_embeddings": special.get("tie_word_embeddings", False),
        "ids": [tokenizer(text)["input_ids"] for text in TEXTS] if tokenizer else [], "logits": fingerprint(model),
    }
    (folder / "meant.json").write_text(json.dumps(meant, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
