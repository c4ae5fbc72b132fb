"""A checkpoint of nanoGPT as a folder in Hugging Face layout: the same model under the names of transformers' GPT-2.

nanoGPT's GPT is GPT-2: pre-norm blocks, learned positions, the embedding as output layer. transformers keeps the four matrices
of a block the other way round, and always has biases: where the checkpoint has none they are zeros. The activation is the exact
GELU.

Loads tensors and plain values only: a checkpoint is a pickle, and what else it holds could be a program.
"""

import json
import pickle
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import follow_umask
from ftexp.models.folder import WEIGHTS
from ftexp.models.tokenizer_files import load_tokenizer

if TYPE_CHECKING:
    import torch

Tensors = dict[str, "torch.Tensor"]
_SIZES = ("n_layer", "n_head", "n_embd", "block_size", "vocab_size")
_COMPILED = "_orig_mod."
_EMBEDDING, _HEAD = "transformer.wte.weight", "lm_head.weight"
# Masks that attention without a fused kernel keeps beside its weights.
_MASKS = (".attn.bias", ".attn.masked_bias")
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt",
    "added_tokens.json", "chat_template.jinja",
)


@dataclass(frozen=True)
class Imported:
    """What was made of a checkpoint.

    Attributes:
        has_biases: Whether the checkpoint had some; if not they are zeros.
        tokens: Of the tokenizer.
    """

    layers: int
    heads: int
    width: int
    positions: int
    vocabulary: int
    parameters: int
    has_biases: bool
    tokens: int

    def in_words(self) -> str:
        """Its sizes, and what is not as in the checkpoint or looks odd, a line each."""
        lines = [f"GPT-2 of {self.layers} layers, {self.heads} heads, width {self.width} and {self.positions} positions: "
                 f"{self.parameters:,} parameters"]
        if not self.has_biases:
            lines.append("it has no biases, and transformers' GPT-2 always has: they are zeros, which a full fine-tune trains")
        if self.tokens < self.vocabulary:
            rest = self.vocabulary - self.tokens
            lines.append(f"its vocabulary has {self.vocabulary} rows for {self.tokens} tokens: {rest} are padding, which stays")
        return "\n".join([*lines, "its activation is the exact GELU, nanoGPT's since May 2023; of an earlier one write "
                          "activation_function: gelu_new into config.json"])


def import_checkpoint(checkpoint: Path, tokenizer_dir: Path, target: Path) -> Imported:
    """Write the folder of a model; it is there whole, or not at all.

    Args:
        checkpoint: nanoGPT's ckpt.pt.
        tokenizer_dir: A folder with the files of the tokenizer that the model was trained by.
        target: The folder to make.

    Raises:
        UserError: If it is there already, the file is no such checkpoint, or the tokenizer is not its own.
    """
    if target.exists() or target.is_symlink():
        raise UserError(f"NAME: {target} is there already. Choose another name, or move it away.")
    arguments, held = _read(checkpoint)
    tensors = _renamed(checkpoint, arguments, held)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.importing")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        tokens = _write(aside, arguments, tensors, tokenizer_dir)
        follow_umask(aside)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    layers, heads, width, positions, vocabulary = (arguments[key] for key in _SIZES)
    parameters, has_biases = sum(tensor.numel() for tensor in tensors.values()), any(name.endswith("ln_f.bias") for name in held)
    return Imported(layers, heads, width, positions, vocabulary, parameters, has_biases, tokens)


def _read(checkpoint: Path) -> tuple[dict[str, int], Tensors]:
    """The sizes of a checkpoint, and its tensors under nanoGPT's names.

    Raises:
        UserError: If it is none.
    """
    if checkpoint.is_dir():
        raise UserError(f"CKPT: {checkpoint} is a folder. Give the ckpt.pt in it that nanoGPT wrote.")
    if not checkpoint.is_file():
        raise UserError(f"CKPT: there is no file {checkpoint}. Give the ckpt.pt that nanoGPT wrote.")
    content = _loaded(checkpoint)
    parts = ("model", "model_args")
    if not (isinstance(content, dict) and all(isinstance(content.get(part), Mapping) for part in parts)):
        raise UserError(f"{checkpoint}: has no {' and '.join(parts)}, as nanoGPT's checkpoints have. Give its ckpt.pt.")
    arguments = {key: content["model_args"].get(key) for key in _SIZES}
    wrong = [key for key, value in arguments.items() if isinstance(value, bool) or not isinstance(value, int) or value < 1]
    if wrong:
        said = ", ".join(f"{key} is {arguments[key]!r}" for key in wrong)
        raise UserError(f"{checkpoint}: model_args: must have whole numbers above 0 ({said}). Give a checkpoint of nanoGPT's.")
    strange = [key for key in content["model_args"] if key not in (*_SIZES, "bias", "dropout")]
    if strange:
        what = f"has {strange[0]}{_and_more(strange)}, which nanoGPT's model has not"
        raise UserError(f"{checkpoint}: model_args: {what}, so that it may be another model. Give a checkpoint of nanoGPT's.")
    if arguments["n_embd"] % arguments["n_head"]:
        what = f"must be a multiple of n_head = {arguments['n_head']}, got {arguments['n_embd']}"
        raise UserError(f"{checkpoint}: model_args: n_embd: {what}. Give a checkpoint of nanoGPT's.")
    tensors = {str(name).removeprefix(_COMPILED): value for name, value in content["model"].items()}
    return arguments, {name: value for name, value in tensors.items() if not name.endswith(_MASKS)}


