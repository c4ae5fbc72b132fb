"""The keys of this trainer's configs that a setting decides, by another hand than `config`: one checks the other."""

from typing import Any

from ftexp.design.run import Run
from ftexp.trainers.expected_keys import Keys, expected_keys
from ftexp.trainers.recipes import is_lora


def config_keys_of(run: Run, name: str, value: Any) -> Keys:
    """The config's keys that a setting decides, with the values they must have; the other half of `training_config`."""
    rows = {"dataset.rows": run.steps["train_rows"], **_looks(run)}
    ours = {"optimizer._component_": "ftexp.trainers.master_weights.AdamW"}
    of_score = ("validation.scorer._component_", "validation.scorer.kind", "validation.max_tokens")
    of_lora = ("lora_rank", "lora_alpha", "lora_dropout", "lora_modules", "use_dora")
    own: dict[str, Keys] = {
        "model": {"model.path": f"models/{value}", "tokenizer.path": f"models/{value}"},
        "trainer": {"trainer": "transformers"},
        "schedule": {"lr_scheduler.schedule": value},
        "train_size": rows,
        "steps": rows,
        "master_weights": ours if value in (True, None) else {},
        "head": {"model.head": value, **({} if value else {"model.labels": None})},
        "validation.every": _looks(run),
        "validation.metric": {"validation.metric": value, **({} if value else dict.fromkeys(of_score))},
        **{key: {f"model.{key}": value} if is_lora(run.settings["recipe"]) else {} for key in of_lora},
    }
    return expected_keys(run, name, value, own, _files_and_labels(run))


def _looks(run: Run) -> Keys:
    """Steps from one look to the next, where there are any."""
    if not run.validation:
        return {}
    return {"validation.every_steps": max(1, round(run.validation["every"] * run.steps["steps_per_epoch"]))}


def _files_and_labels(run: Run) -> Keys:
    """What follows from a run's data."""
    folder = f"data/splits/{run.training_set}"
    of_validation = {"validation.file": f"{folder}/validation.jsonl"} if run.validation else {}
    return {"dataset.file": f"{folder}/train.jsonl", **of_validation, **({"model.labels": run.labels} if run.labels else {})}
