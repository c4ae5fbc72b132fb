"""Test items: what is asked, what is right, and to which cluster and groups an item belongs.

Reads data/splits/<name>/test.jsonl. Writes nothing.
"""

from dataclasses import dataclass
from typing import Any

from ftexp.data.answers import Answers
from ftexp.data.cell_text import cell_text
from ftexp.data.conversations import answer_text, input_text
from ftexp.data.rows import read_items
from ftexp.ground import paths
from ftexp.ground.errors import UserError


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a test set.

    Attributes:
        id: The hash of the raw row; the same in every run that was asked this item, whatever its prompt.
        input: The input column, without the prompt around it.
        target: The output column.
        cluster: Value of the column `evaluation.cluster`; the id where there is none.
        groups: Values of the columns `evaluation.groups`.
    """

    id: str
    input: str
    target: str
    cluster: str
    groups: tuple[str, ...]


def read_test_items(name: str, data: dict[str, Any], analysis: dict[str, Any]) -> dict[str, Item]:
    """The items that a run is asked, by id, in the test set's order.

    Args:
        name: The name of the run's test set.
        data: The run's data section.
        analysis: `Experiment.analysis`.

    Raises:
        UserError: If a row has no value in a column that the analysis names.
    """
    path = paths.split_part(name, "test")
    lines = read_items(path)
    for column in filter(None, [analysis["cluster"], *analysis["groups"]]):
        if any(line["row"].get(column) is None for line in lines):
            raise UserError(
                f"{path}: column '{column}', which experiment.yaml names under evaluation, is not in every row. "
                "Name another, or `make split` where the data changed."
            )
    items = (_item(line["item"], line["row"], data, analysis) for line in lines)
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


def _item(name: str, row: dict[str, Any], data: dict[str, Any], analysis: dict[str, Any]) -> Item:
    cluster = analysis["cluster"]
    return Item(
        id=name, input=input_text(row, data["input"]), target=answer_text(row, data["input"], data["output"]),
        cluster=name if cluster is None else cell_text(row, cluster), groups=tuple(cell_text(row, g) for g in analysis["groups"]),
    )
