"""The tokenizer of a model's folder, whichever generation of transformers wrote its files.

transformers 5 writes classes that 4.57 does not know, and special tokens of the model's own as a list. What it serialises in
tokenizer.json is the whole tokenizer, which 4.57 takes as it is.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftexp.ground.errors import UserError, sentence
from ftexp.models.folder import read_model_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SERIALISED = "tokenizer.json"
# One of these holds the vocabulary.
VOCABULARIES = (SERIALISED, "tokenizer.model", "vocab.json")
_SMALL_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", SERIALISED, "vocab.json")
# What transformers 5 calls tokenizers that are nothing but their tokenizer.json.
_GENERIC = ("TokenizersBackend", "PreTrainedTokenizerFast")


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a folder in Hugging Face layout; no code of the model's own is run.

    Raises:
        UserError: If it has none that this version of transformers reads as it was meant.
    """
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise UserError(f"{folder}: has no tokenizer ({', '.join(VOCABULARIES)}). Copy the model again, whole.")
    path = folder / "tokenizer_config.json"
    said = read_model_json(path) if path.is_file() else {}
    changes = _own_tokens(said, path)
    try:
        with without_remarks():  # that the class is another than the one named, which it is on purpose
            tokenizer = _loader(folder, said).from_pretrained(folder, local_files_only=True, trust_remote_code=False, **changes)
    except Exception as error:  # tokenizers raises nothing narrower for a file that is cut short
        _check_whole(folder)
        raise UserError(_why_not(folder, said, error)) from error
    _check_flags(tokenizer, said, path)
    loaded: PreTrainedTokenizerBase = tokenizer
    return loaded


def _loader(folder: Path, said: dict[str, Any]) -> Any:
    """The library's class: by its name, or the generic one where transformers 5 wrote the whole tokenizer."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    is_whole = said.get("tokenizer_class") in _GENERIC or said.get("backend") == "tokenizers"
    return PreTrainedTokenizerFast if is_whole and (folder / SERIALISED).is_file() else AutoTokenizer


@contextlib.contextmanager
def without_remarks() -> Iterator[None]:
    """Let the library say errors only."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _own_tokens(said: dict[str, Any], path: Path) -> dict[str, Any]:
    """transformers 5's list of special tokens under the name that 4.57 has for it.

    Raises:
        UserError: If both names are there and differ.
    """
    later, earlier = said.get("extra_special_tokens"), said.get("additional_special_tokens")
    if not isinstance(later, list):
        return {}
    tokens = [_text(token) for token in later]
    if earlier and [_text(token) for token in earlier] != tokens:
        raise UserError(
            f"{path}: extra_special_tokens: transformers 5's name of additional_special_tokens, and they differ: {tokens}, "
            f"{[_text(token) for token in earlier]}. Keep the right one."
        )
    return {"additional_special_tokens": tokens, "extra_special_tokens": {}}


def _text(token: Any) -> str:
    return str(token.get("content")) if isinstance(token, dict) else str(token)


def _check_whole(folder: Path) -> None:
    """Every JSON file is one.

    Raises:
        UserError: If one is cut short.
    """
    for name in _SMALL_FILES:
        if (folder / name).is_file():
            read_model_json(folder / name)


def _why_not(folder: Path, said: dict[str, Any], error: Exception) -> str:
    """The message for files that are whole, and not readable here."""
    import transformers

    why = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}".rstrip(".")
    path = folder / "config.json"
    written_by = str(read_model_json(path).get("transformers_version", "")) if path.is_file() else ""
    newer = written_by.partition(".")[0]
    if said.get("auto_map"):
        cure = "It is code of the model's own, which is not run here: choose a model whose tokenizer the library has"
    elif "backend" in said or (newer.isdigit() and int(newer) > int(transformers.__version__.partition(".")[0])):
        name = f"transformers {written_by}" if newer and newer > "4" else "transformers 5"
        cure = (
            f"It was written by {name}, and this environment has {transformers.__version__}: take the tokenizer files of an "
            f"earlier revision of the model, or a {SERIALISED} that holds all of it, with tokenizer_class PreTrainedTokenizerFast"
        )
    else:
        cure = "Take the tokenizer files from where the model is published"
    return f"{folder}: has no tokenizer that can be read here ({why}). {sentence(cure)}"


def _check_flags(tokenizer: Any, said: dict[str, Any], path: Path) -> None:
    """A generic tokenizer begins a text as the file says: 4.57 leaves these flags of it unread, 5 does not.

    Raises:
        UserError: If it does not.
    """
    if type(tokenizer).__name__ != "PreTrainedTokenizerFast":
        return
    ids = list(tokenizer("a")["input_ids"])
    is_there = {
        "add_bos_token": ids[:1] == [tokenizer.bos_token_id], "add_eos_token": ids[-1:] == [tokenizer.eos_token_id],
    }
    for flag, found in is_there.items():
        if isinstance(said.get(flag), bool) and said[flag] != found:
            puts = "puts" if found else "does not put"
            what = f"is {str(said[flag]).lower()}, and {SERIALISED} {puts} such a token"
            raise UserError(f"{path}: {flag}: {what}. Correct the one that is wrong.")
