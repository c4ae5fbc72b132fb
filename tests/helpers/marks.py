"""Which values of a parameter `make test` tries, and which `make test-slow`."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(values: Iterable[Any], *quick: Any) -> list[Any]:
    """All values, marked slow but for those named."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]
