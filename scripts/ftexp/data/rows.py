"""The rows of a part of a split, as `make split` wrote them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ftexp.data.cell_text import Row
from ftexp.data.json_rows import parse_json


def iter_items(path: Path) -> Iterator[dict[str, Any]]:
    """Items of one part, in the split's order: `{"item": id, "row": columns}` a line; one at a time."""
    name = str(path)
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            item = parse_json(line, path, number)
            item["row"] = Row(item["row"], name, item["item"], "item")
            yield item


def read_items(path: Path) -> list[dict[str, Any]]:
    """Items of one part, in the split's order: `{"item": id, "row": columns}` a line."""
    return list(iter_items(path))
