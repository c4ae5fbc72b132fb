"""How a model turns positions (RoPE), by config.json: by transformers 4's keys, `rope_theta` and `rope_scaling`, or by 5's.

transformers 5 writes one mapping, `rope_parameters`; 4.57 reads nothing of it and takes 10,000 without a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftexp.ground.errors import Findings

DEFAULT_THETA = 10_000.0  # of every class of both generations, where a file says nothing


@dataclass(frozen=True)
class Rope:
    """The base, and how frequencies are scaled: a `rope_type` with its numbers, or None."""

    theta: float = DEFAULT_THETA
    scaling: Mapping[str, Any] | None = None


def read_rope(content: Mapping[str, Any], found: Findings) -> Rope:
    """What config.json says in either generation's keys, or in both, which must be the same.

    Args:
        content: config.json.
        found: Gets what is wrong.
    """
    said = {key: content[key] for key in ("rope_scaling", "rope_parameters") if content.get(key) is not None}
    if not all([_is_flat(key, value, found) for key, value in said.items()]):
        return Rope()
    thetas = {f"{key}.rope_theta": value["rope_theta"] for key, value in said.items() if value.get("rope_theta") is not None}
    if content.get("rope_theta") is not None:
        thetas["rope_theta"] = content["rope_theta"]
    for key, theta in thetas.items():
        if not is_number(theta):
            found.add(key, f"must be a number above 0, got {theta!r}", "Correct it.")
    scalings = {key: _scaling(key, value, found) for key, value in said.items()}
    if not found.messages:
        _check_same(thetas, found)
        _check_same(scalings, found)
    if found.messages:
        return Rope()
    if not thetas and ("rope_theta" in content or any("rope_theta" in value for value in said.values())):
        cure = "Write the model's own; 10000.0 is what transformers takes where there is no such key."
        found.add("rope_theta", "must be a number above 0, got null", cure)
    return Rope(float(next(iter(thetas.values()), DEFAULT_THETA)), next(iter(scalings.values()), None))


def _is_flat(key: str, value: Any, found: Findings) -> bool:
    """Whether the value is one mapping of numbers and words, for all layers."""
    if not isinstance(value, dict):
        found.add(key, f"must be a mapping or null, got {value!r}", "Take config.json from where the model is published.")
        return False
    nested = [name for name, inner in value.items() if isinstance(inner, dict)]
    if nested:
        what = "is RoPE for one kind of layers, and the models that are supported have one for all"
        found.add(f"{key}.{nested[0]}", what, "Choose another model.")
    return not nested


def _scaling(key: str, value: Mapping[str, Any], found: Findings) -> dict[str, Any] | None:
    """The mapping without the base and without what is the same as nothing, its type called `rope_type`."""
    own = ("rope_theta", "type", "rope_type")
    rest = {name: inner for name, inner in value.items() if name not in own and inner is not None}
    said = [value[name] for name in ("rope_type", "type") if name in value]
    names = {name if isinstance(name, str) else repr(name) for name in said}
    if len(names) > 1:
        found.add(key, f"has rope_type and type, and they differ: {', '.join(sorted(names))}", "Keep the right one.")
    if rest.get("partial_rotary_factor") == 1 and not isinstance(rest["partial_rotary_factor"], bool):
        del rest["partial_rotary_factor"]
    kind = min(names, default="default" if key == "rope_parameters" else "")
    if not kind:
        found.add(key, f"has no rope_type, got {dict(value)}", "Add it, or set the key to null where there is no scaling.")
    if kind != "default":
        return {"rope_type": kind, **rest}
    if rest:
        what = f"{next(iter(rest))} stands beside the type default, which has nothing of the kind"
        found.add(key, f"{what}, got {dict(value)}", "Name the right rope_type, or take it out.")
    return None


def _check_same(said: Mapping[str, Any], found: Findings) -> None:
    """Both generations' keys say one thing."""
    values = list(said.values())
    if any(value != values[0] for value in values):
        each = ", ".join(f"{key} {'nothing' if value is None else value}" for key, value in said.items())
        found.add(next(iter(said)), f"the keys of transformers 4 and 5 differ: {each}", "Keep the right one.")


def is_number(value: Any) -> bool:
    """Whether a value of config.json is a finite number above 0, of a size that computers reckon with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e300
