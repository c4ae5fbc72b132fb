"""config.json of a base model: the one reader. Typed, in either generation's keys, and nothing of it unknown.

What a file says is what transformers 4.57's classes make of it, but for what they leave unread though another generation writes
it (`rope_parameters`), and for Gemma's `hidden_act: gelu`, which was meant as the approximation when the models were published.
What transformers has no meaning for is a message. Whether a trainer can train such a model is the trainer's to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftexp.ground import paths
from ftexp.ground.errors import Findings, UserError, suggestion
from ftexp.models.folder import check_alone, read_model_json
from ftexp.models.hub_cache import hub_snapshots, in_words
from ftexp.models.known_keys import GELU, KINDS, SIZES, Kind, check_known
from ftexp.models.rope import Rope, read_rope
from ftexp.models.typed_keys import CURE, TypedKeys, token_ids


@dataclass(frozen=True)
class ModelConfig:
    """What a config.json says, defaults in place.

    Attributes:
        file: Its path, for messages.
        key_value_heads, head_dim: As they are, whatever the file leaves to be derived.
        window: Tokens that a position of a windowed layer sees; None: all.
        dtype: Precision of the files; None where it is not said.
        bos, pad: Token ids, where the file names them; ends: those that it calls `eos_token_id`.
        gemma2: Its `query_pre_attn_scalar` and caps (None: no cap); nothing for other kinds.
        content: The file as it is, for a copy of it.
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
    norm_eps: float
    rope: Rope
    is_tied: bool
    window: int | None = None
    dtype: str | None = None
    bos: int | None = None
    ends: tuple[int, ...] = ()
    pad: int | None = None
    gemma2: Mapping[str, float | None] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def kind(self) -> Kind:
        """What is common to all models of its model_type."""
        return KINDS[self.model_type]

    @property
    def attention_widths(self) -> tuple[int, int]:
        """Outputs of a layer's q, and of its k and v."""
        return self.heads * self.head_dim, self.key_value_heads * self.head_dim

    @property
    def parameters(self) -> int:
        """Parameters of the model, biases and norms left out (under 0.1 %)."""
        q_dim, kv_dim = self.attention_widths
        per_layer = self.hidden_size * (2 * q_dim + 2 * kv_dim + 3 * self.intermediate_size)
        return self.layers * per_layer + self.vocab_size * self.hidden_size * (1 if self.is_tied else 2)

    def for_transformers(self) -> dict[str, Any]:
        """All that shapes the model, by the keys of transformers 4.57, nothing left to a default."""
        kind = self.kind
        said: dict[str, Any] = {
            "vocab_size": self.vocab_size, "hidden_size": self.hidden_size, "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers, "num_attention_heads": self.heads, "num_key_value_heads": self.key_value_heads,
            "max_position_embeddings": self.longest, "rms_norm_eps": self.norm_eps, "rope_theta": self.rope.theta,
            "tie_word_embeddings": self.is_tied, "attention_dropout": 0.0, "architectures": [f"{kind.name}ForCausalLM"],
            "bos_token_id": self.bos, "eos_token_id": _one_or_list(self.ends), "pad_token_id": self.pad, "dtype": self.dtype,
        }
        said |= {key: kind.activation for key in ("hidden_act", *(["hidden_activation"] if kind.activation == GELU else []))}
        said |= {"head_dim": self.head_dim} if self.model_type not in ("qwen2", "phi3") else {}
        said |= {"sliding_window": self.window} if kind.has_window else {}
        said |= {"rope_scaling": dict(self.rope.scaling)} if self.rope.scaling else {}
        return {**said, **self.gemma2}


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
    """Parameters of a base model, by its name in models/."""
    return read_model_config(paths.model_dir(model)).parameters


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
    if not isinstance(model_type, str) or model_type not in KINDS:
        raise UserError(
            f"{file}: model_type: is {model_type!r}, and supported are {', '.join(KINDS)} (Llama 2 to 3.3, Mistral, Qwen2, "
            "Qwen2.5, Phi-3, Gemma, Gemma 2). Choose a model of these."
        )
    found, kind = Findings(str(file)), KINDS[model_type]
    check_known(content, model_type, found)
    found.raise_if_any()
    absent = [key for key in (*SIZES, "rms_norm_eps") if key not in content]
    if absent:
        raise UserError(f"{file}: {', '.join(absent)}: must be there, and a number above 0. {CURE}")
    said = TypedKeys(content, kind, found)
    sizes = {key: said.whole(key) for key in SIZES}
    found.raise_if_any()  # what follows is derived from them
    heads, width, layers = sizes["num_attention_heads"], sizes["hidden_size"], sizes["num_hidden_layers"]
    window = said.window()
    said.check_layers(layers, window)
    said.check_activation()
    config = ModelConfig(
        file=file, model_type=model_type, vocab_size=sizes["vocab_size"], hidden_size=width, layers=layers, heads=heads,
        intermediate_size=sizes["intermediate_size"], longest=sizes["max_position_embeddings"],
        norm_eps=said.number("rms_norm_eps"), rope=read_rope(content, found), window=window, is_tied=said.is_tied(),
        key_value_heads=said.heads("num_key_value_heads", kind.key_value_heads, heads),
        head_dim=said.heads("head_dim", kind.head_dim, width // heads), dtype=said.dtype(),
        bos=said.token("bos_token_id"), ends=token_ids(content.get("eos_token_id"), "eos_token_id", found),
        pad=said.token("pad_token_id", below=sizes["vocab_size"]),
        gemma2=said.gemma2() if model_type == "gemma2" else {}, content=content,
    )
    _check_heads(config, found)
    found.raise_if_any()
    return config


def _check_heads(config: ModelConfig, found: Findings) -> None:
    """The width of the model, its heads and their groups divide evenly."""
    if config.hidden_size % config.heads:
        found.add("hidden_size", f"must be a multiple of num_attention_heads = {config.heads}, got {config.hidden_size}", CURE)
    if config.heads % config.key_value_heads:
        found.add("num_key_value_heads", f"must divide num_attention_heads = {config.heads}, got {config.key_value_heads}", CURE)
    if config.head_dim % 2:
        found.add("head_dim", f"must be even, got {config.head_dim}", CURE)


def _one_or_list(ids: tuple[int, ...]) -> int | list[int] | None:
    return None if not ids else ids[0] if len(ids) == 1 else list(ids)
