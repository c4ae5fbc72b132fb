"""What torchtune 0.6.1 offers and ftexp does not take, with the reason; and what it gets wrong where a config asks for it."""

from typing import Any

from ftexp.design.settings import refused_recipe
from ftexp.design.torchtune_keys import REFUSED_KEYS
from ftexp.ground.nested import value_at
from ftexp.trainers.recipes import is_lora
from ftexp.trainers.torchtune.checks.config_check import module_of

Config = dict[str, Any]
_TEXT_ONLY = "is for pictures, and prompts here are text"
_REFUSED_FAMILIES = {
    "llama3_2_vision": _TEXT_ONLY, "clip": _TEXT_ONLY, "flux": _TEXT_ONLY,
    "t5": "is an encoder, which torchtune 0.6.1 has no recipe to fine-tune",
}


def refusals(config: Config, recipe: str) -> list[str]:
    """What a config asks for that is not supported, by name."""
    messages = []
    reason = refused_recipe(recipe)
    if reason:
        messages.append(f"recipe: {recipe} is refused: {reason}. Choose another recipe")
    family = module_of(config.get("model"))
    if family in _REFUSED_FAMILIES:
        messages.append(f"model._component_: {family} is refused: it {_REFUSED_FAMILIES[family]}. Choose a text model")
    for key, why in REFUSED_KEYS.items():
        if value_at(config, key):
            messages.append(f"{key}: is refused: {why}. Leave it out")
    return messages


def known_faults(config: Config, recipe: str) -> list[str]:
    """Warnings: where torchtune's own components do something else than their names say (each with a test or a measurement)."""
    family = module_of(config.get("model"))
    has_stock_checkpointer = "FullModelHFCheckpointer" in str(value_at(config, "checkpointer._component_"))
    attention = value_at(config, "model.lora_attn_modules") or []
    warnings = []
    if family == "gemma2":
        what = "torchtune 0.6.1 caps the hidden state where Gemma 2 caps its logits, and so trains another model"
        warnings.append(f"model._component_: {what}. Use ftexp.trainers.torchtune.components.gemma2's")
    if is_lora(recipe) and family in ("qwen2", "qwen2_5") and has_stock_checkpointer and {"q_proj", "k_proj"} & set(attention):
        what = "torchtune 0.6.1 reorders q_proj and k_proj in the adapter that it writes, which is wrong for Qwen"
        ours = "ftexp.trainers.torchtune.components.checkpointer"
        warnings.append(f"checkpointer._component_: {what}. Use the merged weights, or {ours}'s")
    if is_lora(recipe) and family in ("phi3", "phi4") and has_stock_checkpointer:
        warnings.append("checkpointer._component_: torchtune 0.6.1 writes no PEFT adapter of Phi-3. Use the merged weights")
    has_stock_tokenizer = str(value_at(config, "tokenizer._component_")).startswith("torchtune.")
    if has_stock_tokenizer and value_at(config, "tokenizer.max_seq_len"):
        what = "torchtune 0.6.1 then masks the last token of every row, so that the model never learns to stop"
        warnings.append(f"tokenizer.max_seq_len: {what}. Set it to null, and leave out rows that are too long")
    return warnings
