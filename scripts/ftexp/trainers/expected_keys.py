"""The keys that a setting decides in any trainer's config, by another hand than the ones that make configs.

Written out, not computed by the code that makes configs, so that one checks the other. A trainer's own keys are in its room.
"""

from collections.abc import Mapping
from typing import Any

from ftexp.design.run import Run
from ftexp.design.settings import SETTINGS

Keys = dict[str, Any]
# Settings that are one key each, and nothing besides.
_ONE_KEY = {
    "lr": "optimizer.lr", "epochs": "epochs", "batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps", "warmup_steps": "lr_scheduler.num_warmup_steps",
    "weight_decay": "optimizer.weight_decay", "max_grad_norm": "clip_grad_norm", "max_seq_len": "dataset.max_seq_len",
    "loss": "dataset.loss", "dtype": "dtype",
}


def expected_keys(run: Run, name: str, value: Any, own: Mapping[str, Keys], of_data: Keys) -> Keys:
    """The config's dotted keys that a setting decides, with the values they must have.

    Args:
        own: Per setting those that a trainer calls by names of its own.
        of_data: Those that follow from the rows that train, whatever of the data section a level sets.
    """
    if name in own:
        return own[name]
    if name in _ONE_KEY:
        return {_ONE_KEY[name]: value}
    if name == "seed":
        return {"seed": value, "dataset.seed": value}
    if name in ("recipe", "allow_untested_model"):
        return {}
    if name == "warmup_ratio":
        return {"lr_scheduler.num_warmup_steps": round((value or 0) * run.steps["steps"])}
    section, _, part = name.partition(".")
    is_document = bool(run.data.get("text"))  # which has no prompt
    if section == "prompt" and part in ("date", "template"):
        return {f"tokenizer.{part}": value}
    if section == "prompt":
        return {} if is_document else {f"dataset.{part}": value}
    if section == "data":
        is_named = part in (("text",) if is_document else ("input", "output"))
        return {f"dataset.{part}_column": value, **of_data} if is_named else of_data
    return {SETTINGS[name].key or name if name in SETTINGS else name: value}
