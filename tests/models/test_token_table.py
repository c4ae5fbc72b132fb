"""Many examples at once: the tokens of one by one, in little memory."""

import itertools
from pathlib import Path

import pytest
from ftexp.models import token_table
from ftexp.models.chat import Chat
from ftexp.models.token_table import TokenTable, example_tables, tokens_remembered
from helpers.tiny_models import DATE
from helpers.tiny_tokenizers import TOKENIZERS, generation_config, save_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

TEXTS = ["Yes", " blanks ", "two\nlines", "日本", "{x} {{ y }}", "Yes .", "é", "e\u0301", "<s>", "[/INST]", "a" * 50]


@pytest.mark.parametrize("name", list(TOKENIZERS), ids=str)
def test_many_examples_have_the_tokens_of_one_by_one(name: str | None, tmp_path: Path) -> None:
    generation_config(save_tokenizer(tmp_path, name), name).save_pretrained(tmp_path)
    chat = Chat(tmp_path, DATE)
    examples = [([{"role": "user", "content": asked}], answer) for asked, answer in itertools.product(TEXTS, TEXTS)]
    if chat.has_template:
        between = {"role": "assistant", "content": "b"}
        examples += [([*messages, between, *messages], answer) for messages, answer in examples[:20]]
    prompts, answers = example_tables(chat, examples)
    assert list(prompts) == [chat.prompt_ids(messages) for messages, _ in examples]
    assert list(answers) == [chat.answer_ids(messages, answer) for messages, answer in examples]


def test_equal_batches_are_made_once_where_they_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generation_config(save_tokenizer(tmp_path, "chatml"), "chatml").save_pretrained(tmp_path)
    chat, other = Chat(tmp_path, DATE), Chat(tmp_path, "1999-12-31")
    examples = [([{"role": "user", "content": str(number)}], "x") for number in range(50)]
    made: list[int] = []
    inner = token_table._made
    monkeypatch.setattr(token_table, "_made", lambda chat, batch: made.append(len(batch)) or inner(chat, batch))
    monkeypatch.setattr(token_table, "_BATCH", 20)
    with tokens_remembered():
        first = [list(table) for table in example_tables(chat, examples)]
        again = [list(table) for table in example_tables(Chat(tmp_path, DATE), examples)]
        assert first == again and made == [20, 20, 10]
        example_tables(chat, examples[:30])
        assert made == [20, 20, 10, 10], "a batch that is another is made"
        example_tables(other, examples[:20])
        assert made[4:] == [20], "another date is another tokenizer"
    example_tables(chat, examples[:20])
    assert made[5:] == [20], "outside of it nothing is remembered"


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=5), max_size=6))
def test_a_table_holds_its_rows_and_tells_equal_ones(rows: list[list[int]]) -> None:
    table, twice = TokenTable(rows), TokenTable(rows)
    twice.extend(table)
    assert list(table) == rows and list(twice) == rows * 2 and table.lengths() == [len(row) for row in rows]
    assert [table.key(n) == table.key(0) for n in range(len(rows))] == [row == rows[0] for row in rows]
