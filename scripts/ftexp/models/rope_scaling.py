"""A scaling of RoPE's frequencies as config.json writes it: its type, its numbers, and nothing that the type does not read."""

from collections.abc import Mapping
from typing import Any

from ftexp.models.kinds import LONGROPE, Kind
from ftexp.models.reading import Reading

# What transformers 4.57 reads of each type: what must be there, and what may.
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "linear": ("factor",), "dynamic": ("factor",), "yarn": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
    LONGROPE: ("short_factor", "long_factor"),
}
_OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "yarn": ("attention_factor", "beta_fast", "beta_slow", "original_max_position_embeddings", "mscale", "mscale_all_dim",
             "truncate"),
}
# Beside the scaling in one mapping; `rope` reads partial_rotary_factor and the trained length, for the kinds that have them.
_OWN = ("rope_theta", "type", "rope_type")
_OF_PHI3 = ("partial_rotary_factor", "original_max_position_embeddings")
_CORRECT = "Take config.json from where the model is published."


def read_scaling(key: str, value: Mapping[str, Any], kind: Kind, found: Reading) -> dict[str, Any] | None:
    """The mapping without the base and without what is the same as nothing, its type called `rope_type`; None: no scaling.

    Args:
        key: Its key in config.json, for messages.
        kind: Which scalings its class computes.
        found: Gets what is wrong, and what is not tested.
    """
    own = (*_OWN, *(_OF_PHI3 if kind.has_partial_rope else ()))
    rest = {name: inner for name, inner in value.items() if name not in own and inner is not None}
    if rest.get("partial_rotary_factor") == 1 and not isinstance(rest["partial_rotary_factor"], bool):
        del rest["partial_rotary_factor"]
    said = [value[name] for name in ("rope_type", "type") if name in value]
    names = sorted({name if isinstance(name, str) else repr(name) for name in said})
    scaling = min(names, default="default" if key.startswith("rope_parameters") else "")
    if len(names) > 1:
        found.add(key, f"has rope_type and type, and they differ: {', '.join(names)}", "Keep the right one.")
        return None
    if not scaling:
        found.add(key, f"has no rope_type, got {dict(value)}", "Add it, or set the key to null where there is no scaling.")
        return None
    if scaling == "default":
        if rest:
            what = f"{next(iter(rest))} stands beside the type default, which has nothing of the kind"
            found.add(key, f"{what}, got {dict(value)}", "Name the right rope_type, or take it out.")
        return None
    if scaling not in kind.scalings:
        has = f"one of {', '.join(kind.scalings)}"
        found.other(key, f"must have the rope_type default or {has} in a {kind.name}, got {scaling}", "Choose another model.")
        return None
    _check_numbers(key, scaling, rest, found)
    return {"rope_type": scaling, **rest}


def _check_numbers(key: str, scaling: str, rest: Mapping[str, Any], found: Reading) -> None:
    """What the type reads is there and is a number; it reads nothing else."""
    needed, optional = _NEEDED[scaling], _OPTIONAL.get(scaling, ())
    for name in needed:
        if name not in rest:
            found.add(f"{key}.{name}", f"must be there for the rope_type {scaling}, got nothing", _CORRECT)
    for name, value in rest.items():
        if name not in (*needed, *optional):
            what = f"is nothing that the rope_type {scaling} has, so that it may shape the model unread, got {value!r}"
            found.other(f"{key}.{name}", what, "If it does not, take it out of a copy of the file; else choose another model.")
        elif name == "truncate":
            if not isinstance(value, bool):
                found.add(f"{key}.{name}", f"must be true or false, got {value!r}", _CORRECT)
        elif name in _NEEDED[LONGROPE]:
            if not isinstance(value, list) or not all(map(is_number, value)):
                found.add(f"{key}.{name}", f"must be a list of numbers above 0, got {value!r}", _CORRECT)
        elif not is_number(value):
            found.add(f"{key}.{name}", f"must be a number above 0, got {value!r}", _CORRECT)
        elif name == "factor" and value <= 1:
            found.add(f"{key}.{name}", f"must be above 1, which scales nothing, got {value!r}", "Correct it, or take it out.")


def is_number(value: Any) -> bool:
    """Whether a value of config.json is a finite number above 0, of a size that computers reckon with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e300
