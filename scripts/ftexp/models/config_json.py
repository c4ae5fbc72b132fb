"""config.json of a base model: the one reader. Typed, in either generation's keys, and nothing of it unknown.

What a file says is what transformers 4.57's classes make of it, but for what they leave unread though another generation writes
it (`rope_parameters`), and for Gemma's `hidden_act: gelu`, which was meant as the approximation when the models were published.
What transformers has no meaning for is a message. What it may have a meaning for, but nobody has tested here, makes an untested
model, which only is used where that is allowed. Whether a trainer can train a model is the trainer's to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ftexp.ground import paths
from ftexp.ground.errors import UserError, suggestion
from ftexp.models.folder import check_alone, read_model_json
from ftexp.models.hub_cache import hub_snapshots, in_words
from ftexp.models.kinds import HEAD_DIM, KINDS, KV_HEADS, LONGROPE, Kind
from ftexp.models.known_keys import SIZES, check_architecture, check_known, check_plain
from ftexp.models.reading import ALLOW_UNTESTED, Reading
from ftexp.models.rope import Rope, read_rope
from ftexp.models.typed_keys import CURE, TypedKeys, token_ids
from ftexp.models.usual_names import usual_sizes
from ftexp.models.weights import numbers_in_files


@dataclass(frozen=True)
class ModelConfig:
    """What a config.json says, defaults in place.

    Attributes:
        file: Its path, for messages.
        key_value_heads, head_dim: As they are, whatever the file leaves to be derived.
        longest: Most tokens of a text; positions: `max_position_embeddings`, which is more where RoPE turns all texts of a batch
            otherwise as soon as one is longer (longrope).
        window: Tokens that a position of a windowed layer sees; None: all.
        layer_types: How each layer sees, where the file says it for each.
        rope_layers: 1 for a layer that turns positions, 0 for one that does not; nothing where all do.
        dtype: Precision of the files; None where it is not said.
        bos, pad: Token ids, where the file names them; ends: those that it calls `eos_token_id`.
        numbers: Those that only its kind has, by their keys, as `query_pre_attn_scalar` and caps (None: no cap).
        content: The file as it is, for a copy of it.
        untested: A message each of what in it is not tested; the model is what transformers makes of the file as it is then, and
            of a kind that is not known only sizes and tokens are read.
    """

    file: Path
    model_type: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    key_value_heads: int
    head_dim: int
    longest: int
    positions: int
    norm_eps: float
    rope: Rope
    is_tied: bool
    activation: str
    window: int | None = None
    layer_types: tuple[str, ...] = ()
    rope_layers: tuple[int, ...] = ()
    dtype: str | None = None
    bos: int | None = None
    ends: tuple[int, ...] = ()
    pad: int | None = None
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    untested: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What is common to all models of its model_type."""
        return KINDS.get(self.model_type) or Kind(self.model_type, self.model_type)

    @property
    def attention_widths(self) -> tuple[int, int]:
        """Outputs of a layer's q, and of its k and v."""
        return self.heads * self.head_dim, self.key_value_heads * self.head_dim

    @property
    def parameters(self) -> int:
        """Parameters of the model, biases and norms left out (under 0.1 %, of GPT-2 0.1 %)."""
        q_dim, kv_dim = self.attention_widths
        per_layer = self.hidden_size * (2 * q_dim + 2 * kv_dim + self.kind.mlp_matrices * self.intermediate_size)
        learned = self.positions if not self.kind.scalings else 0
        rows = self.vocab_size * (1 if self.is_tied else 2) + learned
        return self.layers * per_layer + rows * self.hidden_size


def read_model_config(model_dir: Path) -> ModelConfig:
    """config.json of a model folder in Hugging Face layout.

    Raises:
        UserError: If the folder or the file is not there, not readable, or says something that is not known; or if something lies
            beside it that would change the model.
    """
    if not model_dir.is_dir():
        have = sorted(p.name for p in paths.MODELS_LINK.iterdir()) if paths.MODELS_LINK.is_dir() else []
        cure = suggestion(model_dir.name, have) if have else "Run `make setup`, and check `models` in site.yaml."
        raise UserError(f"experiment.yaml: model: there is no folder {model_dir}. {cure}")
    path = model_dir / "config.json"
    in_hub = hub_snapshots(model_dir)
    if in_hub:
        raise UserError(f"experiment.yaml: model: {model_dir} {in_words(in_hub)}")
    if not path.is_file():
        raise UserError(f"{path}: is missing. A model folder needs config.json, tokenizer files and safetensors files.")
    check_alone(model_dir)
    return parse_config(read_model_json(path), path)


def model_parameters(model: str) -> int:
    """Parameters of a base model, by its name in models/; of one that is not tested as its files have them."""
    folder = paths.model_dir(model)
    config = read_model_config(folder)
    return numbers_in_files(folder) if config.untested else config.parameters


