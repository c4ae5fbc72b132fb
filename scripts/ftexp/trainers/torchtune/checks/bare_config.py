"""A config of torchtune's that belongs to no experiment, checked for the recipe that fits it. Reads the file; writes nothing."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftexp.design.settings import RECIPES
from ftexp.ground.errors import UserError, suggestion
from ftexp.trainers.recipes import is_lora
from ftexp.trainers.torchtune.checks.checkpoint_check import check_checkpoint
from ftexp.trainers.torchtune.checks.config_check import check_config, check_paths
from ftexp.trainers.torchtune.checks.recipe_keys import recipe_keys, recipes
from ftexp.trainers.torchtune.checks.support import known_faults, refusals
from ftexp.trainers.torchtune.checks.trial import build_model, check_parts


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a config, as read by a recipe."""

    recipe: str
    errors: list[str]
    warnings: list[str]


def check_file(path: Path, recipe: str | None = None) -> Verdict:
    """Check a config, its files, and the checkpoint that it names.

    Args:
        path: The config.
        recipe: The recipe that is to read it; where it is not named, the one that the file's own comments run it with
            (`# tune run <recipe> --config ...`, as in every config that torchtune ships), or the supported one that fits best.

    Raises:
        UserError: If the file is not there or no config, or there is no such recipe.
    """
    config = _read(path)
    if recipe is not None and recipe not in recipes():
        raise UserError(f"RECIPE: torchtune ships no recipe '{recipe}'. {suggestion(recipe, recipes())}")
    recipe = recipe or _recipe_in_comments(path) or min(RECIPES, key=lambda name: _misfit(config, name))
    errors = [*refusals(config, recipe), *check_config(config, recipe)]
    built: dict[str, Any] = {}
    if not errors:
        built, problems = build_model(config)
        errors += [*check_parts(config), *problems]
    errors += check_paths(config)
    return Verdict(recipe, errors or _check_weights(config, built), known_faults(config, recipe))


def _check_weights(config: dict[str, Any], built: dict[str, Any]) -> list[str]:
    """The checkpoint against the model, where it lies in a folder of Hugging Face's layout."""
    section = config.get("checkpointer", {})
    folder, files = section.get("checkpoint_dir"), section.get("checkpoint_files")
    is_readable = isinstance(files, list) and all(str(name).endswith(".safetensors") for name in files)
    if not is_readable or not (Path(str(folder)) / "config.json").is_file():
        return []
    return check_checkpoint(config, built)


def _recipe_in_comments(path: Path) -> str | None:
    """The recipe, if the comments name one and no other."""
    named = set(re.findall(r"^#+ *tune run (?:--\S+ \S+ )*(\w+) --config", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
    return named.pop() if len(named) == 1 and named <= set(recipes()) else None


def _misfit(config: dict[str, Any], recipe: str) -> tuple[bool, int]:
    """How badly a recipe fits: by LoRA matrices that one has and the other has not, then by keys not read or missing."""
    keys = recipe_keys(recipe)
    model = config.get("model")
    component = str(model.get("_component_", "")) if isinstance(model, dict) else ""
    has_lora = component.rpartition(".")[2].startswith(("lora_", "qlora_"))
    top = {key.split(".")[0] for key in keys.read}
    return has_lora != is_lora(recipe), len(set(config) - top) + len({k for k in keys.required if k not in config})


def _read(path: Path) -> dict[str, Any]:
    """The file as torchtune reads it, `${...}` in place."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    if not path.is_file():
        raise UserError(f"{path}: there is no such file. Name a config of torchtune's.")
    try:
        config = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: not readable as a config: {str(error).splitlines()[0]}. Correct the YAML.") from error
    if not isinstance(config, dict):
        raise UserError(f"{path}: must be a mapping of keys such as model, tokenizer, dataset, got {type(config).__name__}.")
    return {str(key): value for key, value in config.items()}
