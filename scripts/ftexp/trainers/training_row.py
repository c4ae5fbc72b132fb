"""A row of training as tokens, whichever trainer learns it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingRow:
    """A row as it is trained.

    Attributes:
        index: Its place in the split's training part.
        labels: Per token the token that is learned there; None where none is.
    """

    index: int
    tokens: list[int]
    labels: list[int | None]
