"""Answers that are written, and options, as tokens: what a model could ever answer, and in how many tokens.

Reads the tokenizer of a run's base model. Writes nothing.
"""

from ftexp.checks.option_check import check_options, options_of_rows
from ftexp.checks.row_check import check_end_of_prompt
from ftexp.checks.rows import Rows
from ftexp.design.run import Run, Task
from ftexp.design.tasks import key_of
from ftexp.ground import paths
from ftexp.ground.normal_forms import alike
from ftexp.models.chat import Chat
from ftexp.trainers.choice import trainer_of


def check_written(run: Run, task: Task, test: Rows, chat: Chat) -> tuple[list[str], list[str]]:
    """Errors and warnings about the answers to a task, or its options."""
    options = options_of_rows(task, test, chat) if task.kind == "options" else []
    answers = [max(len(option.ids) for option in of_row) for of_row in options] or test.answers.lengths()
    lengths = [prompt + answer for prompt, answer in zip(test.prompts.lengths(), answers, strict=True)]
    errors = [*check_special(test, chat), *_check_limit(run, task, test)]
    warnings = [
        *_check_answers_can_be_given(test, chat),
        *check_end_of_prompt(run.settings["model"], task.prompt, chat, task.prompt_key),
    ]
    return [*errors, *check_options(test, options, chat), *check_room(run, test, lengths)], warnings


def check_special(rows: Rows, chat: Chat) -> list[str]:
    """No answer holds a token at which generation would stop before its end."""
    ends = [str(chat.tokenizer.convert_ids_to_tokens(number)) for number in sorted(chat.stop_ids)]
    inside = [next((end for end in ends if end in rows.answer(item)), None) for item in rows.items]
    return rows.first_wrong(
        lambda n: inside[n] is not None,
        lambda n: f"has {inside[n]} in its answer, at which generation stops, so the rest could never be learned. "
        "Take it out of the text",
    )


def check_room(run: Run, rows: Rows, lengths: list[int]) -> list[str]:
    """The longest prompt and its answer, or the longest of its options, fit into what the model takes."""
    most = trainer_of(run).longest_text(paths.model_dir(run.settings["model"]))
    return rows.first_wrong(
        lambda n: lengths[n] > most,
        lambda n: f"has {lengths[n]} tokens with its answer, the model takes {most}. Shorten it",
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
