"""The rows that a classifier trains on: the tokens of a prompt and the number of its label, in the order of all trainings."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from ftexp.data.conversations import answer_text
from ftexp.data.prompts import prompt_turns
from ftexp.data.rows import iter_items
from ftexp.ground.errors import UserError
from ftexp.models.chat import Chat
from ftexp.trainers.prompted_rows import IGNORED_LABEL, row_order


class LabelledRows(Dataset[dict[str, Any]]):
    """The first `rows` rows of a split: `{"tokens": [n], "labels": number}`.

    Attributes:
        order: Which row of the split lies at each position.
        pad_id: The token that fills up a batch.
    """

    def __init__(self, tokenizer: Chat, labels: Sequence[str], section: Mapping[str, Any], *, is_strict: bool = True) -> None:
        """Tokenize the prompts.

        Args:
            section: The config's `dataset`: file, system, user, input_column, output_column, rows, seed, max_seq_len.
            is_strict: Whether every answer must be a label; else the row of another one counts for nothing.

        Raises:
            UserError: If the split has fewer rows, a prompt is longer than `max_seq_len`, or an answer is no label.
        """
        file, columns = section["file"], (section["input_column"], section["output_column"])
        numbers = {label: number for number, label in enumerate(labels)}
        asked = {"system": section["system"], "user": section["user"]}
        self._rows: list[tuple[list[int], int]] = []
        for item in itertools.islice(iter_items(Path(file)), section["rows"]):
            answer = answer_text(item["row"], *columns)
            if is_strict and answer not in numbers:
                raise UserError(f"{file}: the answer {answer!r} is none of the labels of the config. Run `make stamp split`.")
            tokens = tokenizer.prompt_ids(prompt_turns(asked, columns[0], item["row"]))
            if section["max_seq_len"] is not None and len(tokens) > section["max_seq_len"]:
                what = f"a prompt has {len(tokens)} tokens, and {section['max_seq_len']} are the most"
                raise UserError(f"{file}: max_seq_len: {what}. Raise max_seq_len or remove the row.")
            self._rows.append((tokens, numbers.get(answer, IGNORED_LABEL)))
        if len(self._rows) < section["rows"]:
            what = f"has {len(self._rows)} rows, but the config wants {section['rows']}"
            raise UserError(f"{file}: {what}. Run `make stamp split`.")
        self.order = row_order(len(self._rows), section["seed"])
        self.pad_id = tokenizer.pad_id

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        tokens, label = self._rows[self.order[index]]
        return {"tokens": tokens, "labels": label}
