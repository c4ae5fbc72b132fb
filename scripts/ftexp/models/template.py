"""A model's chat template: a program of its folder that makes a text of turns."""

import datetime
from pathlib import Path
from typing import Any

from ftexp.data.conversations import Turn
from ftexp.ground.errors import UserError, sentence


class Template:
    """The chat template of a tokenizer, with a date that does not change from one day to the next."""

    def __init__(self, tokenizer: Any, folder: Path, date: datetime.date) -> None:
        """Take the tokenizer of a model's folder."""
        self._tokenizer = tokenizer
        self._folder = folder
        self._date = date

    def render_many(self, many: list[list[Turn]], *, is_prompt: bool) -> list[str]:
        """Of many conversations their texts, in less time than one by one."""
        try:
            return list(self._apply(many, is_prompt))
        except Exception:
            for messages in many:  # whose it is, and what to do, comes out one by one
                self.render(messages, is_prompt=is_prompt)
            raise

    def _apply(self, messages: Any, is_prompt: bool) -> Any:
        return self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=is_prompt,
            date_string=self._date.strftime("%d %b %Y"), strftime_now=self._date.strftime,
        )

    def render(self, messages: list[Turn], *, is_prompt: bool) -> str:
        """A conversation as text; a prompt ends where the answer begins.

        Raises:
            UserError: If the template refuses it.
        """
        try:
            text = self._apply(messages, is_prompt)
        except Exception as error:  # a template is a program of the model's: it can raise anything
            if messages[0]["role"] == "system":
                self.render(messages[1:], is_prompt=is_prompt)
                raise no_place(f"the chat template of {self._folder} refuses a system turn ({error})") from error
            why = sentence(f"{type(error).__name__}: {error}")
            raise UserError(
                f"{self._folder}: chat_template: cannot render a user's turn and an answer: {why} "
                "Use a model whose template can."
            ) from error
        return str(text)


def no_place(what: str) -> UserError:
    """The message for a system turn that a model cannot be given."""
    return UserError(f"experiment.yaml: prompt.system: {what}. Set it to null, or put the text into prompt.user.")
