"""The short names of what a run is made of: the one table that documents, checks and abbreviates them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ftexp.design.sections import ALL
from ftexp.ground.errors import suggestion
from ftexp.models.reading import ALLOW_UNTESTED

# The factor whose levels are replicates of a cell.
SEED = "seed"
LORA_MODULES = ("q", "k", "v", "o", "mlp", "output")
LOSSES = ("completion", "full")
SCHEDULES = ("cosine", "linear", "constant")
MASTER_WEIGHTS = "master_weights"
# Who can train.
TORCHTUNE, TRANSFORMERS = TRAINERS = ("torchtune", "transformers")
# Settings that a run has only where they are not the default.
IF_SET = (
    "lora_dropout", "weight_decay", "warmup_ratio", "max_grad_norm", "quantize_base", MASTER_WEIGHTS, "use_dora", "trainer",
    "head", ALLOW_UNTESTED,
)
CLASSIFICATION = "classification"
# Precisions, and their bytes a number.
DTYPES = {"fp32": 4, "bf16": 2}
RECIPES = (
    "lora_finetune_single_device",
    "full_finetune_single_device",
    "lora_finetune_distributed",
    "full_finetune_distributed",
)
# torchtune seeds numpy, which takes 32 bits; no other number needs more.
LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Setting:
    """One short name.

    Attributes:
        abbreviation: What stands before its level in a run's id.
        wants: What a value must be, in words, for the message.
        accepts: Whether a value is one.
        default: The value where nobody sets it; None means derived or absent.
        meaning: One line for the documentation.
        key: The key of torchtune's config that it sets, where that is all it does (one of LoRA's where there is LoRA).
        values: All that it may be, where these are few: `all` stands for them where its levels are wanted.
    """

    abbreviation: str
    wants: str
    accepts: Callable[[Any], bool]
    default: Any
    meaning: str
    key: str = ""
    values: tuple[Any, ...] = ()


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def _positive_whole(value: Any) -> bool:
    return _is_whole(value) and value > 0


def _not_negative_whole(value: Any) -> bool:
    return _is_whole(value) and value >= 0


def _positive_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LARGEST


def _not_negative_number(value: Any) -> bool:
    return (value == 0 and not isinstance(value, bool)) or _positive_number(value)


def _part_of_one(value: Any) -> bool:
    return _not_negative_number(value) and value < 1


def _count_or_share(value: Any) -> bool:
    """A number of rows, or a share of them, which has a decimal point: 1 is one row, 1.0 all rows."""
    return _positive_whole(value) or (isinstance(value, float) and 0 < value <= 1)


def _nullable(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or accepts(value)


def _folder_name(value: Any) -> bool:
    """A folder below `models`, at most two deep (`org/name`)."""
    if not isinstance(value, str) or not value:
        return False
    parts = value.split("/")
    return len(parts) <= 2 and all(
        part and len(part) <= 96 and part.isprintable() and not part.startswith((".", "-", "~")) for part in parts
    ) and "${" not in value  # which DVC and OmegaConf read as a reference


def _lora_modules(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(v in LORA_MODULES for v in value)
        and len(set(value)) == len(value) and any(v in ("q", "k", "v", "o") for v in value)
    )


def _one_of(abbreviation: str, words: tuple[str, ...], default: str | None, meaning: str) -> Setting:
    """A setting of a few words."""
    wants = f"one of {', '.join(words)}" if len(words) > 2 else " or ".join(words)
    return Setting(abbreviation, wants, lambda value: isinstance(value, str) and value in words, default, meaning, values=words)


def _switch(abbreviation: str, meaning: str) -> Setting:
    """A setting that is off where nobody sets it."""
    values = (False, True)
    return Setting(abbreviation, "true or false", lambda value: isinstance(value, bool), False, meaning, values=values)


_WHOLE = "a whole number above 0, below 2^31"
SETTINGS: dict[str, Setting] = {
    "model": Setting("", "the name of a folder in models/", _folder_name, None, "base model: its folder in models/"),
    "trainer": _one_of(
        "", TRAINERS, None, "who trains: derived: torchtune where it has the model and what is asked, else transformers",
    ),
    "recipe": _one_of("", RECIPES, RECIPES[0], "what is trained, on how many devices"),
    "head": Setting(
        "head-", f"{CLASSIFICATION} or null", lambda value: value in (None, CLASSIFICATION), None,
        "classification: a classifier over the labels of the training rows, in place of generated text; by transformers",
        values=(None, CLASSIFICATION),
    ),
    "lora_rank": Setting("r", _WHOLE, _positive_whole, 8, "rank of the LoRA matrices", key="model.lora_rank"),
    "lora_alpha": Setting(
        "a", "a number above 0", _positive_number, None, "LoRA's scale; derived: 2 x lora_rank", key="model.lora_alpha",
    ),
    "lora_dropout": Setting(
        "d", "a number from 0, below 1, or null", _nullable(_part_of_one), None,
        "share of the inputs of LoRA matrices that a step leaves out; null: none", key="model.lora_dropout",
    ),
    "lora_modules": Setting(
        "", f"a list out of {', '.join(LORA_MODULES)}, one of q, k, v, o among them", _lora_modules,
        ["q", "k", "v", "o", "mlp"], "layers that get LoRA matrices",
    ),
    "use_dora": _switch("dora-", "DoRA, which learns a size for each row; transformers trains"),
    "lr": Setting("lr", "a number above 0", _positive_number, 3e-4, "peak learning rate", key="optimizer.lr"),
    "schedule": _one_of(
        "", SCHEDULES, SCHEDULES[0],
        "of the learning rate after the warm-up: half a cosine to 0, a line to 0, or lr as it is",
    ),
    "epochs": Setting("e", _WHOLE, _positive_whole, 1, "passes over the training rows"),
    "batch_size": Setting("b", _WHOLE, _positive_whole, 8, "rows per forward pass"),
    "gradient_accumulation_steps": Setting("g", _WHOLE, _positive_whole, 1, "forward passes per optimiser step"),
    "warmup_steps": Setting(
        "w", "a whole number, 0 or above, below 2^31", _not_negative_whole, None,
        "steps of linear warm-up; derived: min(100, 10 % of the steps)", key="lr_scheduler.num_warmup_steps",
    ),
    "warmup_ratio": Setting(
        "wr", "a number from 0, below 1, or null", _nullable(_part_of_one), None,
        "instead of warmup_steps: their share of the steps, rounded to the nearest step (a half to the even number)",
    ),
    "weight_decay": Setting(
        "wd", "a number, 0 or above, or null", _nullable(_not_negative_number), None,
        "AdamW's; null: 0.01, or what torchtune ships for the recipe and the model", key="optimizer.weight_decay",
    ),
    "max_grad_norm": Setting(
        "c", "a number above 0, or null", _nullable(_positive_number), None,
        "the gradient's norm is clipped to it; null: it is not", key="clip_grad_norm",
    ),
    "max_seq_len": Setting(
        "l", f"{_WHOLE}, or null", _nullable(_positive_whole), None,
        "longest row in tokens; a longer row is an error, never cut",
    ),
    "seed": Setting("s", "a whole number, 0 or above, below 2^31", _not_negative_whole, 0, "initialisation and data order"),
    "train_size": Setting(
        "n", "a whole number of rows above 0, below 2^31; a share above 0, at most 1, with a decimal point (1.0); or null",
        _nullable(_count_or_share), None,
        "the first n training rows of the split's order, or a share of them, rounded to the nearest row (a half to the even "
        "number); null: all",
    ),
    "loss": _one_of("", LOSSES, LOSSES[0], "tokens that are trained: the answer's, or all"),
    "dtype": _one_of(
        "", tuple(DTYPES), "bf16",
        "precision of training and evaluation; LoRA matrices and the optimizer's state of them are fp32 in either",
    ),
    MASTER_WEIGHTS: _switch(
        "master-",
        "of a full fine-tune in bf16: AdamW keeps the weights in fp32 beside the model's, and its state, 12 bytes a parameter",
    ),
    "quantize_base": _switch(
        "nf4-", "QLoRA: the base's matrices hold 4 bits a number, in training and in evaluation",
    ),
    ALLOW_UNTESTED: _switch(
        "untested-",
        "a model that is not among those that are tested, or whose config.json says something that is not: the results say so",
    ),
}

# Recipes of torchtune's that are not taken, by a part of their names, and why.
REFUSED_RECIPES = {
    "qat": "quantisation-aware training rounds weights that evaluation does not round, so that two models would be compared",
    "dpo": "it learns from preferences, and what is measured here is learned from answers",
    "ppo": "it learns from rewards, and what is measured here is learned from answers",
    "knowledge_distillation": "it needs a second model beside the one that is trained",
}
# What decides a control's answers: it is one fixed model, so nothing of the training does.
CONTROL_SETTINGS = ("model", "dtype", "quantize_base")


# What other programs call our settings.
_OTHER_NAMES = {
    "learning_rate": "lr", "rank": "lora_rank", "alpha": "lora_alpha", "target_modules": "lora_modules", "num_epochs": "epochs",
    "num_train_epochs": "epochs", "per_device_train_batch_size": "batch_size", "max_length": "max_seq_len",
    "precision": "dtype", "base_model": "model", "load_in_4bit": "quantize_base", "dora": "use_dora",
    "lr_scheduler_type": "schedule", "lr_scheduler": "schedule", "scheduler": "schedule", "dropout": "lora_dropout",
    "grad_clip": "max_grad_norm", "max_norm": "max_grad_norm", "gradient_clipping": "max_grad_norm",
    "warmup_proportion": "warmup_ratio",
}


def levels_meant(name: str, levels: Any) -> Any:
    """The levels of a factor as they are written, or all values of a setting where that is what `all` says."""
    return list(SETTINGS[name].values) if levels == ALL and name in SETTINGS and SETTINGS[name].values else levels


def where_all() -> str:
    """Where `all` may stand, as the cure of a message."""
    return f"'{ALL}' stands for the levels of {', '.join(name for name, setting in SETTINGS.items() if setting.values)}"


def suggest_setting(name: str, known: Iterable[str]) -> str:
    """The setting that is meant by `name`, as other programs call it or as it is nearly written, or all that are known."""
    return f"Did you mean '{_OTHER_NAMES[name]}'?" if name in _OTHER_NAMES else suggestion(name.rsplit(".", 1)[-1], known)


def check_setting(name: str, value: Any) -> str | None:
    """What is wrong with `value` for the short name `name`, in words; None where it is right."""
    setting = SETTINGS[name]
    if setting.accepts(value):
        return None
    if name == "recipe" and isinstance(value, str) and refused_recipe(value):
        return f"is refused, because {refused_recipe(value)}, got {value!r}"
    return f"must be {setting.wants}, got {value!r}"


def refused_recipe(recipe: str) -> str | None:
    """Why a recipe of torchtune's is not taken; None where nothing is known against it."""
    return next((why for part, why in REFUSED_RECIPES.items() if part in recipe.split("_") or recipe.startswith(part)), None)


def is_quantized(settings: Mapping[str, Any]) -> bool:
    """Whether a run's base is quantised, in training and in evaluation."""
    return bool(settings.get("quantize_base"))
