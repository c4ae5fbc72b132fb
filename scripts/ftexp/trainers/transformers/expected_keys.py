"""The keys of a config that a setting decides, by another hand than the one that makes configs, so that one checks the other."""

from typing import Any

from ftexp.design.run import Run
from ftexp.design.settings import SETTINGS
from ftexp.trainers.recipes import is_lora


def config_keys_of(run: Run, name: str, value: Any) -> dict[str, Any]:
    """The config's keys that a setting decides, with the values they must have; the other half of `training_config`."""
    rows = {"dataset.rows": run.steps["train_rows"], **_looks(run)}
    data = _files_and_labels(run)
    table: dict[str, dict[str, Any]] = {
        "model": {"model.path": f"models/{value}", "tokenizer.path": f"models/{value}"},
        "trainer": {"trainer": "transformers"},
        "lr": {"optimizer.lr": value},
        "epochs": {"epochs": value},
        "batch_size": {"batch_size": value},
        "gradient_accumulation_steps": {"gradient_accumulation_steps": value},
        "schedule": {"lr_scheduler.schedule": value},
        "warmup_steps": {"lr_scheduler.num_warmup_steps": value},
        "weight_decay": {"optimizer.weight_decay": value},
        "max_grad_norm": {"clip_grad_norm": value},
        "max_seq_len": {"dataset.max_seq_len": value},
        "seed": {"seed": value, "dataset.seed": value},
        "loss": {"dataset.loss": value},
        "dtype": {"dtype": value},
        "train_size": rows,
        "steps": rows,
        "recipe": {},
        "head": {"model.head": value, **({} if value else {"model.labels": None})},
        "allow_untested_model": {},
    }
    for of_lora in ("lora_rank", "lora_alpha", "lora_dropout", "lora_modules", "use_dora"):
        table[of_lora] = {f"model.{of_lora}": value} if is_lora(run.settings["recipe"]) else {}
    ours = {"optimizer._component_": "ftexp.trainers.master_weights.AdamW"}
    table["master_weights"] = ours if value in (True, None) else {}
    if name == "warmup_ratio":
        return {"lr_scheduler.num_warmup_steps": round((value or 0) * run.steps["steps"])}
    is_document = bool(run.data.get("text"))  # which has no prompt
    if name.startswith("prompt."):
        part = name.partition(".")[2]
        if part in ("date", "template"):
            return {f"tokenizer.{part}": value}
        return {} if is_document else {f"dataset.{part}": value}
    if name in (("data.text",) if is_document else ("data.input", "data.output")):
        return {f"dataset.{name.partition('.')[2]}_column": value, **data}
    if name.startswith("data."):
        return data
    if name == "validation.every":
        return _looks(run)
    if name == "validation.metric":
        of_score = ("validation.scorer._component_", "validation.scorer.kind", "validation.max_tokens")
        return {"validation.metric": value, **({} if value else dict.fromkeys(of_score))}
    if name.startswith("validation."):
        return {name: value}
    return table.get(name, {SETTINGS[name].key or name if name in SETTINGS else name: value})


def _looks(run: Run) -> dict[str, Any]:
    """Steps from one look to the next, where there are any."""
    if not run.validation:
        return {}
    return {"validation.every_steps": max(1, round(run.validation["every"] * run.steps["steps_per_epoch"]))}


def _files_and_labels(run: Run) -> dict[str, Any]:
    """What follows from a run's data."""
    folder = f"data/splits/{run.training_set}"
    of_validation = {"validation.file": f"{folder}/validation.jsonl"} if run.validation else {}
    return {"dataset.file": f"{folder}/train.jsonl", **of_validation, **({"model.labels": run.labels} if run.labels else {})}
