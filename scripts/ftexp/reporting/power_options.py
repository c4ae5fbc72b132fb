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
        seed_sds: Expected standard deviation of a run's score from one seed to the next, of each of the two levels; None: not
            known.
        items: Numbers of test items (of clusters, where items are clustered).
        seeds: Numbers of seeds per cell.
        difference: The difference whose power is wanted.
    """

    means: tuple[float, float] | None
    seed_sds: tuple[float, float] | None
    items: list[int]
    seeds: list[int]
    difference: float | None


def read_power_options(metric: str, bounds: tuple[float, float] | None) -> PowerOptions:
    """The options in the environment.

    Args:
        metric: The primary metric.
        bounds: Its least and largest value; None without.

    Raises:
        UserError: If one is not as it must be.
    """
    wanted = "two different scores between 0 and 1, such as .6,.7"
    means = _numbers("MEANS", float, wanted, lambda mean: 0 < mean < 1)
    if means and (len(means) != 2 or means[0] == means[1]):
        raise _wrong("MEANS", wanted)
    if means and bounds != (0.0, 1.0):
        raise UserError(
            f"MEANS: are expected shares of right answers, but {metric} is no score from 0 to 1. Run a few seeds of each cell, "
            "and make power says it from what they show."
        )
    wanted = "a number from 0 to .5, or two, one for each of MEANS, such as .02 or .02,.05"
    seed_sds = _numbers("SEED_SD", float, wanted, lambda sd: 0 <= sd <= 0.5)
    if seed_sds and not means:
        raise UserError("SEED_SD: says what is expected, and so needs MEANS. For example: make power MEANS=.6,.7 SEED_SD=.02")
    if len(seed_sds) > 2:
        raise _wrong("SEED_SD", wanted)
    most = bounds[1] - bounds[0] if bounds else math.inf
    wanted = "a number above 0, " + (f"at most {most:g}, " if math.isfinite(most) else "") + "such as .05"
    differences = _numbers("DIFFERENCE", float, wanted, lambda size: 0 < size <= most)
    if len(differences) > 1:
        raise _wrong("DIFFERENCE", wanted)
    items = _numbers("ITEMS", int, "whole numbers above 1, such as 300,1000", lambda count: count > 1)
    seeds = _numbers("SEEDS", int, "whole numbers above 0, such as 2,3,5", lambda count: count > 0)
    return PowerOptions(
        (means[0], means[1]) if means else None, (seed_sds[0], seed_sds[-1]) if seed_sds else None, items, seeds or [2, 3, 5],
        differences[0] if differences else None,
    )


def _wrong(name: str, wants: str) -> UserError:
    return UserError(f"{name}: must be {wants}, got '{os.environ[name]}'.")


def _numbers(name: str, kind: Callable[[str], Number], wants: str, accepts: Callable[[Number], bool]) -> list[Number]:
    """The numbers of one option, separated by commas; none where it is not given."""
    text = os.environ.get(name, "")
    if not text:
        return []
    try:
        numbers = [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise _wrong(name, wants) from error
    if not all(math.isfinite(number) and accepts(number) for number in numbers):
        raise _wrong(name, wants)
    return numbers
