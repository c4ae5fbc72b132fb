"""Test items that fine-tuning changed most, with the answers of the controls and of the cells side by side.

Nothing is read or written.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ftexp.data.items import Item
from ftexp.design.settings import SEED
from ftexp.evaluation.inspect_logs import Answer
from ftexp.reporting.svg_figure import cell_label
from ftexp.results.estimates import item_scores
from ftexp.results.table import RunFacts, controls_by_run

MOST_CHARACTERS = 400
MOST_CELLS = 8
SHOWN_EACH_WAY = 4


@dataclass(frozen=True)
class Column:
    """The answers of one cell or control: the run that speaks for it, and what it said by item."""

    title: str
    run: str
    note: str
    answers: dict[str, list[Answer]]


@dataclass(frozen=True)
class Shown:
    """What a run said to one item, as the page shows it; text is None where it was not asked or has no answers.

    Attributes:
        text: The answer; where it was asked several times, the different ones with how often each was given.
        asked: How often it was asked, and `right` in how many of these it was.
    """

    text: str | None
    right: int = 0
    asked: int = 0


@dataclass(frozen=True)
class ChangedItem:
    """One item: its mean change against the controls (None without any), and the answer in each column."""

    id: str
    input: str
    target: str
    change: float | None
    answers: list[Shown]


def answer_columns(all_facts: Sequence[RunFacts]) -> list[Column]:
    """One column per control and one per cell, of many cells a few; for a cell speaks its first evaluated seed."""
    cells: dict[str, list[RunFacts]] = {}
    for facts in all_facts:
        levels = {name: level for name, level in facts.run.levels.items() if name != SEED}
        title = cell_label(levels) if facts.run.kind == "trained" else f"control {facts.id}"
        cells.setdefault(title, []).append(facts)
    controls = [_column(title, members) for title, members in cells.items() if members[0].run.kind == "control"]
    trained = [_column(title, members) for title, members in cells.items() if members[0].run.kind == "trained"]
    return [*controls[:MOST_CELLS], *_spread(trained)]


def _spread(columns: list[Column]) -> list[Column]:
    """A few columns, from first to last in even steps, where there are more than fit on a page."""
    if len(columns) <= MOST_CELLS:
        return columns
    step = (len(columns) - 1) / (MOST_CELLS - 1)
    return [columns[round(index * step)] for index in range(MOST_CELLS)]


def _column(title: str, members: list[RunFacts]) -> Column:
    speaker = next((facts for facts in members if facts.answers), members[0])
    note = "" if speaker.answers else f"eval {speaker.eval.status}"
    answers: dict[str, list[Answer]] = {}
    for answer in speaker.answers:
        answers.setdefault(answer.item, []).append(answer)
    return Column(title, speaker.id, note, answers)


def changed_items(all_facts: Sequence[RunFacts], columns: Sequence[Column]) -> list[ChangedItem]:
    """Those that gained most, then those that lost most; without a control those on which the runs differ most.

    An item's change is the mean, over the tuned runs that were asked it, of its score minus that of the run's control. Items
    of the same change are ordered by how much the runs differ on them, then as in the test set.
    """
    items: dict[str, Item] = {}
    for facts in all_facts:
        items |= {key: item for key, item in facts.items.items() if key not in items} if facts.answers else {}
    changes, spreads = item_changes(all_facts)
    ranked = sorted(items, key=lambda key: (-changes.get(key, 0.0), -spreads.get(key, 0.0)))
    if not changes:
        chosen = [key for key in ranked if spreads.get(key)][: 2 * SHOWN_EACH_WAY]
    else:
        gained = [key for key in ranked if changes.get(key, 0.0) > 0][:SHOWN_EACH_WAY]
        lost = sorted((key for key in ranked if changes.get(key, 0.0) < 0), key=lambda key: changes[key])[:SHOWN_EACH_WAY]
        chosen = gained + lost
    return [_shown(items[key], changes.get(key), columns) for key in chosen]


def item_changes(all_facts: Sequence[RunFacts]) -> tuple[dict[str, float], dict[str, float]]:
    """Per item its mean change against the controls, and the variance of its score over the tuned runs."""
    by_id = {facts.id: facts for facts in all_facts}
    controls = controls_by_run(facts.run for facts in all_facts)
    of_control = {
        name: item_scores(by_id[name].answers) for name in set(controls.values()) if name in by_id
    }
    differences: dict[str, list[float]] = {}
    scores: dict[str, list[float]] = {}
    for facts in all_facts:
        if facts.run.kind == "control":
            continue
        reference = of_control.get(controls[facts.id] or "", {})
        for item, score in item_scores(facts.answers).items():
            scores.setdefault(item, []).append(score)
            if item in reference:
                differences.setdefault(item, []).append(score - reference[item])
    return {key: _mean(values) for key, values in differences.items()}, {key: _variance(values) for key, values in scores.items()}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    return _mean([value * value for value in values]) - _mean(values) ** 2


def _shown(item: Item, change: float | None, columns: Sequence[Column]) -> ChangedItem:
    answers = [_shown_answers(column.answers.get(item.id, [])) for column in columns]
    return ChangedItem(item.id, _cut(item.input), _cut(item.target), change, answers)


def _shown_answers(answers: Sequence[Answer]) -> Shown:
    if not answers:
        return Shown(None)
    counts = Counter(answer.completion for answer in answers)
    texts = [text if len(answers) == 1 else f"{count} × {text}" for text, count in counts.most_common()]
    return Shown(_cut(" | ".join(texts)), sum(answer.score == 1.0 for answer in answers), len(answers))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + " …"
