"""The tokens of real rows: what training gives a model, what evaluation gives it, and what it could ever answer.

What is to be known of the data itself, tokens aside, is in row_check.

Reads a run's split, its finetune.yaml and the tokenizer of its base model. Writes nothing.
"""

import datetime
from dataclasses import dataclass, field

from ftexp.checks.answer_check import check_room, check_special, check_written
from ftexp.checks.document_check import Documents, check_completed, check_documents
from ftexp.checks.head_check import check_labelled_rows, labelled
from ftexp.checks.odd_cells import check_odd_texts, check_unshown
from ftexp.checks.row_check import (
    check_answer_hidden,
    check_control_tokens,
    check_end_of_prompt,
    check_test_rows,
    check_training_answers,
)
from ftexp.checks.rows import Rows
from ftexp.checks.trained_rows import check_training_rows, marked, too_long
from ftexp.data.splits import VALIDATION
from ftexp.design.run import Run, Task
from ftexp.ground.normal_forms import alike
from ftexp.models.chat import Chat
from ftexp.models.token_table import TokenTable, tokens_remembered

# How templates write a date.
_DATES = ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y")


@dataclass
class TokenReport:
    """What the token check found in one data set under one prompt.

    Attributes:
        example: One training row as text, what is trained of it between ⟦ and ⟧; empty for a control.
        lengths: Tokens of each training row, in the split's order.
    """

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    example: str = ""
    lengths: list[int] = field(default_factory=list)


def check_tokens(run: Run, chat: Chat) -> TokenReport:
    """Check every row that a run is trained and tested on; what the trainer's data set makes is made once.

    Args:
        run: Its run.yaml.
        chat: The tokenizer of its base model.

    Raises:
        UserError: If the chat template cannot render the prompt.
    """
    with tokens_remembered():
        return _check_tokens(run, chat)


def _check_tokens(run: Run, chat: Chat) -> TokenReport:
    report = TokenReport(errors=_check_date(run, chat), warnings=_check_own_system(run, chat))
    tests = {task.name: _check_task(report, run, task, chat) for task in run.asked if task.is_prompted}
    for task in (task for task in run.asked if task.is_of_documents):
        _check_task_of_documents(report, run, task, chat)
    if run.kind == "control":
        return report
    if run.validation:
        _check_validation(report, run, chat)
    if run.data.get("text"):
        return _check_training_documents(report, run, chat)
    train = Rows(run, chat)
    report.errors += check_answer_hidden(run.prompt, run.data, "prompt.user")
    report.warnings += [] if run.has_head else check_end_of_prompt(run.settings["model"], run.prompt, chat, "prompt.user")
    _check_cells(report, train)
    report.lengths = _lengths(run, train)
    report.warnings += [*_check_blanks(run, chat, train), *check_training_answers(train)]
    report.errors += [*_check_begins(train, chat), *([] if run.has_head else check_special(train, chat))]
    report.errors += [message for test in tests.values() for message in _check_leak(train, test)]
    report.errors, report.warnings = list(dict.fromkeys(report.errors)), list(dict.fromkeys(report.warnings))
    if run.has_head:
        answers = [train.answer(item) for item in train.items]
        report.example = labelled(chat, train.prompts[0], answers[0])
        report.errors += [] if report.errors else check_labelled_rows(run, train.prompts, answers, train.where)
        return report
    report.example = marked(chat, train.prompts[0], train.answers[0], run.settings["loss"])
    report.errors += [] if report.errors else check_training_rows(run, chat, train.prompts, train.answers, train.where)
    return report


def _lengths(run: Run, rows: Rows) -> list[int]:
    """Tokens of each row as the model gets it: a head reads the prompt alone."""
    answers = [0] * len(rows.items) if run.has_head else rows.answers.lengths()
    return [prompt + answer for prompt, answer in zip(rows.prompts.lengths(), answers, strict=True)]


def _check_task_of_documents(report: TokenReport, run: Run, task: Task, chat: Chat) -> None:
    documents = Documents(task, chat)
    found = [check_documents(documents, chat)]
    if task.completes:
        found.append(check_completed(run, task, documents, chat))
    for errors, warnings in found:
        report.errors += errors
        report.warnings += warnings


def _check_training_documents(report: TokenReport, run: Run, chat: Chat) -> TokenReport:
    """The same of a run that trains whole documents, which have no prompt."""
    train = Documents(run, chat)
    errors, warnings = check_documents(train, chat)
    report.lengths, report.example = train.ids.lengths(), marked(chat, [], train.ids[0], run.settings["loss"])
    report.errors, report.warnings = list(dict.fromkeys(report.errors + errors)), list(dict.fromkeys(report.warnings + warnings))
    if not report.errors:
        report.errors += check_training_rows(run, chat, TokenTable([] for _ in train.items), train.ids, train.where)
    return report


