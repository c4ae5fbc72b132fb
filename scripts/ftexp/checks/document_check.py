"""The tokens of whole documents, as training, perplexity and generation have them, and what is odd about the documents.

Reads a run's split, its finetune.yaml and the tokenizer of its base model. Writes nothing.
"""

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable

from ftexp.checks.odd_cells import odd_texts
from ftexp.data.cell_text import cell_text
from ftexp.data.rows import read_items
from ftexp.design.run import Run, Task
from ftexp.design.tasks import key_of
from ftexp.ground import paths
from ftexp.ground.counting import counted
from ftexp.models.beginning import beginning_of
from ftexp.models.chat import Chat
from ftexp.models.token_table import document_table
from ftexp.trainers.choice import trainer_of

# Characters of a document that a message shows.
WORDS = 40
Found = tuple[list[str], list[str]]


class Documents:
    """Documents of one part of a split, with their tokens.

    Attributes:
        ids: Per document its tokens, from what stands before it to the end token.
    """

    def __init__(self, asked: Run | Task, chat: Chat, part: str = "train") -> None:
        """Of a run those that it is trained on, or of another part of its training set; of a task those that it asks."""
        is_task = isinstance(asked, Task)
        name, part = (asked.test_set, "test") if isinstance(asked, Task) else (asked.training_set, part)
        column = asked.column if isinstance(asked, Task) else asked.data["text"]
        self.file, self.column, self.is_asked = paths.split_part(name, part), str(column), is_task
        self.items = read_items(self.file)
        told = counted(self.items, f"validate: tokens of {self.file}", len(self.items))
        self.texts = [cell_text(item["row"], self.column) for item in told]
        self.ids = document_table(chat, self.texts)

    def where(self, positions: Iterable[int]) -> str:
        """The file and the first of some documents with its first words, and how many more."""
        listed = list(positions)
        more = f" and {len(listed) - 1} more" if len(listed) > 1 else ""
        words = textwrap.shorten(self.texts[listed[0]], WORDS, placeholder=" ...")
        return f"{self.file}: item {self.items[listed[0]]['item']} ({words}){more}"

    def first_wrong(self, is_wrong: Callable[[int], bool], what: Callable[[int], str]) -> list[str]:
        """One message for all documents that are wrong, in the words of the first of them."""
        wrong = [n for n in range(len(self.items)) if is_wrong(n)]
        return [f"{self.where(wrong)}: {what(wrong[0])}"] if wrong else []


def check_documents(documents: Documents, chat: Chat) -> Found:
    """Errors and warnings about documents, whether they train or are asked."""
    errors = _check_special(documents, chat)
    of_texts, warnings = odd_texts([[text] for text in documents.texts], documents.where)
    return [*errors, *of_texts], [*warnings, *_check_repeated(documents)]


def check_completed(run: Run, task: Task, documents: Documents, chat: Chat) -> Found:
    """Every document can be cut, and what follows fits into the model; a warning where it is longer than max_tokens."""
    assert task.completes is not None
    cuts = [beginning_of(chat, item["row"], documents.column, task.completes) for item in documents.items]
    most, limit = trainer_of(run).longest_text(paths.model_dir(run.settings["model"])), task.facts["max_tokens"]
    needed = [max(len(cut.ids) if task.facts.get("reference") else 0, len(cut.prompt_ids) + limit) for cut in cuts]
    errors = documents.first_wrong(
        lambda n: needed[n] > most,
        lambda n: f"needs {needed[n]} tokens with what follows, and the model takes {most}. Shorten it, or lower max_tokens",
    )
    lengths = [len(cut.ids) - len(cut.prompt_ids) for cut in cuts]
    longer = sum(length > limit for length in lengths)
    if not longer:
        return errors, []
    key = key_of(run.tasks, task.name, "max_tokens")
    what = f"is {limit}, and {longer} of {len(cuts)} references are longer (the longest has {max(lengths)} tokens with its end)"
    return errors, [f"experiment.yaml: {key}: {what}, so that what is said of these ends before they do. Raise it"]


def _check_special(documents: Documents, chat: Chat) -> list[str]:
    """No document holds the token that stands before one, or one at which generation stops: they are there once, at the ends."""
    ends = chat.stop_ids | {chat.prefix_id}
    held = [next((token for token in ids[1:-1] if token in ends), None) for ids in documents.ids]
    return documents.first_wrong(
        lambda n: held[n] is not None,
        lambda n: f"holds {chat.tokenizer.convert_ids_to_tokens(held[n])}, which the model reads as a document's beginning or "
        "end. Take it out of the text",
    )


def _check_repeated(documents: Documents) -> list[str]:
    """No document is there twice."""
    keys = [documents.ids.key(n) for n in range(len(documents.items))]
    counts = Counter(keys)
    why = "the intervals take rows for independent" if documents.is_asked else "it is trained as often"
    cure = "Remove all but one" + (", or name a column in evaluation.cluster" if documents.is_asked else "")
    what = f"the same document stands in other rows, and {why}. {cure}"
    return documents.first_wrong(lambda n: counts[keys[n]] > 1, lambda _: what)
