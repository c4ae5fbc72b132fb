"""The section `prompt` of experiment.yaml: what stands around a row's text, and the chat template that it is written in.

Only the standard library is imported here, because the cookiecutter hook runs this code too.
"""

import datetime
import re
import string
from typing import Any

from ftexp.design.sections import check_data_value, check_keys, is_of_experiment
from ftexp.ground.errors import Findings

PROMPT_KEYS = ("system", "user", "date", "template")
_ENDING = ".jinja"


def check_prompt(found: Findings, prompt: dict[str, Any]) -> dict[str, Any]:
    """The prompt section with its defaults; a chat template of one's own is in it where there is one."""
    check_keys(found, "prompt.", prompt, PROMPT_KEYS)
    date = as_text(prompt.get("date", "2026-01-01"))
    complete = {"system": prompt.get("system"), "user": prompt.get("user", "{input}"), "date": date}
    complete |= {key: prompt[key] for key in ("template",) if prompt.get(key) is not None}
    for key, value in complete.items():
        check_prompt_value(found, f"prompt.{key}", key, value)
    return complete


def as_text(date: Any) -> Any:
    """A date of YAML as text; anything else as it is."""
    return date.isoformat() if isinstance(date, datetime.date) else date


def check_prompt_value(found: Findings, where: str, key: str, value: Any) -> None:
    """Check one of prompt's keys: system, user, date or template."""
    if key == "user":
        if not isinstance(value, str):
            found.add(where, f"must be a text, got {value!r}", 'Put it in quotes: "{input}".')
        else:
            _check_placeholders(found, where, value)
    elif key == "system" and value is not None and not isinstance(value, str):
        found.add(where, f"must be a text, or null for no system turn, got {value!r}")
    elif value == "???":
        found.add(where, "cannot be '???', which torchtune's configs read as a missing value", "Write something else.")
    elif key == "date" and not (isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)):
        found.add(where, f"must be a date such as 2026-01-01, got {value!r}")
    elif key == "template" and value is not None:
        _check_template(found, where, value)


def _check_placeholders(found: Findings, where: str, template: str) -> None:
    try:
        fields = [field[1:] for field in string.Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        found.add(where, f"has braces that do not match ({error})", "Write {{ and }} for braces that are text.")
        return
    for name, form, conversion in fields:
        if not name or form or conversion or re.search(r"[.\[\]]", name) or name.isdigit():
            what = f"has braces around something that is no column's name, got {template!r}"
            found.add(where, what, "Write {{ and }} for braces that are text.")
            return
    if not fields:
        what = f"names no column, so every prompt would be the same, got {template!r}"
        found.add(where, what, "Put {input} where the input goes.")


def _check_template(found: Findings, where: str, value: Any) -> None:
    """A chat template is a file of the experiment; null is the model's own."""
    if not isinstance(value, str) or not value.endswith(_ENDING) or "\n" in value:
        what = f"must be a file that ends in {_ENDING}, or null for the model's own template, got {value!r}"
        found.add(where, what, "Put the template into a file of the experiment.")
    elif check_data_value(found, where, "template", value) and not is_of_experiment(value):
        found.add(where, f"must be a file of the experiment, got {value!r}", "Copy it there.")
