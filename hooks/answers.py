"""Checks and completes the answers to cookiecutter's questions, in its own process, before anything is written.

A Jinja extension of the template: its filter `check_answers` runs in the caller's folder, so that relative paths mean
what the caller means by them. It imports what the stages use, from scripts/, and needs only PyYAML besides.
"""

import functools
import json
import sys
from pathlib import Path
from typing import Any

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.ext import Extension

TEMPLATE_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEMPLATE_DIR / "scripts"))

from ftexp.ground.errors import UserError  # noqa: E402
from ftexp.life.new_experiment import complete_answers  # noqa: E402
from ftexp.life.template_files import template_commit  # noqa: E402


class AnswerCheck(Extension):
    """Adds the filter `check_answers` (the answers in, what the hook has to do out, as JSON), and keeps answers what they are."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["check_answers"] = check_answers

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """An answer as a template that gives exactly this answer: cookiecutter renders answers, braces and all.

        Only the files of the template, which have a name, and the three texts of it that have none are rendered.
        """
        if name is not None or source in _texts_of_template():
            return source
        escaped = source.encode("unicode_escape").decode("ascii").replace('"', '\\"')
        return f'{{{{ "{escaped}" }}}}'


@functools.cache
def _texts_of_template() -> tuple[str, ...]:
    """What is rendered of the template beside its files: the folder's name, the question that nobody is asked, the hook."""
    questions = json.loads((TEMPLATE_DIR / "cookiecutter.json").read_text(encoding="utf-8"))
    hook = (TEMPLATE_DIR / "hooks" / "post_gen_project.py").read_text(encoding="utf-8")
    return (*(folder.name for folder in TEMPLATE_DIR.glob("{{cookiecutter.*")), questions["__checked"], hook)


def check_answers(answers: dict[str, Any]) -> str:
    """The completed answers as JSON.

    Raises:
        FailedHookException: With one message, which cookiecutter prints without a traceback.
    """
    try:
        completed = complete_answers(dict(answers), TEMPLATE_DIR)
    except UserError as error:
        raise FailedHookException(f"nothing was written\n{error}") from error
    completed["template"] = {"version": template_version(), "commit": template_commit(TEMPLATE_DIR)}
    return json.dumps(completed)


def template_version() -> str:
    """The template's version."""
    from ftexp import __version__

    return __version__
