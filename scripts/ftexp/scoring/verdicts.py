"""What a scorer sees of a recorded answer, and what it says of it; and the message where it is not what it must be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftexp.ground import paths
from ftexp.ground.errors import UserError


@dataclass(frozen=True, slots=True)
class Question:
    """One recorded answer.

    Attributes:
        item: The item's id.
        epoch: How often it had been asked then, from 1.
        prompt: The text that was answered.
        target: The reference.
        answer: The model's text, whole.
        row: The row of the data, for scorers of one's own and the template of a grader.
    """

    item: str
    epoch: int
    prompt: str
    target: str
    answer: str
    row: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one answer is worth.

    Attributes:
        value: On the scorer's scale; None where it could not be scored.
        reason: Why there is none.
        says: What a grader wrote, or a scorer of one's own gave as its explanation.
        is_final: False where asking again may help (the grader could not be reached), so that a gap is not to be kept.
    """

    value: float | None
    reason: str = ""
    says: str = ""
    is_final: bool = True


def mistake(what: str, cure: str) -> UserError:
    """A user's mistake in what a scorer names."""
    return UserError(f"{paths.EXPERIMENT_YAML}: evaluation.scorers: {what}. {cure}")
