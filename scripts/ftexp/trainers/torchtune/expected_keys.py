"""The keys of a config that a setting decides, by another hand than the one that makes configs, so that one checks the other."""

from typing import Any

from ftexp.design.run import Run
from ftexp.design.settings import SETTINGS
from ftexp.trainers.recipes import is_lora


def config_keys_of(run: Run, name: str, value: Any) -> dict[str, Any]:
    """The config's keys that a setting decides, with the values they must have; the other half of `training_config`.

    Written out by hand, not computed by the code that generates the config, so that one checks the other.
    """
    lora = is_lora(run.settings["recipe"])
    modules = value if isinstance(value, list) else []
    rows = {"dataset.rows": run.steps["train_rows"], "metric_logger.steps_per_epoch": run.steps["steps_per_epoch"]}
    table: dict[str, dict[str, Any]] = {
        "model": {"checkpointer.checkpoint_dir": f"models/{value}", "tokenizer.path": f"models/{value}"},
        "lr": {"optimizer.lr": value},
        "epochs": {"epochs": value},
        "batch_size": {"batch_size": value},
        "gradient_accumulation_steps": {"gradient_accumulation_steps": value},
        "warmup_steps": {"lr_scheduler.num_warmup_steps": value},
        "max_seq_len": {"dataset.max_seq_len": value},
        "seed": {"seed": value, "dataset.seed": value},
        "loss": {"dataset.loss": value},
        "dtype": {"dtype": value},
        "train_size": rows,
        "steps": rows,
        **{key: {} for key in ("recipe", "trainer", "head", "allow_untested_model")},
    }
    if lora:
        table["lora_rank"] = {"model.lora_rank": value}
        table["lora_alpha"] = {"model.lora_alpha": value}
        attention = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "output_proj"}
        table["lora_modules"] = {
            "model.lora_attn_modules": [component for short, component in attention.items() if short in modules],
            "model.apply_lora_to_mlp": "mlp" in modules,
            "model.apply_lora_to_output": "output" in modules,
        }
    else:
        table |= {"lora_rank": {}, "lora_alpha": {}, "lora_modules": {}}
    ours = {"optimizer._component_": "ftexp.trainers.torchtune.components.master_weights.AdamW"}
    table["master_weights"] = ours if value in (True, None) else {}
    table["quantize_base"] = {"model.quantize_base": value}
    is_document = bool(run.data.get("text"))  # which has no prompt
    if name.startswith("prompt."):
        part = name.partition(".")[2]
        if part != "date" and is_document:
            return {}
        return {"tokenizer.date" if part == "date" else f"dataset.{part}": value}
    if name in (("data.text",) if is_document else ("data.input", "data.output")):
        return {f"dataset.{name.partition('.')[2]}_column": value, "dataset.file": f"data/splits/{run.training_set}/train.jsonl"}
    if name.startswith("data."):
        return {"dataset.file": f"data/splits/{run.training_set}/train.jsonl"}
    return table.get(name, {SETTINGS[name].key or name if name in SETTINGS else name: value})
