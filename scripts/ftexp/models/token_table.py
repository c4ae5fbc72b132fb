"""Rows of tokens without an object per token: a million short rows take megabytes, and are made in batches."""

import contextlib
import hashlib
import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from ftexp.models.chat import Chat, Message

Example = tuple[list[Message], str]
_Row = TypeVar("_Row", Example, str)
_BATCH = 1000
_known: "dict[bytes, tuple[TokenTable, ...]] | None" = None


class TokenTable:
    """Rows of token ids, end to end, four bytes each."""

    def __init__(self, rows: Iterable[list[int]] = ()) -> None:
        """Take rows over."""
        self._tokens = array("i")
        self._ends = array("q", [0])
        for row in rows:
            self.append(row)

    def extend(self, other: "TokenTable") -> None:
        """Add the rows of another table."""
        start = len(self._tokens)
        self._tokens.extend(other._tokens)
        self._ends.extend(start + end for end in other._ends[1:])

    def append(self, row: list[int]) -> None:
        """Add a row at the end."""
        self._tokens.extend(row)
        self._ends.append(len(self._tokens))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> list[int]:
        return self._slice(index).tolist()

    def __iter__(self) -> Iterator[list[int]]:
        return (self[index] for index in range(len(self)))

    def length(self, index: int) -> int:
        """Tokens of a row."""
        return self._ends[index + 1] - self._ends[index]

    def lengths(self) -> list[int]:
        """Tokens of every row."""
        return [self.length(index) for index in range(len(self))]

    def key(self, index: int) -> bytes:
        """Sixteen bytes that equal rows share and others do not."""
        return hashlib.blake2b(self._slice(index).tobytes(), digest_size=16).digest()

    def _slice(self, index: int) -> "array[int]":
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._tokens[self._ends[index] : self._ends[index + 1]]


def example_tables(chat: Chat, examples: Iterable[Example]) -> tuple[TokenTable, TokenTable]:
    """Prompts and answers of examples, as `Chat` renders each.

    Raises:
        UserError: If the chat template cannot render one.
    """
    prompts, answers = TokenTable(), TokenTable()
    remaining = iter(examples)
    while batch := list(itertools.islice(remaining, _BATCH)):
        of_prompts, of_answers = _tables_of(chat, batch, _made)
        prompts.extend(of_prompts)
        answers.extend(of_answers)
    return prompts, answers


def document_table(chat: Chat, texts: Iterable[str]) -> TokenTable:
    """Documents, as `Chat` makes each."""
    documents = TokenTable()
    remaining = iter(texts)
    while batch := list(itertools.islice(remaining, _BATCH)):
        documents.extend(_tables_of(chat, batch, _made_of_texts)[0])
    return documents


@contextlib.contextmanager
def tokens_remembered() -> Iterator[None]:
    """Within it equal batches of one tokenizer are made once: a check that makes rows in two ways pays for one."""
    global _known
    _known, before = {}, _known
    try:
        yield
    finally:
        _known = before


def _tables_of(
    chat: Chat, batch: list[_Row], make: Callable[[Chat, list[_Row]], tuple[TokenTable, ...]]
) -> tuple[TokenTable, ...]:
    if _known is None:
        return make(chat, batch)
    key = hashlib.blake2b(repr((chat.identity, batch)).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if key not in _known:
        _known[key] = make(chat, batch)
    return _known[key]


def _made(chat: Chat, batch: list[Example]) -> tuple[TokenTable, ...]:
    ids = chat.example_ids(batch)
    return TokenTable(prompt for prompt, _ in ids), TokenTable(answer for _, answer in ids)


def _made_of_texts(chat: Chat, batch: list[str]) -> tuple[TokenTable, ...]:
    return (TokenTable(chat.documents_ids(batch)),)
