"""The rows of a part of a split, as `make split` wrote them."""

from pathlib import Path
from typing import Any

from ftexp.data.cell_text import Row
from ftexp.data.json_rows import parse_json


def read_items(path: Path) -> list[dict[str, Any]]:
    """Items of one part, in the split's order: `{"item": id, "row": columns}` a line."""
    with path.open(encoding="utf-8") as file:
        items = [parse_json(line, path, number) for number, line in enumerate(file, 1)]
    return [{"item": item["item"], "row": Row(item["row"], str(path), f"item {item['item']}")} for item in items]
