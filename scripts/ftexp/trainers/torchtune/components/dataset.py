"""The data set component: prompted rows in an order that the seed decides."""

import itertools
from pathlib import Path

import torch
from torch.utils.data import Dataset

from ftexp.data.conversations import answer_text
from ftexp.data.prompts import prompt_turns
from ftexp.data.rows import iter_items
from ftexp.ground.counting import counted
from ftexp.ground.errors import UserError
from ftexp.models.token_table import example_tables
from ftexp.trainers.torchtune.components.tokenizer import ChatTokenizer

IGNORED_LABEL = -100


class PromptedRows(Dataset[dict[str, list[int]]]):
    """The first `rows` rows of a split, tokenized, in an order drawn from `seed`.

    The recipes shuffle by a sampler whose seed is fixed at 0; the permutation here, on top of it, makes the order
    depend on the run's seed, anew for every epoch. `rows` is a multiple of the effective batch, so that no
    accumulation group is left incomplete, and the set of rows is the same for all seeds.

    Each row is `{"tokens": [n], "labels": [n]}`; `labels` is the token, or -100 where it is not trained. The recipe
    shifts labels by one itself.
    """

    def __init__(
        self, tokenizer: ChatTokenizer, *, file: str, system: str | None, user: str, input_column: str,
        output_column: str, loss: str, rows: int, seed: int, max_seq_len: int | None = None,
    ) -> None:
        """Tokenize the rows.

        Raises:
            UserError: If the split has fewer rows than `rows`, or a row is longer than `max_seq_len`.
        """
        prompt = {"system": system, "user": user}
        taken = (item["row"] for item in itertools.islice(iter_items(Path(file)), rows))
        examples = ((prompt_turns(prompt, input_column, row), answer_text(row, input_column, output_column)) for row in taken)
        self._prompts, self._answers = example_tables(tokenizer, counted(examples, f"tokens of {file}", rows))
        if len(self._prompts) < rows:
            raise UserError(f"{file}: has {len(self._prompts)} rows, but the config wants {rows}. Run `make stamp split`.")
        self._loss = loss
        lengths = [prompt + answer for prompt, answer in zip(self._prompts.lengths(), self._answers.lengths(), strict=True)]
        _refuse_long_rows(lengths, max_seq_len, file)
        self.order: list[int] = torch.randperm(rows, generator=torch.Generator().manual_seed(seed)).tolist()

    def __len__(self) -> int:
        return len(self._prompts)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        row = self.order[index]
        return _example(self._prompts[row], self._answers[row], self._loss)


def tokenize_example(tokenizer: ChatTokenizer, messages: list[dict[str, str]], answer: str, loss: str) -> dict[str, list[int]]:
    """Tokens and labels of one example; with `loss` completion only the answer is trained, its end token with it.

    No token predicts the first one, so it is never a label: the recipe counts labels before it shifts them, and would
    weigh a process's share of a batch by a count that is too high.
    """
    return _example(tokenizer.prompt_ids(messages), tokenizer.answer_ids(messages, answer), loss)


def _example(prompt_ids: list[int], answer_ids: list[int], loss: str) -> dict[str, list[int]]:
    tokens = prompt_ids + answer_ids
    masked = max(1, len(prompt_ids)) if loss == "completion" else 1
    return {"tokens": tokens, "labels": [IGNORED_LABEL] * masked + tokens[masked:]}


def _refuse_long_rows(lengths: list[int], max_seq_len: int | None, file: str) -> None:
    longest = max(lengths)
    if max_seq_len is not None and longest > max_seq_len:
        count = sum(length > max_seq_len for length in lengths)
        raise UserError(
            f"{file}: max_seq_len: {count} of {len(lengths)} rows are longer than {max_seq_len} tokens (longest {longest}); "
            "their answers would be cut, and the end never trained. Raise max_seq_len or remove the rows."
        )
