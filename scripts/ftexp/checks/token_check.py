"""The tokens of real rows: what training gives a model, what evaluation gives it, and what it could ever answer.

What is to be known of the data itself, tokens aside, is in row_check.

Reads a run's split, its finetune.yaml and the tokenizer of its base model. Writes nothing.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field

from ftexp.checks.document_check import Documents, check_completed, check_documents
from ftexp.checks.odd_cells import check_odd_texts, check_unshown
from ftexp.checks.option_check import Option, check_options, options_of_rows
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
from ftexp.design.tasks import key_of
from ftexp.ground import paths
from ftexp.ground.normal_forms import alike
from ftexp.models.chat import Chat
from ftexp.models.token_table import TokenTable, tokens_remembered
from ftexp.trainers.choice import trainer_of

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
    report.warnings += check_end_of_prompt(run.settings["model"], run.prompt, chat, "prompt.user")
    _check_cells(report, train)
    report.lengths = [p + a for p, a in zip(train.prompts.lengths(), train.answers.lengths(), strict=True)]
    report.warnings += [*_check_blanks(run, chat, train), *check_training_answers(train)]
    report.errors += [*_check_begins(train, chat), *_check_special(train, chat)]
    report.errors += [message for test in tests.values() for message in _check_leak(train, test)]
    report.example = marked(chat, train.prompts[0], train.answers[0], run.settings["loss"])
    report.errors, report.warnings = list(dict.fromkeys(report.errors)), list(dict.fromkeys(report.warnings))
    report.errors += [] if report.errors else check_training_rows(run, chat, train.prompts, train.answers, train.where)
    return report


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
    answers = rows.answers.lengths()
    report.errors += [*_check_begins(rows, chat), *_check_special(rows, chat)]
    report.errors += _first_wrong(rows, *too_long(run, [p + a for p, a in zip(rows.prompts.lengths(), answers, strict=True)]))
    limit = run.validation.get("max_tokens")
    if limit is not None and max(answers) > limit:
        what = f"scores answers of at most {limit} tokens, and the longest reference has {max(answers)} with its end"
        report.warnings.append(f"experiment.yaml: validation.metric: {what}. Raise evaluation.max_tokens, or set metric: loss")


def _check_task(report: TokenReport, run: Run, task: Task, chat: Chat) -> Rows:
    """What is to be said of the rows of a task."""
    test = Rows(task, chat)
    report.errors += [*_check_begins(test, chat), *_check_special(test, chat)]
    report.warnings += [*_check_blanks(run, chat, test), *_check_answers_can_be_given(test, chat)]
    report.warnings += [*check_test_rows(test), *check_control_tokens(chat, test)]
    report.warnings += check_end_of_prompt(run.settings["model"], task.prompt, chat, task.prompt_key)
    report.errors += [*_check_limit(run, task, test), *check_answer_hidden(task.prompt, task.data, task.prompt_key)]
    options = options_of_rows(task, test, chat) if task.kind == "options" else []
    report.errors += [*check_options(test, options, chat), *_check_room(run, test, options)]
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
    return _first_wrong(
        rows, lambda n: rows.prompts[n].count(bos) != wanted,
        lambda n: f"has {chat.tokenizer.bos_token} {rows.prompts[n].count(bos)} times in its prompt, and the template gives it "
        f"{wanted} times. Take it out of the text, or of prompt.user",
    )


def _check_special(rows: Rows, chat: Chat) -> list[str]:
    """No answer holds a token at which generation would stop before its end."""
    ends = [str(chat.tokenizer.convert_ids_to_tokens(number)) for number in sorted(chat.stop_ids)]
    inside = [next((end for end in ends if end in rows.answer(item)), None) for item in rows.items]
    return _first_wrong(
        rows, lambda n: inside[n] is not None,
        lambda n: f"has {inside[n]} in its answer, at which generation stops, so the rest could never be learned. "
        "Take it out of the text",
    )


def _check_answers_can_be_given(rows: Rows, chat: Chat) -> list[str]:
    """What the tokens of a reference answer say is the reference answer, outer blanks aside, which the scorer ignores."""
    changed = [
        n for n, item in enumerate(rows.items) if chat.decode(rows.answers[n][:-1]).strip() != rows.answer(item).strip()
    ]
    if not changed:
        return []
    said, wanted = chat.decode(rows.answers[changed[0]][:-1]), rows.answer(rows.items[changed[0]])
    what = f"its reference answer {wanted[:60]!r} becomes {said[:60]!r} as tokens, so no answer can be exactly right"
    if alike(wanted.strip(), [said.strip()]):
        what = f"its reference answer {wanted[:60]!r} is in another Unicode normal form as tokens, so no answer can be right"
        return [f"{rows.where(changed)}: {what}. Write the data in the form that the tokenizer has, as a rule NFC"]
    return [f"{rows.where(changed)}: {what}. Write the answer as the tokenizer does"]


def _check_limit(run: Run, task: Task, rows: Rows) -> list[str]:
    """Every reference answer fits into max_tokens with its end token, where one is generated."""
    most, longest = task.facts.get("max_tokens"), max(rows.answers.lengths())
    if most is None or longest <= most:
        return []
    what = f"is {most}, but the longest reference answer has {longest} tokens with its end. Raise it"
    return [f"experiment.yaml: {key_of(run.tasks, task.name, 'max_tokens')}: {what}"]


def _check_room(run: Run, rows: Rows, options: list[list[Option]]) -> list[str]:
    """The longest prompt and its answer, or the longest of its options, fit into what the model takes."""
    most = trainer_of(run).longest_text(paths.model_dir(run.settings["model"]))
    answers = [max(len(option.ids) for option in of_row) for of_row in options] or rows.answers.lengths()
    lengths = [prompt + answer for prompt, answer in zip(rows.prompts.lengths(), answers, strict=True)]
    return _first_wrong(
        rows, lambda n: lengths[n] > most,
        lambda n: f"has {lengths[n]} tokens with its answer, the model takes {most}. Shorten it",
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

    return _first_wrong(train, lambda n: train.prompts.key(n) in asked, what)


def _first_wrong(rows: Rows, is_wrong: Callable[[int], bool], what: Callable[[int], str]) -> list[str]:
    """One message for all rows that are wrong, in the words of the first of them."""
    wrong = [n for n in range(len(rows.items)) if is_wrong(n)]
    return [f"{rows.where(wrong)}: {what(wrong[0])}"] if wrong else []
