"""What a careful colleague would ask about the rows and the prompt, before they cost anything. Warnings, but for one."""

import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ftexp.checks.rows import Rows
from ftexp.data.prompts import placeholders, says_nothing
from ftexp.models.chat import Chat

# So many distinct answers at most are labels, and no free texts.
_LABELS = 50


def check_answer_hidden(prompt: Mapping[str, Any], data: Mapping[str, Any], key: str) -> list[str]:
    """The prompt, which this key says, does not name the column of the answers: an error, because nothing could be concluded."""
    column = data["output"]
    if column not in placeholders(prompt["user"]) or column == data["input"]:
        return []
    of = "output" if key.startswith("evaluation") else "data.output"
    what = f"{{{column}}} is the column of the answers ({of}), so that every prompt holds its own answer"
    return [f"experiment.yaml: {key}: {what}. Take it out"]


def check_end_of_prompt(model: str, prompt: Mapping[str, Any], chat: Chat, key: str) -> list[str]:
    """Of a prompt, which this key says: without a chat template, something parts the answer from the prompt."""
    user = prompt["user"]
    if chat.has_template or user[-1:].isspace() or not user.endswith("}"):
        return []
    what = f"the model {model} has no chat template, so the answer follows the input without anything between"
    return [f"experiment.yaml: {key}: {what}. End the prompt with a line break, or with words such as 'Answer: '"]


def check_control_tokens(chat: Chat, rows: Rows) -> list[str]:
    """No text of a row holds what the model reads as one of its special tokens."""
    special = sorted({str(token) for token in chat.tokenizer.added_tokens_decoder.values() if token.special})
    held = [n for n, item in enumerate(rows.items) if any(token in text for token in special for text in rows.texts(item))]
    if not held:
        return []
    what = "holds the text of a special token, which the model reads as that token and not as text"
    return [f"{rows.where(held)}: {what}. Change the text"]


def check_test_rows(rows: Rows) -> list[str]:
    """Test rows are different questions, none of them empty, with more than one answer, spelt in one way."""
    answers = [rows.answer(item).strip() for item in rows.items]
    distinct = set(answers)
    warnings = []
    if len(distinct) == 1 and len(answers) > 1:
        what = f"every answer is {answers[0][:40]!r}, so that a model that says nothing else is right"
        warnings.append(f"{rows.file}: {what}. Give rows with other answers")
    if 1 < len(distinct) <= _LABELS and len({answer.casefold() for answer in distinct}) < len(distinct):
        alike = sorted(a for a in distinct if sum(a.casefold() == b.casefold() for b in distinct) > 1)
        what = f"answers differ in capitals only ({', '.join(alike[:4])}), and the scorer tells them apart"
        warnings.append(f"{rows.file}: {what}. Spell them alike")
    warnings += [*_check_forms(rows, distinct), *_check_empty(rows)]
    keys = [rows.prompts.key(n) for n in range(len(rows.items))]
    counts = Counter(keys)
    repeated = [n for n, key in enumerate(keys) if counts[key] > 1]
    if repeated:
        what = "the same prompt stands in other test rows, and the intervals take rows for independent"
        warnings.append(f"{rows.where(repeated)}: {what}. Remove all but one, or name a column in evaluation.cluster")
    return warnings


def check_training_answers(rows: Rows) -> list[str]:
    """No training prompt has two answers, and none is empty."""
    keys = [rows.prompts.key(n) for n in range(len(rows.items))]
    first: dict[bytes, int] = {}
    others = {key for n, key in enumerate(keys) if rows.answers[first.setdefault(key, n)] != rows.answers[n]}
    torn = [n for n, key in enumerate(keys) if key in others]
    warnings = _check_empty(rows)
    if torn:
        warnings.append(f"{rows.where(torn)}: the same prompt has another answer in another row. Decide which is right")
    return warnings


def _check_forms(rows: Rows, answers: set[str]) -> list[str]:
    """Answers that look alike are one answer."""
    forms: dict[str, str] = {}
    for answer in sorted(answers):
        if forms.setdefault(unicodedata.normalize("NFC", answer), answer) != answer:
            what = f"answers differ in their Unicode normal form only ({answer[:40]!r}), and the scorer tells them apart"
            return [f"{rows.file}: {what}. Write the data in one form, as a rule NFC"]
    return []


def _check_empty(rows: Rows) -> list[str]:
    empty = [n for n, item in enumerate(rows.items) if says_nothing(rows.prompt["user"], rows.input, item["row"])]
    return [f"{rows.where(empty)}: its input is empty. Fill it or remove the row"] if empty else []
