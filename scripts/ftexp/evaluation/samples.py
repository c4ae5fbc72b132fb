"""The test rows as inspect-ai samples, with the turns that training saw."""

from pathlib import Path

from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

from ftexp.data.conversations import answer_text
from ftexp.data.prompts import prompt_turns
from ftexp.data.rows import read_items
from ftexp.ground.paths import from_root
from ftexp.models.chat import Message


def test_samples(file: str, *, system: str | None, user: str, input_column: str, output_column: str) -> MemoryDataset:
    """One sample per test row, in the split's order; its id is the item's, the hash of the raw row."""
    prompt = {"system": system, "user": user}
    samples = [
        Sample(
            id=item["item"],
            input=[_message(turn) for turn in prompt_turns(prompt, input_column, item["row"])],
            target=answer_text(item["row"], input_column, output_column),
        )
        for item in read_items(from_root(file))
    ]
    return MemoryDataset(samples, name=Path(file).parent.name)


def _message(turn: Message) -> ChatMessage:
    if turn["role"] == "assistant":
        return ChatMessageAssistant(content=turn["content"])
    return ChatMessageSystem(content=turn["content"]) if turn["role"] == "system" else ChatMessageUser(content=turn["content"])
