"""Do the parts of a base model's folder belong together? Its config.json, its tokenizer, its special tokens, its template."""

import re
from pathlib import Path

from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.models.chat import Chat
from ftexp.models.config_json import ModelConfig, read_model_config, require_tested
from ftexp.models.reading import ALLOW_UNTESTED
from ftexp.models.typed_keys import end_ids

# Texts that stand for one token in the templates of chat models.
_MARK = re.compile(r"<\|[^|<>{}'\"\s]+\|>|<(?:start|end)_of_turn>")
# Below this share of config.json's vocabulary a tokenizer is that of another model; padding takes at most some hundred ids.
_LEAST_SHARE = 0.9


def check_model_folder(folder: Path, chat: Chat) -> tuple[list[str], list[str]]:
    """Errors and warnings of one base model.

    Args:
        chat: Its tokenizer and template, loaded.
    """
    config = read_model_config(folder)
    errors = [*_check_vocabulary(config, chat), *_check_begin(config, chat), *_check_ends(folder, chat)]
    return errors, [*_check_share(config, chat), *_check_marks(chat), *_check_turn_end(chat)]


def check_tested(run: Run) -> tuple[list[str], list[str]]:
    """Errors where a run's model is not one that is tested, or warnings where it may be another.

    A folder that cannot be read is a message of its own, elsewhere.
    """
    try:
        config = read_model_config(paths.model_dir(run.settings["model"]))
    except UserError:
        return [], []
    try:
        require_tested(config, run.settings)
    except UserError as problem:
        return str(problem).splitlines(), []
    return [], [f"experiment.yaml: {ALLOW_UNTESTED}: nobody has tested this: {message}" for message in config.untested]


def _check_vocabulary(config: ModelConfig, chat: Chat) -> list[str]:
    """Every token has a row in the embedding."""
    last = max(chat.tokenizer.get_vocab().values())
    if last < config.vocab_size:
        return []
    what = f"is {config.vocab_size}, but the tokenizer has tokens up to number {last}, so that some have no row in the embedding"
    return [f"{config.file}: vocab_size: {what}. Take this model's own tokenizer files, or give its embedding rows for them"]


def _check_share(config: ModelConfig, chat: Chat) -> list[str]:
    count = len(chat.tokenizer.get_vocab())
    if count >= _LEAST_SHARE * config.vocab_size:
        return []
    what = f"is {config.vocab_size}, but the tokenizer has {count} tokens only"
    return [f"{config.file}: vocab_size: {what}. Make sure that the tokenizer files are this model's"]


def _check_begin(config: ModelConfig, chat: Chat) -> list[str]:
    """The token that begins a text is one and the same in config.json and in the tokenizer."""
    named, own = config.bos, chat.tokenizer.bos_token_id
    if named is None or own is None or named == own:
        return []
    what = f"is {named}, but the tokenizer begins a text with token {own} ({chat.tokenizer.bos_token!r})"
    return [f"{config.file}: bos_token_id: {what}. Correct the one that is wrong, or take both files from one model"]


def _check_ends(folder: Path, chat: Chat) -> list[str]:
    """What stops generation is a token made for it, not a word of another model's vocabulary."""
    special = chat.tokenizer.added_tokens_decoder
    errors = []
    for name in ("config.json", "generation_config.json"):
        path = folder / name
        for token in end_ids(path) if path.is_file() else ():
            if token not in special:
                text = chat.tokenizer.convert_ids_to_tokens(token)
                found = f"is the ordinary token {text!r} of the tokenizer" if text is not None else "is no token of the tokenizer"
                errors.append(f"{path}: eos_token_id: {token} {found}. Correct it, or take all from one model")
    return errors


def _check_marks(chat: Chat) -> list[str]:
    """Every mark that the chat template writes is one token."""
    template = chat.tokenizer.chat_template
    marks = sorted(set(_MARK.findall(template))) if isinstance(template, str) else []
    known = chat.tokenizer.get_vocab()
    absent = [mark for mark in marks if mark not in known]
    if not absent:
        return []
    what = f"writes {', '.join(absent[:3])}, for which the tokenizer has no token of its own"
    return [f"{chat.template_place}: {what}. Make sure that template and tokenizer are this model's"]


def _check_turn_end(chat: Chat) -> list[str]:
    """What the template writes after an answer stops generation; where it does not, something else does."""
    if not chat.unended.strip():
        return []
    end = chat.tokenizer.convert_ids_to_tokens(chat.end_id)
    what = f"ends an answer with {chat.unended.strip()!r}, in which no token stops generation; {end} stands in its place"
    return [f"{chat.template_place}: {what}, in training and in evaluation. Let it write {end} there, to say so"]
