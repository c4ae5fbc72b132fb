"""Values of config.json by their types, with what transformers takes for a key that is absent or null; or a message."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftexp.ground.errors import Findings
from ftexp.models.folder import read_model_json
from ftexp.models.kinds import AS_SAID, BY_TURNS, GELU, SILU, Kind
from ftexp.models.reading import Reading
from ftexp.models.rope import FULL, SLIDING
from ftexp.models.rope_scaling import is_number

CURE = "Take config.json from where the model is published."
DTYPES = ("float32", "bfloat16", "float16", "float64")
# Larger numbers are no model's, and would be built for hours before anything is compared.
_MOST_LAYERS, _MOST = 1000, 2**31 - 1
# Other names of the same.
_SAME = {SILU: ("silu", "swish")}


class TypedKeys:
    """The keys of one config.json; what is wrong goes to `found`, and some value of the type takes its place."""

    def __init__(self, content: Mapping[str, Any], kind: Kind, found: Reading) -> None:
        self._content = content
        self._kind = kind
        self._found = found

    def whole(self, name: str) -> int:
        """A size, by its usual name."""
        key, most = self._kind.key(name), _MOST_LAYERS if name == "num_hidden_layers" else _MOST
        value = self._content.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most:
            return value
        return int(self._wrong(key, f"must be a whole number from 1 to {most}", 1))

    def inner(self, width: int) -> int:
        """Width of the MLP; four times the model's where a class has that for a null."""
        key = self._kind.key("intermediate_size")
        is_derived = key in self._kind.may_lack and self._content.get(key) is None
        return 4 * width if is_derived else self.whole("intermediate_size")

    def number(self, name: str) -> float:
        """A number above 0, by its usual name."""
        key = self._kind.key(name)
        value: float = self._content.get(key, 0)
        return value if is_number(value) else float(self._wrong(key, "must be a number above 0", 1.0))

    def heads(self, name: str, absent: int | None, derived: int) -> int:
        """A number that follows from others where the file does not give it.

        Args:
            absent: What the class takes where there is no such key; None: `derived`.
        """
        if self._content.get(name) is not None:
            return self.whole(name)
        if name in self._content and name not in self._kind.nulls:
            return int(self._wrong(name, "must be a whole number", 1))
        return derived if name in self._content or absent is None else absent

    def window(self) -> int | None:
        """Tokens that a windowed layer sees, or None."""
        key = "sliding_window"
        if not self._kind.has_window or key not in self._content:
            return self._kind.window
        is_none = self._content[key] is None and self._kind.layers not in (BY_TURNS, AS_SAID)
        return None if is_none else self.whole(key)

    def is_tied(self) -> bool:
        """Whether the output layer is the embedding."""
        value = self._content.get("tie_word_embeddings", self._kind.is_tied)
        return value if isinstance(value, bool) else bool(self._wrong("tie_word_embeddings", "must be true or false", False))

    def dtype(self) -> str | None:
        """Precision of the files."""
        said = {key: self._content[key] for key in ("dtype", "torch_dtype") if self._content.get(key) is not None}
        for key, value in said.items():
            if value not in DTYPES:
                self._wrong(key, f"must be one of {', '.join(DTYPES)}, the precisions of plain weights", None)
        if len(said) == 2 and said["dtype"] != said["torch_dtype"]:
            what = f"dtype is {said['dtype']} and torch_dtype, the same key of older files, is {said['torch_dtype']}"
            self._found.add("dtype", what, "Keep the right one.")
        return next(iter(said.values()), None)

    def token(self, key: str, below: int | None = None) -> int | None:
        """The number of a token, or None where there is none below `below`; -1 has been written for none."""
        value = self._content.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            self._wrong(key, "must be a token's number or null", None)
            return None
        return value if value is not None and 0 <= value < (below or _MOST) else None

    def numbers(self) -> dict[str, float | None]:
        """What only the kind has: scales, and caps, of which null is none."""
        said: dict[str, float | None] = {}
        for key, absent in self._kind.numbers.items():
            is_none = key.endswith("capping") and key in self._content and self._content[key] is None
            said[key] = None if is_none else self.number(key) if key in self._content else absent
        return said

    def layer_types(self, count: int, window: int | None) -> tuple[str, ...]:
        """How each layer sees; nothing where all of a kind are built alike, or by turns."""
        found = self._content.get("layer_types")
        allowed = [[FULL] * count, [SLIDING] * count if window else [FULL] * count]
        if self._kind.layers == BY_TURNS:
            allowed = [[FULL if layer % 2 else SLIDING for layer in range(count)]]
        if self._kind.layers == AS_SAID:
            return self._patterned(found, count)
        if found is not None and found not in allowed:
            is_one_each = isinstance(found, list) and len(found) == count and all(isinstance(one, str) for one in found)
            what = f"a {self._kind.name} of {count} layers has {_runs(allowed[0])} here, got {_runs(found)}"
            say = self._found.other if is_one_each else self._found.add
            say("layer_types", what, "Choose another model.")
        return ()

    def _patterned(self, found: Any, count: int) -> tuple[str, ...]:
        """Gemma 3's: a list, or all the layers but every sixth, or whichever, with a window."""
        every = self._every("sliding_window_pattern", 6)
        pattern = [SLIDING if (layer + 1) % every else FULL for layer in range(count)]
        if found is None:
            return tuple(pattern)
        if not isinstance(found, list) or len(found) != count or any(one not in (FULL, SLIDING) for one in found):
            what = f"must be {FULL} or {SLIDING} for each of {count} layers, got {_runs(found)}"
            self._found.add("layer_types", what, CURE)
            return tuple(pattern)
        if "sliding_window_pattern" in self._content and found != pattern:
            what = f"is {every}, and layer_types are others, of which transformers takes the latter"
            self._found.add("sliding_window_pattern", what, "Keep the right one.")
        return tuple(found)

    def rope_layers(self, count: int) -> tuple[int, ...]:
        """SmolLM3's: 1 for a layer that turns positions, 0 for one that does not; nothing where all do."""
        if not self._kind.has_rope_layers:
            return ()
        every, found = self._every("no_rope_layer_interval", 4), self._content.get("no_rope_layers")
        pattern = [int((layer + 1) % every != 0) for layer in range(count)]
        if found is None:
            return tuple(pattern)
        is_right = isinstance(found, list) and len(found) == count
        if not is_right or any(isinstance(one, bool) or one not in (0, 1) for one in found):
            self._found.add("no_rope_layers", f"must be 0 or 1 for each of {count} layers, got {_runs(found)}", CURE)
            return tuple(pattern)
        if "no_rope_layer_interval" in self._content and found != pattern:
            what = f"is {every}, and no_rope_layers are others, of which transformers takes the latter"
            self._found.add("no_rope_layer_interval", what, "Keep the right one.")
        return tuple(found)

    def _every(self, key: str, absent: int) -> int:
        return self.whole(key) if key in self._content else absent

    def activation(self) -> str:
        """What the model computes with, under either name; the `gelu` of the first Gemmas was meant so."""
        wanted, read = self._kind.activations, self._kind.activation_key
        keys = {self._kind.key("hidden_act"), self._kind.key("hidden_activation")} - {""}
        said = {key: self._content[key] for key in sorted(keys) if self._content.get(key) is not None}
        one = f"must be {wanted[0]}, as every {self._kind.name} here"
        what = one if len(wanted) == 1 else f"must be one of {', '.join(wanted)}"
        for key, value in said.items():
            is_of_first_gemma = wanted == (GELU,) and key == "hidden_act" and value == "gelu"
            if not is_of_first_gemma and value not in [*wanted, *_SAME.get(wanted[0], ())]:
                say = self._found.other if isinstance(value, str) else self._found.add
                say(key, f"{what}, got {value!r}", CURE)
        if not said and read in self._content:
            self._wrong(read, what, None)
        chosen = said.get(read)
        return chosen if len(wanted) > 1 and chosen in wanted else wanted[0]

    def _wrong(self, key: str, what: str, instead: Any) -> Any:
        said = repr(self._content[key]) if self._content.get(key) is not None else "null" if key in self._content else "nothing"
        self._found.add(key, f"{what}, got {said}", CURE)
        return instead


def token_ids(value: Any, key: str, found: Findings) -> tuple[int, ...]:
    """The ids of a key that holds one, a list of them, or null."""
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if any(isinstance(one, bool) or not isinstance(one, int) or not 0 <= one <= _MOST for one in ids):
        found.add(key, f"must be a token's number, a list of them or null, got {value!r}", "Correct it.")
        return ()
    return tuple(ids)


def end_ids(path: Path) -> tuple[int, ...]:
    """The tokens that config.json or generation_config.json calls `eos_token_id`.

    Raises:
        UserError: If they are no numbers.
    """
    found = Findings(str(path))
    ids = token_ids(read_model_json(path).get("eos_token_id"), "eos_token_id", found)
    found.raise_if_any()
    return ids


def _runs(layers: Any) -> str:
    """A list of layers as a message shows it."""
    return ", ".join(map(str, layers[:2])) + (", ..." if len(layers) > 2 else "") if isinstance(layers, list) else repr(layers)
