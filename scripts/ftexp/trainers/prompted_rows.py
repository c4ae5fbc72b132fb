"""The rows that a trainer trains on: tokens, labels, and an order that the seed decides; the same for every trainer."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from ftexp.data.cell_text import cell_text
from ftexp.data.conversations import answer_text
from ftexp.data.prompts import prompt_turns
from ftexp.data.rows import iter_items
from ftexp.ground.counting import counted
from ftexp.ground.errors import UserError
from ftexp.models.chat import Chat
from ftexp.models.token_table import TokenTable, document_table, example_tables
from ftexp.trainers.training_row import TrainingRow

IGNORED_LABEL = -100


class PromptedRows(Dataset[dict[str, list[int]]]):
    """The first `rows` rows of a split, tokenized, in an order drawn from `seed`.

    A sampler shuffles them by a seed that is fixed at 0 (`epoch_order`), as torchtune's recipes do; the permutation here, on
    top of it, makes the order depend on the run's seed, anew for every epoch. `rows` is a multiple of the effective batch, so
    that no accumulation group is left incomplete, and the set of rows is the same for all seeds.

    Each row is `{"tokens": [n], "labels": [n]}`; `labels` is the token, or -100 where it is not trained. The trainer
    shifts labels by one itself.

    Attributes:
        order: Which row of the split lies at each position.
        pad_id: The token that fills up a batch.
    """

    def __init__(
        self, tokenizer: Chat, *, file: str, system: str | None = None, user: str = "", input_column: str = "",
        output_column: str = "", text_column: str | None = None, loss: str, rows: int, seed: int, max_seq_len: int | None = None,
    ) -> None:
        """Tokenize the rows: prompts and answers, or, where `text_column` names one, whole documents, which have no prompt.

        Raises:
            UserError: If the split has fewer rows than `rows`, a row is longer than `max_seq_len`, or neither a text nor a
                prompt is named, or both.
        """
        prompted = [user, input_column, output_column]
        if any(prompted if text_column else [not all(prompted)]) or (text_column and (system or loss != "full")):
            what = "must name text_column, with loss: full, or user, input_column and output_column"
            raise UserError(f"{file}: the config's dataset {what}. Run `make stamp`.")
        taken = (item["row"] for item in itertools.islice(iter_items(Path(file)), rows))
        told = counted(taken, f"tokens of {file}", rows)
        if text_column:
            self._answers = document_table(tokenizer, (cell_text(row, text_column) for row in told))
            self._prompts = TokenTable([] for _ in range(len(self._answers)))
        else:
            asked = {"system": system, "user": user}
            examples = ((prompt_turns(asked, input_column, row), answer_text(row, input_column, output_column)) for row in told)
            self._prompts, self._answers = example_tables(tokenizer, examples)
        if len(self._prompts) < rows:
            raise UserError(f"{file}: has {len(self._prompts)} rows, but the config wants {rows}. Run `make stamp split`.")
        self._loss, self.pad_id = loss, tokenizer.pad_id
        lengths = [prompt + answer for prompt, answer in zip(self._prompts.lengths(), self._answers.lengths(), strict=True)]
        _refuse_long_rows(lengths, max_seq_len, file)
        self.order = row_order(rows, seed)

    def __len__(self) -> int:
        return len(self._prompts)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        row = self.order[index]
        return _example(self._prompts[row], self._answers[row], self._loss)


def training_rows_of(rows: PromptedRows) -> Iterator[TrainingRow]:
    """The rows as they are trained, in the data set's order."""
    for position, index in enumerate(rows.order):
        row = rows[position]
        yield TrainingRow(index, row["tokens"], [None if label == IGNORED_LABEL else label for label in row["labels"]])


def row_order(rows: int, seed: int) -> list[int]:
    """Which row of the split lies at each position of the data set."""
    return torch.randperm(rows, generator=torch.Generator().manual_seed(seed)).tolist()


def epoch_order(rows: int, epoch: int) -> list[int]:
    """The positions of the data set in the order in which an epoch, from 0, takes them: that of torch's DistributedSampler."""
    return torch.randperm(rows, generator=torch.Generator().manual_seed(epoch)).tolist()


def rows_of_step(rows: int, seed: int, step: int, effective_batch: int) -> list[int]:
    """The rows of the split, from 0, that an optimiser step, from 1 over the whole training, takes; in the split's order."""
    epoch, place = divmod(step - 1, rows // effective_batch)
    positions = epoch_order(rows, epoch)[place * effective_batch : (place + 1) * effective_batch]
    order = row_order(rows, seed)
    return sorted(order[position] for position in positions)


def tokenize_example(tokenizer: Chat, messages: list[dict[str, str]], answer: str, loss: str) -> dict[str, list[int]]:
    """Tokens and labels of one example; with `loss` completion only the answer is trained, its end token with it.

    No token predicts the first one, so it is never a label: a trainer counts labels before it shifts them, and would
    weigh a process's share of a batch by a count that is too high.
    """
    return _example(tokenizer.prompt_ids(messages), tokenizer.answer_ids(messages, answer), loss)


def _example(prompt_ids: list[int], answer_ids: list[int], loss: str) -> dict[str, list[int]]:
    tokens = prompt_ids + answer_ids
    masked = max(1, len(prompt_ids)) if loss == "completion" else 1
    return {"tokens": tokens, "labels": [IGNORED_LABEL] * masked + tokens[masked:]}


def _refuse_long_rows(lengths: Sequence[int], max_seq_len: int | None, file: str) -> None:
    longest = max(lengths)
    if max_seq_len is not None and longest > max_seq_len:
        count = sum(length > max_seq_len for length in lengths)
        raise UserError(
            f"{file}: max_seq_len: {count} of {len(lengths)} rows are longer than {max_seq_len} tokens (longest {longest}); "
            "their answers would be cut, and the end never trained. Raise max_seq_len or remove the rows."
        )


def chat_of(section: Mapping[str, Any]) -> Chat:
    """The tokens by a config's section: folder, date, template."""
    return Chat(section["path"], section["date"], section.get("template"))
