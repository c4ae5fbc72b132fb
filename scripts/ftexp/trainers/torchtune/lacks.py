"""What torchtune 0.6.1 does not have, of all that a run may ask."""

import functools
from pathlib import Path

from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import identity
from ftexp.models.config_json import read_model_config
from ftexp.trainers.interface import Lack
from ftexp.trainers.torchtune.families import NotInTorchtune, family_of

NAME = "torchtune 0.6.1"


def lack_of(run: Run) -> Lack | None:
    """What of a run it does not have; None where it has all, or the model is not known."""
    if run.settings.get("use_dora"):
        why = "exports DoRA adapters wrongly, so that another model would be evaluated than was trained"
        return Lack(NAME, "use_dora", why)
    if run.settings.get("head"):
        return Lack(NAME, "head", "trains no classifier")
    if run.validation:
        return Lack(NAME, "validation", "has no validation")
    file = paths.model_dir(run.settings["model"]) / "config.json"
    why_not = _lack_of_model(file.absolute(), tuple(identity(file))) if file.is_file() else None
    return Lack(NAME, "model", why_not) if why_not else None


@functools.cache
def _lack_of_model(file: Path, as_it_is: tuple[int, ...]) -> str | None:
    """What it lacks for a base model; None too where its folder is not usable, which is a message of its own.

    Args:
        file: Its config.json.
        as_it_is: The file's identity, because it may change.
    """
    try:
        family_of(read_model_config(file.parent))
    except NotInTorchtune as lack:
        return lack.lacks
    except UserError:
        return None
    return None
