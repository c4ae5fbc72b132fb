"""Test items: what is asked, what is right, and to which cluster and groups an item belongs.

Reads data/splits/<name>/test.jsonl. Writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftexp.data.answers import Answers
from ftexp.data.cell_text import cell_text
from ftexp.data.conversations import answer_text, input_text
from ftexp.data.rows import read_items
from ftexp.data.splits import document_column
from ftexp.ground import paths
from ftexp.ground.errors import UserError


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a test set.

    Attributes:
        id: The hash of the raw row; the same in every run that was asked this item, whatever its prompt.
        row: The raw row.
        input: The input column, without the prompt around it; of a document its text.
        target: The output column; of a document empty.
        cluster: Value of the column `evaluation.cluster`; the id where there is none.
        groups: Values of the columns `evaluation.groups`.
    """

    id: str
    row: Mapping[str, Any]
    input: str
    target: str
    cluster: str
    groups: tuple[str, ...]


def read_task_items(name: str, data: Mapping[str, Any], cluster: str | None, groups: Sequence[str]) -> dict[str, Item]:
    """The items of a task by id, in their set's order.

    Args:
        name: The name of the task's set of rows.
        data: The data section that they come from; of documents with their column, as `document` or `text`.
        cluster: Column by which items belong together, or None.
        groups: Columns of groups.

    Raises:
        UserError: If a row has no value in a column that is named.
    """
    path = paths.split_part(name, "test")
    lines = read_items(path)
    for column in filter(None, [cluster, *groups]):
        if any(line["row"].get(column) is None for line in lines):
            raise UserError(
                f"{path}: column '{column}', which experiment.yaml names under evaluation, is not in every row. "
                "Name another, or `make split` where the data changed."
            )
    items = (_item(line["item"], line["row"], data, cluster, groups) for line in lines)
    return {item.id: item for item in items}


def reference_answers(training_set: str, data: dict[str, Any], items: dict[str, Item]) -> Answers:
    """What is right in a test set, and which answers it does not ask that are trained.

    Args:
        training_set: The name of the rows that are trained, where their answers are classes to a metric; else empty.
        data: The data section of a run.
        items: Its test items.
    """
    path = paths.split_part(training_set, "train")
    trained = read_items(path) if training_set and path.is_file() else []
    return Answers.of(
        (item.target for item in items.values()), (answer_text(item["row"], data["input"], data["output"]) for item in trained)
    )


def _item(name: str, row: Mapping[str, Any], data: Mapping[str, Any], cluster: str | None, groups: Sequence[str]) -> Item:
    column = data.get("document") or document_column(data)
    return Item(
        id=name, row=row, input=cell_text(row, column) if column else input_text(row, data["input"]),
        target="" if column else answer_text(row, data["input"], data["output"]),
        cluster=name if cluster is None else cell_text(row, cluster), groups=tuple(cell_text(row, g) for g in groups),
    )
