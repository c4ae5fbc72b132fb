"""A chat template: a program of the model's folder, or a file of the experiment, that makes a text of turns."""

import datetime
import functools
from pathlib import Path
from typing import Any

from ftexp.data.conversations import Turn
from ftexp.ground.errors import UserError, sentence


class Template:
    """The chat template of a tokenizer, with a date that does not change from one day to the next.

    Attributes:
        place: Where it stands, as a message begins.
        called: What it is called in a sentence.
        cure: What to do where it cannot be used.
    """

    def __init__(self, tokenizer: Any, folder: Path, date: datetime.date, file: Path | None = None) -> None:
        """Take the tokenizer of a model's folder, and give it the template of a file where one is named.

        Raises:
            UserError: If the file is not there, or is no text.
        """
        self._tokenizer = tokenizer
        self._date = date
        self.place, self.called = f"{folder}: chat_template", f"the chat template of {folder}"
        self.cure = "Use a model whose template can."
        if file is not None:
            tokenizer.chat_template = _text_of(file)
            self.place, self.called, self.cure = str(file), f"the chat template {file}", "Correct it."

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
                raise no_place(f"{self.called} refuses a system turn ({error})") from error
            why = sentence(f"{type(error).__name__}: {error}")
            raise UserError(f"{self.place}: cannot render a user's turn and an answer: {why} {self.cure}") from error
        return str(text)


def require_template(file: Path) -> None:
    """A file holds a chat template, as far as that shows before any tokenizer is loaded.

    Raises:
        UserError: If it is not there, is no text, or is not written as the language of templates, Jinja, wants.
    """
    problem = _syntax_error(_text_of(file))
    if problem:
        raise UserError(f"{file}: is no template: {sentence(problem)} Correct it.")


@functools.cache
def _syntax_error(text: str) -> str | None:
    """What keeps transformers from reading a text as a template; None where nothing does."""
    from jinja2 import Environment, TemplateSyntaxError, nodes
    from jinja2.ext import Extension
    from jinja2.parser import Parser

    class Generation(Extension):
        """The block that transformers 4.57 adds to the language, `{% generation %}`."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> list[nodes.Node]:
            """Its body."""
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    try:
        Environment(extensions=[Generation, "jinja2.ext.loopcontrols"]).parse(text)
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}"
    return None


def _text_of(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        what = f"there is no file {file}" if isinstance(error, FileNotFoundError) else f"{file} cannot be read ({error.strerror})"
        raise UserError(f"experiment.yaml: prompt.template: {what}. Put it there, or correct the name.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is no text in UTF-8. Save it as one.") from error
    if not text.strip():
        raise UserError(f"{file}: is empty, so that every prompt would be. Write the template, or leave prompt.template out.")
    return text


def no_place(what: str) -> UserError:
    """The message for a system turn that a model cannot be given."""
    return UserError(f"experiment.yaml: prompt.system: {what}. Set it to null, or put the text into prompt.user.")
