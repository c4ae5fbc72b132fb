"""Whole documents as every trainer has them: from BOS to the end token, each token but the first a label."""

import json
from pathlib import Path
from typing import Any

import pytest
from ftexp.ground.errors import UserError
from ftexp.models.chat import Chat
from ftexp.models.token_table import document_table
from ftexp.trainers.prompted_rows import IGNORED_LABEL, PromptedRows
from helpers.tiny_models import DATE
from helpers.tiny_tokenizers import TOKENIZERS, generation_config, save_tokenizer

TEXTS = ["One. Two.", " blanks ", "two\nlines", "日本。", "{x} {{ y }}", "e\u0301"]
# What stands before a text, and what ends it: BOS where the tokenizer has one, else the end token.
ENDS = {
    "chatml": ("<|im_end|>", "<|im_end|>"), "qwen2.5-base": ("<|endoftext|>", "<|endoftext|>"),
    "llama3": ("<|begin_of_text|>", "<|eot_id|>"), None: ("<|begin_of_text|>", "<|end_of_text|>"),
    "llama2": ("<s>", "</s>"), "gemma2": ("<bos>", "<eos>"), "phi3": ("<s>", "<|endoftext|>"),
}


def chat_of(folder: Path, name: str | None) -> Chat:
    generation_config(save_tokenizer(folder, name), name).save_pretrained(folder)
    return Chat(folder, DATE)


def rows_of(folder: Path, chat: Chat, **changes: Any) -> PromptedRows:
    file = folder / "train.jsonl"
    items = [{"item": str(number), "row": {"abstract": text}} for number, text in enumerate(TEXTS)]
    file.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    arguments = {"text_column": "abstract", "loss": "full", "rows": len(TEXTS), "seed": 3, **changes}
    return PromptedRows(chat, file=str(file), **arguments)


@pytest.mark.parametrize("name", list(ENDS), ids=str)
def test_a_document_is_what_stands_before_it_its_own_tokens_and_the_end(name: str | None, tmp_path: Path) -> None:
    chat = chat_of(tmp_path, name)
    first, last = (chat.tokenizer.convert_tokens_to_ids(token) for token in ENDS[name])
    own = [chat.tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    assert [chat.document_ids(text) for text in TEXTS] == [[first, *ids, last] for ids in own]
    assert last in chat.stop_ids
    rows = rows_of(tmp_path, chat)
    assert [rows[place] for place in range(len(rows))] == [
        {"tokens": [first, *own[row], last], "labels": [IGNORED_LABEL, *own[row], last]} for row in rows.order
    ]


@pytest.mark.parametrize("name", list(TOKENIZERS), ids=str)
def test_many_documents_have_the_tokens_of_one_by_one(name: str | None, tmp_path: Path) -> None:
    chat = chat_of(tmp_path, name)
    assert list(document_table(chat, TEXTS)) == [chat.document_ids(text) for text in TEXTS]


def test_a_document_longer_than_the_limit_is_refused_and_never_cut(tmp_path: Path) -> None:
    chat = chat_of(tmp_path, "chatml")
    longest = max(len(chat.document_ids(text)) for text in TEXTS)
    assert len(rows_of(tmp_path, chat, max_seq_len=longest)) == len(TEXTS)
    with pytest.raises(UserError, match=rf"max_seq_len: 1 of 6 rows are longer than {longest - 1} tokens"):
        rows_of(tmp_path, chat, max_seq_len=longest - 1)


@pytest.mark.parametrize("changes", [
    {"user": "{input}"}, {"input_column": "a", "output_column": "b"}, {"system": "Be brief."}, {"loss": "completion"},
    {"text_column": None}, {"text_column": None, "user": "{input}", "input_column": "abstract"},
], ids=str)
def test_a_config_names_a_text_or_a_prompt_and_an_answer(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must name text_column, with loss: full, or user, input_column and output_column"):
        rows_of(tmp_path, chat_of(tmp_path, "chatml"), **changes)
