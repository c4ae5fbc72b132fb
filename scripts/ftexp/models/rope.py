"""How a model turns positions (RoPE), by config.json: by transformers 4's keys, `rope_theta` and `rope_scaling`, or by 5's.

transformers 5 writes one mapping, `rope_parameters`; 4.57 reads nothing of it and takes its class's base without a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftexp.models.kinds import Kind
from ftexp.models.reading import Reading
from ftexp.models.rope_scaling import is_number, read_scaling

FULL, SLIDING = "full_attention", "sliding_attention"
# Keys of rope_parameters that are no scaling: of Phi-3's, for which transformers 4 has keys of config.json.
SHARE, TRAINED = "partial_rotary_factor", "original_max_position_embeddings"
_PUBLISHED = "Take config.json from where the model is published."


@dataclass(frozen=True)
class Rope:
    """How positions are turned.

    Attributes:
        theta: The base; local_theta: that of layers with a window, where they have their own.
        scaling: How frequencies are scaled: a `rope_type` with its numbers, or None.
        share: Of a head's dimensions, how much is turned.
        trained: Tokens of the texts of the first training, which longrope's numbers depend on; None where nothing does.
    """

    theta: float = 10_000.0
    scaling: Mapping[str, Any] | None = None
    local_theta: float | None = None
    share: float = 1.0
    trained: int | None = None


def read_rope(content: Mapping[str, Any], kind: Kind, found: Reading) -> Rope:
    """What config.json says in either generation's keys, or in both, which must be the same.

    Args:
        content: config.json.
        kind: What its class takes for what is absent.
        found: Gets what is wrong.
    """
    said = {key: content[key] for key in ("rope_scaling", "rope_parameters") if content.get(key) is not None}
    local = _split_local(said, kind, found)
    if not all([_is_flat(key, value, found) for key, value in said.items()]):
        return Rope()
    rope = Rope(
        theta=_number("rope_theta", content, said, kind.theta, found),
        local_theta=_local_theta(content, local, kind, found),
        share=_number(SHARE, content, said, 1.0, found) if kind.has_partial_rope else 1.0,
        trained=_trained(content, said, found) if kind.has_partial_rope else None,
        scaling=_one_scaling(said, kind, found),
    )
    if rope.share > 1:
        found.add(SHARE, f"must be a number above 0, at most 1, got {rope.share}", _PUBLISHED)
    return rope


def _split_local(said: dict[str, Any], kind: Kind, found: Reading) -> Mapping[str, Any]:
    """Where a kind has RoPE for two kinds of layers: takes the mapping of those with a window out, and leaves the other's."""
    both = said.get("rope_parameters")
    if kind.local_theta is None or not isinstance(both, dict):
        return {}
    full, local = both.get(FULL), both.get(SLIDING)
    if set(both) - {FULL, SLIDING} or not isinstance(full, dict) or not isinstance(local, dict):
        what = f"must have a mapping for {FULL} and one for {SLIDING}, as every {kind.name}, got {both}"
        found.add("rope_parameters", what, _PUBLISHED)
        del said["rope_parameters"]
        return {}
    said["rope_parameters"] = full
    if read_scaling(f"rope_parameters.{SLIDING}", local, kind, found):
        found.add(f"rope_parameters.{SLIDING}", f"must have the rope_type default, got {local}", "Choose another model.")
    return dict(local)


def _local_theta(content: Mapping[str, Any], local: Mapping[str, Any], kind: Kind, found: Reading) -> float | None:
    if kind.local_theta is None:
        return None
    given = {"rope_local_base_freq": content["rope_local_base_freq"]} if "rope_local_base_freq" in content else {}
    given |= {f"rope_parameters.{SLIDING}.rope_theta": local["rope_theta"]} if "rope_theta" in local else {}
    return _agreed(given, kind.local_theta, found)


def _number(name: str, content: Mapping[str, Any], said: Mapping[str, Any], absent: float, found: Reading) -> float:
    """A number that stands by itself in transformers 4's keys, and in a mapping in 5's; `absent` where it is in neither."""
    given = {f"{key}.{name}": value[name] for key, value in said.items() if name in value}
    return _agreed({**given, **({name: content[name]} if name in content else {})}, absent, found)


def _agreed(given: Mapping[str, Any], absent: float, found: Reading) -> float:
    """The one number that all say who say something."""
    values = {key: value for key, value in given.items() if value is not None}
    wrong = {key: value for key, value in values.items() if not is_number(value)}
    for key, value in wrong.items():
        found.add(key, f"must be a number above 0, got {value!r}", "Correct it.")
    if given and not values:
        cure = f"Write the model's own; {absent} is what transformers takes where there is no such key."
        found.add(list(given)[-1], "must be a number above 0, got null", cure)
    if wrong or not values:
        return absent
    _check_same(values, found)
    return float(next(iter(values.values())))


def _trained(content: Mapping[str, Any], said: Mapping[str, Any], found: Reading) -> int:
    """`original_max_position_embeddings`; 4096 is what Phi-3's class takes where there is none."""
    number = _number(TRAINED, content, said, 4096.0, found)
    if number != int(number):
        found.add(TRAINED, f"must be a whole number, got {number}", "Correct it.")
    return int(number)


def _one_scaling(said: Mapping[str, Any], kind: Kind, found: Reading) -> Mapping[str, Any] | None:
    before = len(found.messages)
    scalings = {key: read_scaling(key, value, kind, found) for key, value in said.items()}
    if len(found.messages) == before:
        _check_same(scalings, found)
    return next(iter(scalings.values()), None)


def _is_flat(key: str, value: Any, found: Reading) -> bool:
    """Whether the value is one mapping of numbers and words, for all layers."""
    if not isinstance(value, dict):
        found.add(key, f"must be a mapping or null, got {value!r}", _PUBLISHED)
        return False
    nested = [name for name, inner in value.items() if isinstance(inner, dict)]
    if nested:
        what = "is RoPE for one kind of layers, and models of this kind have one for all"
        found.add(f"{key}.{nested[0]}", what, "Choose another model.")
    return not nested


def _check_same(said: Mapping[str, Any], found: Reading) -> None:
    """Both generations' keys say one thing."""
    values = list(said.values())
    if any(value != values[0] for value in values):
        each = ", ".join(f"{key} {'nothing' if value is None else value}" for key, value in said.items())
        found.add(next(iter(said)), f"the keys of transformers 4 and 5 differ: {each}", "Keep the right one.")
