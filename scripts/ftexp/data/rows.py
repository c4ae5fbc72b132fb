"""The rows of a part of a split, as `make split` wrote them."""

import json
from pathlib import Path
from typing import Any


def read_items(path: Path) -> list[dict[str, Any]]:
    """Items of one part, in the split's order: `{"item": id, "row": columns}` a line."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
