"""docs/settings.md: current, and with every key that is accepted."""

import re

from conftest import REPOSITORY
from ftexp.design import sections, settings_table
from ftexp.design.evaluation_section import EVALUATION_KEYS
from ftexp.design.judging import METRICS, SCORERS
from ftexp.design.prompt_section import PROMPT_KEYS
from ftexp.design.spec import TOP_KEYS
from ftexp.design.tasks import ANSWERING_KEYS, JUDGING_KEYS, TASK_KEYS
from ftexp.design.validation_values import DEFAULTS


def test_the_settings_table_is_current() -> None:
    command = "PYTHONPATH=scripts python -m ftexp.design.settings_table > docs/settings.md"
    text = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    assert text == settings_table.settings_table(), f"accept the change by: {command}"


def test_the_settings_table_documents_every_key_that_is_accepted() -> None:
    keys = {
        "data": (*sections.DATA_KEYS, "validation"),
        "data.split": (*sections.SPLIT_KEYS, "validation"),
        "validation": tuple(DEFAULTS),
        "select": ("by", "over"),
        "prompt": PROMPT_KEYS,
        "evaluation": [key for key in EVALUATION_KEYS if key != "scorer"],
        "controls": ("base", "others"),
    }
    accepted = {f"{section}.{key}" for section, names in keys.items() for key in names} | set(TOP_KEYS)
    assert set(settings_table.documented_keys()) == accepted - set(keys) | {"validation", "select"}


def test_the_settings_table_documents_every_key_of_a_task_every_scorer_with_its_options_and_every_metric() -> None:
    tables = [_rows(part) for part in settings_table.settings_table().split("\n## ")]
    of_task, scorers, metrics = (next(rows for rows in tables if name in rows) for name in ("choices", "f1", "mcc"))
    shared = settings_table.settings_table().split("\n## Tasks\n")[1].split("| of a task")[0]
    assert {*of_task, *re.findall(r"`(\w+)`", shared)} >= set(TASK_KEYS) >= set(of_task)
    assert all(f"`{key}`" in shared for key in (*ANSWERING_KEYS, *JUDGING_KEYS))
    assert list(scorers) == list(SCORERS) and list(metrics) == list(METRICS)
    assert all(f"`{option}`" in scorers[name] for name, kind in SCORERS.items() for option in kind.options)


def _rows(part: str) -> dict[str, str]:
    """The rows of the tables in a part of the document, by their first cell."""
    return {match[1]: line for line in part.splitlines() if (match := re.match(r"\| `([^`]+)`", line))}
