"""What `tune validate` (torchtune 0.6.1) says of a config, in some words."""

from typing import Any

import torchtune.config
from omegaconf import OmegaConf
from torchtune.config._errors import ConfigError, InstantiationError

ACCEPTED = "accepts it"
LONGEST = 80


def torchtune_verdict(config: dict[str, Any]) -> str:
    """`accepts it`, or how it refuses it."""
    try:
        torchtune.config.validate(OmegaConf.create(config))
    except (ConfigError, InstantiationError) as error:
        return f"refuses it: {' '.join(str(error).split())[:LONGEST]}"
    return ACCEPTED