def parse_config(content: Mapping[str, Any], file: Path) -> ModelConfig:
    """What the content of a config.json says.

    Args:
        content: As JSON has it.
        file: Its path, for messages.

    Raises:
        UserError: With everything that is wrong, unknown, or said twice and not the same.
    """
    model_type = content.get("model_type")
    if content.get("vision_config") is not None or model_type == "mllama":
        raise UserError(f"{file}: model_type: {model_type!r} is a vision model, and prompts here are text. Choose a text model.")
    found = Reading(str(file))
    if isinstance(model_type, str) and model_type in KINDS:
        check_known(content, model_type, found)
        found.raise_if_any()
        config = _read(content, file, KINDS[model_type], found)
        _check_heads(config, found)
    else:
        what, cure = f"is {model_type!r}, and supported are {', '.join(KINDS)}", "Choose a model of these."
        if not isinstance(model_type, str):
            raise UserError(f"{file}: model_type: {what}. {cure}")
        found.other("model_type", what, cure)
        config = _read_unknown(content, file, found)
    if found.untested and content.get("rope_parameters") is not None:
        what = "are transformers 5's, and 4.57, which makes an untested model of the file as it is, reads nothing of them"
        found.messages += [*found.untested]
        found.add("rope_parameters", what, "Choose another model, or write rope_theta and rope_scaling in their place.")
    found.raise_if_any()
    return replace(config, untested=found.untested)


def require_tested(config: ModelConfig, settings: Mapping[str, Any]) -> None:
    """A run's model is one that is tested, or the run may have another.

    Args:
        settings: The run's.

    Raises:
        UserError: If not.
    """
    if config.untested and not settings.get(ALLOW_UNTESTED):
        allow = f", or set {ALLOW_UNTESTED}: true, which the results will say."
        raise UserError("\n".join(f"{message.rstrip('.')}{allow}" for message in config.untested))


def _read_unknown(content: Mapping[str, Any], file: Path, found: Reading) -> ModelConfig:
    """Sizes and tokens of a kind that is not known."""
    check_plain(content, found)
    check_architecture(content, found)
    sizes, said = usual_sizes(content, found), TypedKeys(content, Kind("", ""), found)
    return ModelConfig(
        file=file, model_type=content["model_type"], vocab_size=sizes["vocab_size"], hidden_size=sizes["hidden_size"],
        intermediate_size=sizes["intermediate_size"], layers=sizes["num_hidden_layers"], heads=sizes["num_attention_heads"],
        key_value_heads=sizes["num_key_value_heads"], head_dim=sizes["head_dim"], longest=sizes["max_position_embeddings"],
        positions=sizes["max_position_embeddings"], norm_eps=0.0, rope=Rope(), is_tied=said.is_tied(), activation="",
        dtype=said.dtype(), bos=said.token("bos_token_id"), pad=said.token("pad_token_id", below=sizes["vocab_size"]),
        ends=token_ids(content.get("eos_token_id"), "eos_token_id", found), content=content,
    )


def _read(content: Mapping[str, Any], file: Path, kind: Kind, found: Reading) -> ModelConfig:
    """All that a file of a tested kind says.

    Raises:
        UserError: If a size is not there, or no size.
    """
    needed = [kind.key(name) for name in (*SIZES, "rms_norm_eps") if kind.key(name) not in kind.may_lack]
    absent = [key for key in needed if key not in content]
    if absent:
        raise UserError(f"{file}: {', '.join(absent)}: must be there, and a number above 0. {CURE}")
    said = TypedKeys(content, kind, found)
    sizes = {name: said.whole(name) for name in SIZES if name != "intermediate_size"}
    inner = said.inner(sizes["hidden_size"])
    found.raise_if_any()  # what follows is derived from them
    heads, width, layers = sizes["num_attention_heads"], sizes["hidden_size"], sizes["num_hidden_layers"]
    window, rope, positions = said.window(), read_rope(content, kind, found), sizes["max_position_embeddings"]
    is_long = bool(rope.scaling and rope.scaling["rope_type"] == LONGROPE and rope.trained)
    return ModelConfig(
        file=file, model_type=content["model_type"], vocab_size=sizes["vocab_size"], hidden_size=width, intermediate_size=inner,
        layers=layers, heads=heads, key_value_heads=said.heads(KV_HEADS, kind.key_value_heads, heads),
        head_dim=said.heads(HEAD_DIM, kind.head_dim, width // heads), positions=positions,
        longest=min(positions, rope.trained or positions) if is_long else positions, norm_eps=said.number("rms_norm_eps"),
        rope=rope, is_tied=said.is_tied(), activation=said.activation(), window=window,
        layer_types=said.layer_types(layers, window), rope_layers=said.rope_layers(layers), dtype=said.dtype(),
        bos=said.token("bos_token_id"), ends=token_ids(content.get("eos_token_id"), "eos_token_id", found),
        pad=said.token("pad_token_id", below=sizes["vocab_size"]), numbers=said.numbers(), content=content,
    )


def _check_heads(config: ModelConfig, found: Reading) -> None:
    """The width of the model, its heads and their groups divide evenly."""
    if config.hidden_size % config.heads:
        found.add("hidden_size", f"must be a multiple of num_attention_heads = {config.heads}, got {config.hidden_size}", CURE)
    if config.heads % config.key_value_heads:
        found.add("num_key_value_heads", f"must divide num_attention_heads = {config.heads}, got {config.key_value_heads}", CURE)
    if config.head_dim % 2 and config.kind.scalings:
        found.add("head_dim", f"must be even, got {config.head_dim}", CURE)
    turned = config.head_dim * config.rope.share
    if turned % 2 and config.rope.share < 1:
        found.add("partial_rotary_factor", f"must leave an even number of {config.head_dim} dimensions, got {turned}", CURE)
    scaling = config.rope.scaling or {}
    for key in ("short_factor", "long_factor"):
        if key in scaling and len(scaling[key]) != turned // 2:
            what = f"must have a number for each of {turned // 2:.0f} pairs of dimensions, got {len(scaling[key])}"
            found.add(f"rope_scaling.{key}", what, CURE)
