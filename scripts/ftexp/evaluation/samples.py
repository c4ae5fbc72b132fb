"""The test rows as inspect-ai samples, with the turns that training saw."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

from ftexp.data.cell_text import cell_text
from ftexp.data.choices import options_of
from ftexp.data.conversations import answer_text
from ftexp.data.prompts import prompt_turns
from ftexp.data.rows import read_items
from ftexp.evaluation.cut_documents import CUT, DOCUMENT, TOKENS
from ftexp.ground.paths import from_root
from ftexp.models.beginning import beginning_of
from ftexp.models.chat import Chat, Message


def test_samples(
    file: str, prompt: Mapping[str, str | None], columns: tuple[str, str], choices: str | Sequence[str] | None = None
) -> MemoryDataset:
    """One sample per test row, in the split's order; its id is the item's, the hash of the raw row, its metadata the row.

    Args:
        prompt: system and user.
        columns: Those of input and output.
        choices: The options of every row, or the column that holds those of each.
    """
    samples = []
    for item in read_items(from_root(file)):
        row: Mapping[str, Any] = item["row"]
        target = answer_text(row, *columns)
        samples.append(Sample(
            id=item["item"], input=[_message(turn) for turn in prompt_turns(prompt, columns[0], row)], target=target,
            metadata={"row": dict(row)}, choices=options_of(choices, row, right=target) if choices else None,
        ))
    return MemoryDataset(samples, name=Path(file).parent.name)


def documents(file: str, column: str) -> MemoryDataset:
    """One sample per document, which is read as it stands."""
    pairs = [(item["item"], item["row"]) for item in read_items(from_root(file))]
    samples = [
        Sample(id=name, input=[ChatMessageUser(content=cell_text(row, column))], metadata={"row": dict(row)})
        for name, row in pairs
    ]
    return MemoryDataset(samples, name=Path(file).parent.name)


def beginnings(file: str, column: str, after: Mapping[str, float], *, base: str, date: str) -> MemoryDataset:
    """One sample per document: its beginning, which the model is given by its tokens, without a template; its target is the rest.

    Args:
        after: A unit, and how many of it, or which share of them, the beginning has.
        base: Folder of the base model, whose tokens a document is cut between.
    """
    chat, samples = Chat(from_root(base), date), []
    for item in read_items(from_root(file)):
        cut = beginning_of(chat, item["row"], column, after)
        given = ChatMessageUser(content=cut.text[: cut.end], metadata={DOCUMENT: cut.text, TOKENS: cut.tokens})
        metadata = {"row": dict(item["row"]), CUT: cut.end}
        samples.append(Sample(id=item["item"], input=[given], target=cut.rest, metadata=metadata))
    return MemoryDataset(samples, name=Path(file).parent.name)


def _message(turn: Message) -> ChatMessage:
    if turn["role"] == "assistant":
        return ChatMessageAssistant(content=turn["content"])
    return ChatMessageSystem(content=turn["content"]) if turn["role"] == "system" else ChatMessageUser(content=turn["content"])
