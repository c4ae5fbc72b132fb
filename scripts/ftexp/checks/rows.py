"""The rows of one part of a split, with their tokens as training and evaluation render them."""

import textwrap
from collections.abc import Callable, Iterable
from typing import Any

from ftexp.data.conversations import answer_text, earlier_turns, input_text
from ftexp.data.prompts import placeholders, prompt_turns, shown_text
from ftexp.data.rows import read_items
from ftexp.design.run import Run, Task
from ftexp.ground import paths
from ftexp.ground.counting import counted
from ftexp.models.chat import Chat, Message
from ftexp.models.token_table import example_tables

Item = dict[str, Any]
# Characters of an input that a message shows.
WORDS = 40


class Rows:
    """Rows of one part as the one module that makes tokens renders them.

    Attributes:
        prompts: Per row the token ids of its prompt, answers likewise of its reference answer.
    """

    def __init__(self, asked: Run | Task, chat: Chat, part: str = "train") -> None:
        """Of a run the rows that it is trained on, or of another part of its training set; of a task those that it asks."""
        name, part = (asked.test_set, "test") if isinstance(asked, Task) else (asked.training_set, part)
        self.file = paths.split_part(name, part)
        self.items: list[Item] = read_items(self.file)
        self.input, self.output, self.prompt = asked.data["input"], asked.data["output"], asked.prompt
        told = counted(self.items, f"validate: tokens of {self.file}", len(self.items))
        self.prompts, self.answers = example_tables(chat, ((self.messages(item), self.answer(item)) for item in told))

    def messages(self, item: Item) -> list[Message]:
        """The turns before the answer."""
        return prompt_turns(self.prompt, self.input, item["row"])

    def texts(self, item: Item) -> list[str]:
        """What the data says before the answer: the columns that the prompt shows, and the turns before the question."""
        row = item["row"]
        names = placeholders(self.prompt["user"])
        shown = (shown_text(row, self.input, name) for name in names)
        return [*(turn["content"] for turn in earlier_turns(row, self.input)), *shown]

    def answer(self, item: Item) -> str:
        """The reference answer as text."""
        return answer_text(item["row"], self.input, self.output)

    def where(self, positions: Iterable[int]) -> str:
        """The file and the first of some items with its input's first words, and how many more."""
        listed = list(positions)
        item = self.items[listed[0]]
        more = f" and {len(listed) - 1} more" if len(listed) > 1 else ""
        text = input_text(item["row"], self.input)
        words = textwrap.shorten(text if text.strip() else self.messages(item)[-1]["content"], WORDS, placeholder=" ...")
        return f"{self.file}: item {item['item']} ({words or 'empty'}){more}"

    def first_wrong(self, is_wrong: Callable[[int], bool], what: Callable[[int], str]) -> list[str]:
        """One message for all rows that are wrong, in the words of the first of them."""
        wrong = [n for n in range(len(self.items)) if is_wrong(n)]
        return [f"{self.where(wrong)}: {what(wrong[0])}"] if wrong else []
