"""The keys of a config that a setting decides, by another hand than the one that makes configs, so that one checks the other."""

from typing import Any

from ftexp.design.run import Run
from ftexp.design.settings import SETTINGS
from ftexp.trainers.recipes import is_lora

# Settings that are one key each, and nothing besides.
_ONE_KEY = {
    "lr": "optimizer.lr", "epochs": "epochs", "batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation_steps", "warmup_steps": "lr_scheduler.num_warmup_steps",
    "weight_decay": "optimizer.weight_decay", "max_grad_norm": "clip_grad_norm", "max_seq_len": "dataset.max_seq_len",
    "loss": "dataset.loss", "dtype": "dtype", "quantize_base": "model.quantize_base",
}
_ATTENTION = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "output_proj"}


def config_keys_of(run: Run, name: str, value: Any) -> dict[str, Any]:
    """The config's keys that a setting decides, with the values they must have; the other half of `training_config`.

    Written out by hand, not computed by the code that generates the config, so that one checks the other.
    """
    modules = value if isinstance(value, list) else []
    rows = {"dataset.rows": run.steps["train_rows"], "metric_logger.steps_per_epoch": run.steps["steps_per_epoch"]}
    ours = {"optimizer._component_": "ftexp.trainers.torchtune.components.master_weights.AdamW"}
    of_lora = {
        "lora_rank": {"model.lora_rank": value},
        "lora_alpha": {"model.lora_alpha": value},
        "lora_dropout": {"model.lora_dropout": value},
        "lora_modules": {
            "model.lora_attn_modules": [component for short, component in _ATTENTION.items() if short in modules],
            "model.apply_lora_to_mlp": "mlp" in modules,
            "model.apply_lora_to_output": "output" in modules,
        },
    }
    table: dict[str, dict[str, Any]] = {
        **{short: {key: value} for short, key in _ONE_KEY.items()},
        "model": {"checkpointer.checkpoint_dir": f"models/{value}", "tokenizer.path": f"models/{value}"},
        "schedule": {"lr_scheduler._component_": f"ftexp.trainers.torchtune.components.schedule.{value}_with_warmup"},
        "seed": {"seed": value, "dataset.seed": value},
        "train_size": rows,
        "steps": rows,
        "master_weights": ours if value in (True, None) else {},
        **{key: {} for key in ("recipe", "trainer", "head", "allow_untested_model")},
        **(of_lora if is_lora(run.settings["recipe"]) else {key: {} for key in of_lora}),
    }
    if name == "warmup_ratio":
        return {"lr_scheduler.num_warmup_steps": round((value or 0) * run.steps["steps"])}
    is_document = bool(run.data.get("text"))  # which has no prompt
    if name.startswith("prompt."):
        part = name.partition(".")[2]
        if part in ("date", "template"):
            return {f"tokenizer.{part}": value}
        return {} if is_document else {f"dataset.{part}": value}
    if name in (("data.text",) if is_document else ("data.input", "data.output")):
        return {f"dataset.{name.partition('.')[2]}_column": value, "dataset.file": f"data/splits/{run.training_set}/train.jsonl"}
    if name.startswith("data."):
        return {"dataset.file": f"data/splits/{run.training_set}/train.jsonl"}
    return table.get(name, {SETTINGS[name].key or name if name in SETTINGS else name: value})
