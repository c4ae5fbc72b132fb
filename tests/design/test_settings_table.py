"""docs/settings.md: current, and with every key that is accepted."""

from conftest import REPOSITORY
from ftexp.design import sections, settings_table
from ftexp.design.evaluation_section import EVALUATION_KEYS
from ftexp.design.spec import TOP_KEYS


def test_the_settings_table_is_current() -> None:
    command = "PYTHONPATH=scripts python -m ftexp.design.settings_table > docs/settings.md"
    text = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    assert text == settings_table.settings_table(), f"accept the change by: {command}"


def test_the_settings_table_documents_every_key_that_is_accepted() -> None:
    keys = {
        "data": sections.DATA_KEYS,
        "data.split": sections.SPLIT_KEYS,
        "prompt": sections.PROMPT_KEYS,
        "evaluation": [key for key in EVALUATION_KEYS if key != "scorer"],
        "controls": ("base", "others"),
    }
    accepted = {f"{section}.{key}" for section, names in keys.items() for key in names} | set(TOP_KEYS)
    assert set(settings_table.documented_keys()) == accepted - set(keys)
