"""The keys of torchtune's configs that a setting decides, by another hand than `config`: one checks the other."""

from typing import Any

from ftexp.design.run import Run
from ftexp.trainers.expected_keys import Keys, expected_keys
from ftexp.trainers.recipes import is_lora

_ATTENTION = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "output_proj"}


def config_keys_of(run: Run, name: str, value: Any) -> Keys:
    """The config's keys that a setting decides, with the values they must have; the other half of `training_config`."""
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
    own: dict[str, Keys] = {
        "model": {"checkpointer.checkpoint_dir": f"models/{value}", "tokenizer.path": f"models/{value}"},
        "quantize_base": {"model.quantize_base": value},
        "schedule": {"lr_scheduler._component_": f"ftexp.trainers.torchtune.components.schedule.{value}_with_warmup"},
        "train_size": rows,
        "steps": rows,
        "master_weights": ours if value in (True, None) else {},
        **{key: {} for key in ("trainer", "head")},
        **(of_lora if is_lora(run.settings["recipe"]) else {key: {} for key in of_lora}),
    }
    return expected_keys(run, name, value, own, {"dataset.file": f"data/splits/{run.training_set}/train.jsonl"})
