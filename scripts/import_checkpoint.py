"""Makes a checkpoint of nanoGPT's a base model like any other: a folder in Hugging Face layout.

Reads CKPT, a ckpt.pt, and TOKENIZER, a folder with its tokenizer's files; these and NAME in the environment.
Writes models/<NAME>/: config.json, model.safetensors, tokenizer, generation_config.json.
Command: make import CKPT=<ckpt.pt> NAME=<name> TOKENIZER=<folder> (python scripts/import_checkpoint.py, these in the environment)
"""

import os
from pathlib import Path

from ftexp.design.settings import check_setting
from ftexp.ground import paths
from ftexp.ground.errors import Findings, UserError, run_command
from ftexp.models.config_json import read_model_config
from ftexp.models.nanogpt import import_checkpoint

_CHARACTERS = "Of a model of characters docs/nanogpt.md of the template says how one is made; meta.pkl is a pickle, and not read."
# What each variable is, for the message where it is not given.
_WANTED = {
    "CKPT": "the checkpoint that nanoGPT wrote: CKPT=out/ckpt.pt.",
    "NAME": "what the model is to be called: NAME=mine.",
    "TOKENIZER": f"the folder of the tokenizer that the model was trained by, for example one with GPT-2's. {_CHARACTERS}",
}


def main(arguments: list[str]) -> int:
    """Import one checkpoint, and say what it is."""
    paths.require_experiment()
    given = {name: os.environ.get(name, "") for name in _WANTED}
    found = Findings("make import")
    for name in (name for name in _WANTED if not given[name]):
        found.add(name, "is not given", f"Name {_WANTED[name]}")
    if given["NAME"] and check_setting("model", given["NAME"]):
        found.add("NAME", str(check_setting("model", given["NAME"])), "Choose another.")
    found.raise_if_any()
    tokenizer = Path(given["TOKENIZER"]).expanduser()
    if not paths.MODELS_LINK.is_dir():
        raise UserError(f"{paths.MODELS_LINK}: is not there. Run `make setup` first.")
    if not tokenizer.is_dir():
        raise UserError(f"TOKENIZER: there is no folder {tokenizer}. {_CHARACTERS}")
    target = paths.model_dir(given["NAME"])
    print(import_checkpoint(Path(given["CKPT"]).expanduser(), tokenizer, target).in_words())
    read_model_config(target)
    print(f"{target} is a model like any other: model: {given['NAME']} in experiment.yaml")
    return 0


if __name__ == "__main__":
    run_command(main)
