"""The beginning of a document: always the first of its own tokens, whatever the tokenizer, and the rest is what follows them."""

from pathlib import Path
from typing import Any

import pytest
from ftexp.data.cell_text import Row
from ftexp.data.cuts import cut_place
from ftexp.ground.errors import UserError
from ftexp.models.beginning import Beginning, beginning_of
from ftexp.models.chat import Chat
from helpers.tiny_models import DATE
from helpers.tiny_tokenizers import TOKENIZERS, generation_config, save_tokenizer
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

TEXTS = ["One is here. Two is there. Three.", "Ein Öl. Zwei Öle!", "日本です。次です。", " led by blanks. and  so ", "a\n\nb. c"]
AFTER = [{"sentences": 0.5}, {"words": 1}, {"words": 0.6}, {"tokens": 0.5}, {"tokens": 4}]


def chat_of(folder: Path, name: str | None) -> Chat:
    generation_config(save_tokenizer(folder, name), name).save_pretrained(folder)
    return Chat(folder, DATE)


def begin(chat: Chat, text: str, after: dict[str, Any]) -> Beginning:
    return beginning_of(chat, Row({"text": text}, "papers.json", 7), "text", after)


@pytest.mark.parametrize("name", list(TOKENIZERS), ids=str)
def test_what_the_model_is_given_are_the_first_tokens_of_the_document(name: str | None, tmp_path: Path) -> None:
    chat = chat_of(tmp_path, name)
    for text in TEXTS:
        for after in AFTER:
            row = Row({"text": text}, "papers.json", 7)
            try:
                place = None if "tokens" in after else cut_place(row, "text", after)
            except UserError:
                continue
            cut = begin(chat, text, after)
            assert cut.prompt_ids == chat.document_ids(text)[: len(cut.prompt_ids)] and len(cut.prompt_ids) == 1 + cut.tokens
            assert place is None or cut.end <= len(text) - len(text[place:].lstrip())
            assert place is None or text[cut.end :].strip() == text[place:].strip(), "bytes and letters end where words do"
            assert chat.decode(cut.ids[1 + cut.tokens : -1]).strip() == cut.rest
            assert chat.decode(cut.prompt_ids).strip() == text[: cut.end].strip()


def test_a_character_of_several_tokens_stays_whole(tmp_path: Path) -> None:
    chat = chat_of(tmp_path, "chatml")
    assert len(chat.document_ids("日本")) == 8, "three bytes a character"
    assert [begin(chat, "日本", {"tokens": number}).end for number in (3, 4, 5)] == [1, 1, 1]
    with pytest.raises(UserError, match="cannot be cut between two tokens after 2 tokens so that something is on either side"):
        begin(chat, "日本", {"tokens": 2})


def merging(folder: Path, *merges: tuple[str, str]) -> Chat:
    """A tokenizer of bytes that has some pairs as one token."""
    texts = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *map("".join, merges)]
    vocabulary = {text: number for number, text in enumerate(texts)}
    backend = Tokenizer(BPE(vocabulary, list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>").save_pretrained(folder)
    return Chat(folder, DATE)


def test_a_cut_within_a_token_moves_before_it(tmp_path: Path) -> None:
    chat = merging(tmp_path, (".", "Ġ"), (".Ġ", "T"))
    cut = begin(chat, "One. Two.", {"sentences": 0.5})
    assert (cut.text[: cut.end], cut.rest) == ("One", ". Two.")
    assert cut.prompt_ids == chat.document_ids("One. Two.")[:4]


def test_blanks_that_are_one_token_with_the_end_of_a_sentence_belong_to_the_beginning(tmp_path: Path) -> None:
    chat = merging(tmp_path, (".", "Ċ"), (".Ċ", "Ċ"))
    cut = begin(chat, "One.\n\nTwo.", {"sentences": 0.5})
    assert (cut.text[: cut.end], cut.rest) == ("One.\n\n", "Two.")


@pytest.mark.parametrize(("text", "after", "what"), [
    ("ab", {"tokens": 2}, "has 2 tokens, and 2 are asked for"), ("a", {"tokens": 0.5}, "has 1 token, of which no beginning"),
    ("ab   ", {"tokens": 4}, "cannot be cut between two tokens after 4 tokens"),
])
def test_a_document_of_too_few_tokens_is_named(text: str, after: dict[str, Any], what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"papers.json: row 7: column 'text': {what}"):
        begin(chat_of(tmp_path, "chatml"), text, after)