def _check_validation(report: TokenReport, run: Run, chat: Chat) -> None:
    """The rows that validate fit into the model, and where answers to them are scored a right one can be given."""
    if run.data.get("text"):
        documents = Documents(run, chat, VALIDATION)
        errors, warnings = check_documents(documents, chat)
        report.errors, report.warnings = report.errors + errors, report.warnings + warnings
        report.errors += documents.first_wrong(*too_long(run, list(documents.ids.lengths())))
        return
    rows = Rows(run, chat, VALIDATION)
    _check_cells(report, rows)
    report.errors += [*_check_begins(rows, chat), *rows.first_wrong(*too_long(run, _lengths(run, rows)))]
    if run.has_head:
        return
    report.errors += check_special(rows, chat)
    limit, longest = run.validation.get("max_tokens"), max(rows.answers.lengths())
    if limit is not None and longest > limit:
        what = f"scores answers of at most {limit} tokens, and the longest reference has {longest} with its end"
        report.warnings.append(f"experiment.yaml: validation.metric: {what}. Raise evaluation.max_tokens, or set metric: loss")


def _check_task(report: TokenReport, run: Run, task: Task, chat: Chat) -> Rows:
    """What is to be said of the rows of a task."""
    test = Rows(task, chat)
    report.errors += _check_begins(test, chat)
    report.warnings += [*_check_blanks(run, chat, test), *check_test_rows(test), *check_control_tokens(chat, test)]
    report.errors += check_answer_hidden(task.prompt, task.data, task.prompt_key)
    if run.has_head:
        report.errors += check_room(run, test, _lengths(run, test))
    else:
        errors, warnings = check_written(run, task, test, chat)
        report.errors, report.warnings = report.errors + errors, report.warnings + warnings
    _check_cells(report, test)
    return test


def _check_cells(report: TokenReport, rows: Rows) -> None:
    for errors, warnings in (check_unshown(rows), check_odd_texts(rows)):
        report.errors += errors
        report.warnings += warnings


def _check_own_system(run: Run, chat: Chat) -> list[str]:
    """A text that the template puts into every prompt of itself is part of the experiment, and to be known."""
    own = chat.own_system_text() if run.prompt["system"] is None else None
    if not own:
        return []
    what = f"is null, and the chat template of {run.settings['model']} puts a text of its own there: {own[:80]!r}"
    return [f"experiment.yaml: prompt.system: {what}. That is the same in training and evaluation; set it to say something else"]


def _check_blanks(run: Run, chat: Chat, rows: Rows) -> list[str]:
    """Blanks at the ends of inputs that the template takes off; of answers the scorer ignores them."""
    if "user" not in chat.trims():
        return []
    texts = [rows.messages(item)[-1]["content"] for item in rows.items]
    cut = [n for n, text in enumerate(texts) if text != text.strip()]
    if not cut:
        return []
    what = f"the chat template of {run.settings['model']} takes the blanks off the ends of its prompt"
    return [f"{rows.where(cut)}: {what}. Where they matter, put something around {{input}} in prompt.user"]


def _check_date(run: Run, chat: Chat) -> list[str]:
    """No prompt changes from one day to the next."""
    today = datetime.date.today()
    text = chat.render(chat.prompt_ids([{"role": "user", "content": "x"}]))
    printed = [today.strftime(form) for form in _DATES if today.strftime(form) in text]
    if not printed or run.prompt["date"] == today.isoformat():
        return []
    what = f"prints today's date ({printed[0]}), so that prompts change overnight"
    return [f"{chat.template_place}: {what}. Take the date from date_string or strftime_now"]


def _check_begins(rows: Rows, chat: Chat) -> list[str]:
    """BOS is in every prompt as often as in a prompt of one letter: no text brings another."""
    bos = chat.tokenizer.bos_token_id
    if bos is None:
        return []
    wanted = chat.prompt_ids([{"role": "user", "content": "x"}]).count(bos)
    return rows.first_wrong(
        lambda n: rows.prompts[n].count(bos) != wanted,
        lambda n: f"has {chat.tokenizer.bos_token} {rows.prompts[n].count(bos)} times in its prompt, and the template gives it "
        f"{wanted} times. Take it out of the text, or of prompt.user",
    )


def _check_leak(train: Rows, test: Rows) -> list[str]:
    """No prompt of the test is one of the training."""
    asked = {test.prompts.key(n): n for n in range(len(test.items))}

    def what(n: int) -> str:
        text = "has the same prompt as a test row, so that the test would ask for what was trained"
        ours, theirs = train.messages(train.items[n])[-1], test.messages(test.items[asked[train.prompts.key(n)]])[-1]
        if alike(ours["content"], [theirs["content"]]):
            return f"{text}: they differ in their Unicode normal form, which no token shows. Write the data in one, as a rule NFC"
        return f"{text}. Remove one, or let prompt.user show what tells them apart"

    return train.first_wrong(lambda n: train.prompts.key(n) in asked, what)
