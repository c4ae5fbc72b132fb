"""Mappings in mappings, by dotted keys."""

from typing import Any


def value_at(config: Any, key: str) -> Any:
    """The value under a dotted key; None where there is none."""
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            return None
        config = config[part]
    return config


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value by its dotted key."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
