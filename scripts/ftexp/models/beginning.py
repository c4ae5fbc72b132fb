"""The beginning of a document as a model is given it to complete, and the rest: the tokens that training sees, cut between two.

Where a sentence or a word ends within a token, the beginning ends before that token; blanks after it belong to it where the
tokenizer makes them one token with its last characters. So the tokens of the beginning are always the first of the document's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from ftexp.data.cell_text import Row, cell_text, where
from ftexp.data.cuts import TOKENS, cut_place, rest_of, units_before
from ftexp.ground.errors import UserError, one_line
from ftexp.models.chat import Chat


@dataclass(frozen=True)
class Beginning:
    """A document that is cut.

    Attributes:
        ids: The whole document's, from what stands before it to the end token.
        tokens: How many of the document's own tokens the beginning has.
        end: How many characters.
    """

    text: str
    ids: list[int]
    tokens: int
    end: int

    @property
    def prompt_ids(self) -> list[int]:
        """What the model is given: what stands before a document, and the beginning's tokens."""
        return self.ids[: 1 + self.tokens]

    @property
    def rest(self) -> str:
        """What is to be said after it, outer blanks aside."""
        return rest_of(self.text, self.end)


def beginning_of(chat: Chat, row: Row, column: str, after: Mapping[str, float]) -> Beginning:
    """The beginning of a row's document.

    Args:
        after: A unit (sentences, words, tokens), and how many of it, or which share of them.

    Raises:
        UserError: If the document is too short, or the tokenizer cannot tell where its tokens lie.
    """
    text = cell_text(row, column)
    ends, starts = _places(chat, text)
    of = f"{where(row)}: column '{one_line(column)}'"
    if TOKENS in after:
        tokens = units_before(len(ends), TOKENS, after[TOKENS], of)
    else:
        place = cut_place(row, column, after)
        with_blanks = len(text) - len(text[place:].lstrip())
        is_after = (start >= place or end > with_blanks for start, end in zip(starts, ends, strict=True))
        tokens = next((number for number, after_it in enumerate(is_after) if after_it), len(ends))
    while 0 < tokens < len(ends) and starts[tokens] < ends[tokens - 1]:  # within a character of several tokens
        tokens -= 1
    end = ends[tokens - 1] if tokens else 0
    if not tokens or not rest_of(text, end):
        unit, amount = next(iter(after.items()))
        what = f"cannot be cut between two tokens after {amount} {unit} so that something is on either side"
        raise UserError(f"{of}: {what} (evaluation.tasks: complete). Leave the row out, or cut elsewhere.")
    return Beginning(text, chat.document_ids(text), tokens, end)


def _places(chat: Chat, text: str) -> tuple[list[int], list[int]]:
    """Where each token of a text ends, and where it starts."""
    if not chat.tokenizer.is_fast:
        what = "its tokenizer cannot say where in a text its tokens lie, so that no document can be cut between two of them"
        raise UserError(f"{chat.identity[0]}: {what}. Save it with a tokenizer.json.")
    places = chat.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    ends = [int(end) for _, end in places]
    assert all(one <= other for one, other in pairwise(ends)), "tokens come in the order of the text"
    return ends, [int(start) for start, _ in places]
