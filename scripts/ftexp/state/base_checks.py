"""What was found of base models, remembered: a base is looked at once per experiment, by whoever comes first.

Reads and writes .scratch/bases/.
"""

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.filesystem import read_mapping, sha256_file, sha256_json, write_json
from ftexp.state.code_version import part_of
from ftexp.state.work import Work
from ftexp.trainers import base_check
from ftexp.trainers.base_check import BaseCheck, check_base
from ftexp.trainers.choice import name_of_trainer, trainer_of
from ftexp.trainers.interface import Config

# What decides a model's logits besides the files, the config and the code.
_PACKAGES = ("torch", "transformers", "torchtune", "torchao", "peft")
_KEYS = ("loss", "rows", "vocabulary", "apart", "rounding")


def place_of(work: Work, run: Run, config: Config) -> Path:
    """Where it is written what was found of a run's base, as the present code and packages make it of these files."""
    of_adapter = ("lora_", "apply_lora", "quantize_", "use_dora")
    model = {key: value for key, value in config["model"].items() if not key.startswith(of_adapter)}
    facts: dict[str, Any] = {
        "files": work.inputs_of.model_files(run.settings["model"]),
        "trainer": name_of_trainer(run), "model": model, "type": config.get("checkpointer", {}).get("model_type"),
        "code": [work.code[part_of(run, "train")], sha256_file(Path(base_check.__file__))],
        "packages": {name: version(name) for name in _PACKAGES},
    }
    return paths.BASE_CHECKS_DIR / f"{sha256_json(facts)[:24]}.json"


def remembered(place: Path) -> BaseCheck | None:
    """What was found already; None where nothing was."""
    found = read_mapping(place, _KEYS)
    return BaseCheck(**{key: found[key] for key in _KEYS}) if found else None


def check_and_remember(run: Run, config: Config, place: Path) -> BaseCheck:
    """Compare, and write down what was found."""
    found = check_base(trainer_of(run), run, config)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_json(place, asdict(found))
    return found
