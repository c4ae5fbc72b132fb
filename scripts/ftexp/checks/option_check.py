"""The tokens of options, one of which a model chooses by their log-likelihoods: each has some, and no two have the same."""

from dataclasses import dataclass

from ftexp.checks.rows import Rows
from ftexp.data.choices import options_of
from ftexp.design.run import Task
from ftexp.ground.errors import one_line
from ftexp.models.chat import Chat


@dataclass(frozen=True)
class Option:
    """One option of a row: its text, and its tokens with the one at which an answer stops."""

    text: str
    ids: tuple[int, ...]


def options_of_rows(task: Task, rows: Rows, chat: Chat) -> list[list[Option]]:
    """Per row its options, with the tokens that they have after the first prompt that they come with."""
    known: dict[str, Option] = {}
    found = []
    for item in rows.items:
        texts = options_of(task.facts["choices"], item["row"], right=rows.answer(item))
        for text in (text for text in texts if text not in known):
            known[text] = Option(text, tuple(chat.answer_ids(rows.messages(item), text)))
        found.append([known[text] for text in texts])
    return found


def check_options(rows: Rows, options: list[list[Option]], chat: Chat) -> list[str]:
    """Every option of every row has a token of its own text, none at which an answer stops, and no two have the same tokens."""
    wrong: dict[str, list[int]] = {}
    ends = [str(chat.tokenizer.convert_ids_to_tokens(number)) for number in sorted(chat.stop_ids)]
    for number, of_row in enumerate(options):
        if problem := _problem(of_row, ends):
            wrong.setdefault(problem, []).append(number)
    return [f"{rows.where(numbers)}: {problem}" for problem, numbers in wrong.items()]


def _problem(options: list[Option], ends: list[str]) -> str:
    first: dict[tuple[int, ...], str] = {}
    for option in options:
        text, own = one_line(repr(option.text)), option.ids[:-1]
        if not own:
            return f"the option {text} has no tokens, so that nothing can be said of it. Write another"
        if any(end in option.text for end in ends):
            return f"the option {text} holds a token at which an answer stops. Take it out of the text"
        if first.setdefault(own, text) != text:
            return f"the options {first[own]} and {text} are the same tokens to the model, which cannot choose. Write another"
    return ""
