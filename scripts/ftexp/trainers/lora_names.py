"""The matrices that LoRA adapts, by their roles: one name each, whatever a trainer or a library calls them."""

from collections.abc import Sequence

MLP = ("gate", "up", "down")
OUTPUT = "output"


def roles_of(modules: Sequence[str]) -> tuple[str, ...]:
    """The matrices that `lora_modules` names: q, k, v, o; gate, up and down for `mlp`; the output layer."""
    return tuple(role for name in modules for role in (MLP if name == "mlp" else (name,)))