def _loaded(checkpoint: Path) -> Any:
    """The tensors and plain values of a file of torch.save's.

    Raises:
        UserError: If it holds something else, or is none.
    """
    import torch

    try:
        return torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(checkpoint))
    except Exception as error:  # of a file that is none torch's reader raises whatever its bytes lead to
        _, sign, named = str(error).partition("GLOBAL ")
        if isinstance(error, pickle.UnpicklingError) and sign:
            what = f"holds {named.split(' ')[0]}, and loading more than tensors and plain values could run a program"
            raise UserError(f"{checkpoint}: {what}. Save model and model_args alone, where you trust it.") from error
        raise UserError(f"{checkpoint}: is no file of torch.save's, or cut short. Copy it again, whole.") from error


def _shapes(arguments: Mapping[str, int], *, has_biases: bool) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of nanoGPT's, by its name, the output layer aside, which is the embedding."""
    width = arguments["n_embd"]
    matrices = {"attn.c_attn": (3 * width, width), "attn.c_proj": (width, width), "mlp.c_fc": (4 * width, width),
                "mlp.c_proj": (width, 4 * width)}
    of_block = {**matrices, "ln_1": (width,), "ln_2": (width,)}
    layers = {f"transformer.h.{layer}.{name}": shape for layer in range(arguments["n_layer"]) for name, shape in of_block.items()}
    layers["transformer.ln_f"] = (width,)
    biases = {f"{name}.bias": shape[:1] for name, shape in layers.items()} if has_biases else {}
    return {
        _EMBEDDING: (arguments["vocab_size"], width), "transformer.wpe.weight": (arguments["block_size"], width),
        **{f"{name}.weight": shape for name, shape in layers.items()}, **biases,
    }


def _renamed(checkpoint: Path, arguments: Mapping[str, int], held: Tensors) -> Tensors:
    """The tensors under transformers' names, in fp32.

    Raises:
        UserError: If one is missing, is of another shape, or has no place in the model; or if the output layer is one of its own.
    """
    import torch

    shapes = _shapes(arguments, has_biases=any(name.endswith("ln_f.bias") for name in held))
    cure = "It is not nanoGPT's model, or was changed."
    missing = [name for name in shapes if not isinstance(held.get(name), torch.Tensor)]
    if missing:
        raise UserError(f"{checkpoint}: model: has no tensor {missing[0]}{_and_more(missing)}. {cure}")
    strange = [name for name in held if name not in shapes and name != _HEAD]
    if strange:
        raise UserError(f"{checkpoint}: model: has {strange[0]}{_and_more(strange)}, which nanoGPT's model has not. {cure}")
    wrong = [name for name, shape in shapes.items() if tuple(held[name].shape) != shape]
    if wrong:
        name, found = wrong[0], list(held[wrong[0]].shape)
        what = f"must be {list(shapes[name])} by model_args, got {found}{_and_more(wrong)}"
        raise UserError(f"{checkpoint}: model: {name}: {what}. {cure}")
    empty = [name for name in shapes if not torch.isfinite(held[name]).all()]
    if empty:
        what = f"{empty[0]}{_and_more(empty)} holds what is no number (nan or inf)"
        raise UserError(f"{checkpoint}: model: {what}. Its training failed: give an earlier checkpoint.")
    if _HEAD in held and not torch.equal(held[_HEAD], held[_EMBEDDING]):
        raise UserError(f"{checkpoint}: model: {_HEAD} is not {_EMBEDDING}, which nanoGPT's model ties. {cure}")
    is_matrix = {name: len(shape) == 2 and ".h." in name for name, shape in shapes.items()}
    made = {name: (held[name].T if is_matrix[name] else held[name]).float().contiguous() for name in shapes}
    absent = {name: shape for name, shape in _shapes(arguments, has_biases=True).items() if name not in shapes}
    return {**made, **{name: torch.zeros(shape) for name, shape in absent.items()}}


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _write(folder: Path, arguments: Mapping[str, int], tensors: Tensors, tokenizer_dir: Path) -> int:
    """Write weights, configs and tokenizer; return how many tokens that has.

    Raises:
        UserError: If the tokenizer cannot be read, names no end token, or has more tokens than the model.
    """
    from safetensors.torch import save_file

    config: dict[str, Any] = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu", "layer_norm_epsilon": 1e-5,
        "n_layer": arguments["n_layer"], "n_head": arguments["n_head"], "n_embd": arguments["n_embd"],
        "n_positions": arguments["block_size"], "vocab_size": arguments["vocab_size"], "tie_word_embeddings": True,
        "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "torch_dtype": "float32",
    }
    _write_json(folder / "config.json", config)  # by which the library knows the class of GPT-2's tokenizer
    for name in _TOKENIZER_FILES:
        if (tokenizer_dir / name).is_file():
            shutil.copyfile(tokenizer_dir / name, folder / name)
    try:
        tokenizer = load_tokenizer(folder)
    except UserError as error:
        raise UserError(f"TOKENIZER: {str(error).replace(str(folder), str(tokenizer_dir))}") from error
    ids = tokenizer.get_vocab().values()
    if max(ids) >= arguments["vocab_size"]:
        what = f"has tokens up to number {max(ids)}, and the model {arguments['vocab_size']} rows for them"
        raise UserError(f"TOKENIZER: {tokenizer_dir} {what}. Give the tokenizer that the model was trained by.")
    if tokenizer.eos_token_id is None:
        what = "names no end token (eos_token), so that no answer would end"
        raise UserError(f"TOKENIZER: {tokenizer_dir} {what}. Set it in tokenizer_config.json.")
    said = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    _write_json(folder / "config.json", config | said)
    _write_json(folder / "generation_config.json", said)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return len(ids)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
