"""A document that is to be completed, on its way through inspect-ai: the message says which tokens of it the model is given."""

from collections.abc import Sequence

from inspect_ai.model import ChatMessage

from ftexp.models.chat import Chat

# Of a message: the whole document, and how many of its tokens the beginning has. Of a sample: how many characters.
DOCUMENT, TOKENS, CUT = "document", "tokens", "cut"


def cut_ids(chat: Chat, messages: Sequence[ChatMessage]) -> tuple[list[int], list[int]] | None:
    """The tokens of the beginning, what stands before it with them, and those of the rest, the end token with them.

    None where the messages are no document's beginning.
    """
    said = messages[0].metadata if len(messages) == 1 else None
    if not said or DOCUMENT not in said:
        return None
    ids, size = chat.document_ids(said[DOCUMENT]), 1 + int(said[TOKENS])
    return ids[:size], ids[size:]
