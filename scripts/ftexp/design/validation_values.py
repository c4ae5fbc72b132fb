"""The keys of `validation`, in the section and in levels: what each may be.

Only the standard library is imported here, because the cookiecutter hook runs this code too.
"""

import math
from collections.abc import Mapping
from typing import Any

from ftexp.ground.errors import Findings, suggestion

LOSS, BEST, LAST = "loss", "best", "last"
DEFAULTS: Mapping[str, Any] = {"every": 1, "metric": LOSS, "patience": None, "threshold": 0.0, "keep": BEST}


def check_validation_value(found: Findings, where: str, key: str, value: Any) -> None:
    """Check one of the section's keys, of the section itself or of a level."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if key not in DEFAULTS:
        found.add(where, "unknown key", suggestion(key, DEFAULTS))
    elif key == "every" and not (is_number and (0 < value < 1 or (isinstance(value, int) and value >= 1))):
        found.add(where, f"must be a whole number of epochs, or a share of one above 0 and below 1, got {value!r}")
    elif key == "patience" and value is not None and not (isinstance(value, int) and is_number and value >= 1):
        found.add(where, f"must be a whole number of times above 0, or null for no early stop, got {value!r}")
    elif key == "threshold" and not (is_number and 0 <= value < math.inf):
        found.add(where, f"must be a finite number, 0 or above, got {value!r}")
    elif key == "keep" and value not in (BEST, LAST):
        found.add(where, f"must be best or last, got {value!r}")
    elif key == "metric" and not isinstance(value, str):
        cure = "Write it among evaluation.scorers, and here its name alone." if isinstance(value, dict) else "Name one."
        found.add(where, f"must be loss, or the name of a scorer, got {value!r}", cure)
