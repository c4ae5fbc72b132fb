"""The answer to cookiecutter's question about the question: what is asked where nobody says it."""

import json
from pathlib import Path
from typing import Any

DEMO_QUESTION = "Does a higher LoRA rank or learning rate teach the model to capitalise better?"
# The answers that make another experiment than the demo.
_WHAT_IS_ASKED = ("data", "factors")


def default_answers(template_dir: Path) -> dict[str, Any]:
    """The answers of whoever answers nothing."""
    defaults: dict[str, Any] = json.loads((template_dir / "cookiecutter.json").read_text(encoding="utf-8"))
    return defaults


def question_answer(answers: dict[str, Any], defaults: dict[str, Any]) -> str | None:
    """The question that was given; without one the demo's for the demo, and None for anything else: it follows the factors."""
    if answers["question"]:
        return str(answers["question"])
    return DEMO_QUESTION if all(answers[key] == defaults[key] for key in _WHAT_IS_ASKED) else None
