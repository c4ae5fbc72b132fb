"""Keys of torchtune's config that may stand in experiment.yaml beside the short names, and those that may not."""

import re

from ftexp.design.settings import SETTINGS

# Top-level keys of torchtune's recipes that may be set although they have no dot and no short name.
TORCHTUNE_TOP_LEVEL = ("clip_grad_norm", "compile", "enable_activation_checkpointing", "enable_activation_offloading")

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)

# torchtune's keys of settings that have a short name later than experiments that set them: either is taken, not both.
OLDER_NAMES = {SETTINGS[name].key: name for name in ("lora_dropout", "weight_decay", "max_grad_norm")}
# What is of LoRA matrices alone.
OF_LORA = (*(name for name in SETTINGS if name.startswith("lora_")), "use_dora", *(key for key in OLDER_NAMES if ".lora_" in key))
# Names that decide the same thing, of which one may be set; the second of each pair stands for both.
SAME_THING = {**OLDER_NAMES, "warmup_ratio": "warmup_steps"}
# Keys of the generated config that another fact owns, and what to set instead.
OWNED_KEYS = {
    **{setting.key: name for name, setting in SETTINGS.items() if setting.key and setting.key not in OLDER_NAMES},
    "model.lora_attn_modules": "lora_modules",
    "model.apply_lora_to_mlp": "lora_modules",
    "model.apply_lora_to_output": "lora_modules",
    "model.quantize_base": "quantize_base",
    "tokenizer.max_seq_len": "max_seq_len",
}
# Keys that torchtune takes and that would give a wrong result, and why.
REFUSED_KEYS = {
    "model.use_dora": (
        "torchtune 0.6.1 exports a DoRA adapter wrongly, so that another model would be evaluated than was trained; with "
        "use_dora: true transformers trains one"
    ),
}
OWNED_SECTIONS = ("tokenizer", "checkpointer", "dataset", "metric_logger")


def is_torchtune_key(name: str) -> bool:
    """Whether `name` can only be a key of torchtune's config (a dotted one, or a known top-level one)."""
    of_ours = ("data.", "prompt.", "validation.")
    return name in TORCHTUNE_TOP_LEVEL or (bool(_DOTTED.fullmatch(name)) and not name.startswith(of_ours))


def owned_by(name: str) -> str | None:
    """For a torchtune key that another fact owns: what to set instead; otherwise None."""
    if name in OWNED_KEYS:
        return f"set '{OWNED_KEYS[name]}' instead"
    if name.split(".")[0] in OWNED_SECTIONS:
        return "it follows from the model, the data and the prompt, and cannot be set"
    return None
