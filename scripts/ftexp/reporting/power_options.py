"""What a person says to `make power`: MEANS, SEED_SD, ITEMS, SEEDS, DIFFERENCE, in the environment."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ftexp.ground.errors import UserError

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class PowerOptions:
    """What is expected, and for which sizes to compute.

    Attributes:
        means: Expected scores of two levels, in (0, 1); None: as the finished experiment showed.
        seed_sd: Expected standard deviation of a run's score from one seed to the next; None: not known.
        items: Numbers of test items (of clusters, where items are clustered).
        seeds: Numbers of seeds per cell.
        difference: The difference whose power is wanted.
    """

    means: tuple[float, float] | None
    seed_sd: float | None
    items: list[int]
    seeds: list[int]
    difference: float | None


def read_power_options() -> PowerOptions:
    """The options in the environment.

    Raises:
        UserError: If one is not as it must be.
    """
    means = _numbers("MEANS", float, "two different scores between 0 and 1, such as .6,.7", lambda mean: 0 < mean < 1)
    if means and (len(means) != 2 or means[0] == means[1]):
        raise UserError(f"MEANS: must be two different scores between 0 and 1, such as .6,.7, got '{os.environ['MEANS']}'.")
    seed_sd = _numbers("SEED_SD", float, "a number from 0 to .5, such as .02", lambda sd: 0 <= sd <= 0.5)
    if seed_sd and not means:
        raise UserError("SEED_SD: says what is expected, and so needs MEANS. For example: make power MEANS=.6,.7 SEED_SD=.02")
    difference = _numbers("DIFFERENCE", float, "a number above 0, at most 1, such as .05", lambda size: 0 < size <= 1)
    items = _numbers("ITEMS", int, "whole numbers above 1, such as 300,1000", lambda count: count > 1)
    seeds = _numbers("SEEDS", int, "whole numbers above 0, such as 2,3,5", lambda count: count > 0)
    return PowerOptions(
        (means[0], means[1]) if means else None, seed_sd[0] if seed_sd else None, items, seeds or [2, 3, 5],
        difference[0] if difference else None,
    )


def _numbers(name: str, kind: Callable[[str], Number], wants: str, accepts: Callable[[Number], bool]) -> list[Number]:
    """The numbers of one option, separated by commas; none where it is not given."""
    text = os.environ.get(name, "")
    if not text:
        return []
    try:
        numbers = [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"{name}: must be {wants}, got '{text}'.") from error
    if not all(math.isfinite(number) and accepts(number) for number in numbers):
        raise UserError(f"{name}: must be {wants}, got '{text}'.")
    return numbers
