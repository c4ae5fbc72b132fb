"""Test items that fine-tuning changed most, with the answers of the controls and of the cells side by side.

Nothing is read or written.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ftexp.design.settings import SEED
from ftexp.reporting.svg_figure import cell_label
from ftexp.results.table import RunFacts

MOST_CHARACTERS = 400
MOST_CELLS = 8
SHOWN_EACH_WAY = 4


@dataclass(frozen=True)
class Column:
    """One cell or control: its title, the run that speaks for it, and why that one has no answers."""

    title: str
    run: str
    note: str


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


def answer_columns(all_facts: Sequence[RunFacts], task: str) -> list[Column]:
    """One column per control and one per cell, of many cells a few; for a cell speaks its first seed that answered the task."""
    cells: dict[str, list[RunFacts]] = {}
    for facts in all_facts:
        levels = {name: level for name, level in facts.run.levels.items() if name != SEED}
        title = cell_label(levels) if facts.run.kind == "trained" else f"control {facts.id}"
        cells.setdefault(title, []).append(facts)
    controls = [_column(title, members, task) for title, members in cells.items() if members[0].run.is_control]
    trained = [_column(title, members, task) for title, members in cells.items() if not members[0].run.is_control]
    return [*controls[:MOST_CELLS], *_spread(trained)]


def _spread(columns: list[Column]) -> list[Column]:
    """A few columns, from first to last in even steps, where there are more than fit on a page."""
    if len(columns) <= MOST_CELLS:
        return columns
    step = (len(columns) - 1) / (MOST_CELLS - 1)
    return [columns[round(index * step)] for index in range(MOST_CELLS)]


def _column(title: str, members: list[RunFacts], task: str) -> Column:
    done = [facts for facts in members if task in facts.tasks and facts.tasks[task].status == "done"]
    speaker = done[0] if done else members[0]
    return Column(title, speaker.id, "" if done else f"eval {speaker.eval.status}")


def changed_items(
    rows: pd.DataFrame, score: str, controls: Mapping[str, str | None], columns: Sequence[Column]
) -> list[ChangedItem]:
    """Those that gained most, then those that lost most; without a control those on which the runs differ most.

    An item's change is the mean, over the tuned runs that were asked it, of its score minus that of the run's control. Items
    of the same change are ordered by how much the runs differ on them, then as in the test set.

    Args:
        rows: The answers to one task.
        score: The column of `rows` that is compared.
        controls: Per tuned run the id of its control.
    """
    if rows.empty or score not in rows:
        return []
    scores = rows.groupby(["run", "item"], observed=True, sort=False)[score].mean().unstack("run")
    scores = scores.reindex(rows["item"].drop_duplicates())
    tuned = scores[[run for run in map(str, scores) if run in controls]]
    pairs = {run: controls[run] for run in map(str, tuned) if controls[run] in scores}
    of_control = pd.DataFrame({run: scores[control] for run, control in pairs.items()}, index=scores.index)
    changes = (tuned[list(of_control)] - of_control).mean(axis=1).dropna()
    spreads = tuned.var(axis=1, ddof=0).fillna(0.0)
    ranking = pd.DataFrame({"change": changes.reindex(scores.index).fillna(0.0), "spread": spreads})
    ranked = ranking.sort_values(["change", "spread"], ascending=[False, False], kind="stable")
    if changes.empty:
        chosen = list(ranked.index[ranked["spread"] > 0])[: 2 * SHOWN_EACH_WAY]
    else:
        gained = list(ranked.index[ranked["change"] > 0])[:SHOWN_EACH_WAY]
        lost = list(ranked[ranked["change"] < 0].sort_values("change", kind="stable").index)[:SHOWN_EACH_WAY]
        chosen = gained + lost
    return _shown(rows, chosen, score, changes, columns)


def _shown(
    rows: pd.DataFrame, chosen: Sequence[str], score: str, changes: "pd.Series[float]", columns: Sequence[Column]
) -> list[ChangedItem]:
    own = rows[rows["item"].isin(chosen) & rows["run"].isin([column.run for column in columns])]
    answers = {key: group for key, group in own.groupby(["run", "item"], observed=True)}
    about = rows.drop_duplicates("item").set_index("item")
    return [
        ChangedItem(
            str(item), _cut(str(about.loc[item, "input"])), _cut(str(about.loc[item, "target"])),
            float(changes[item]) if item in changes.index else None,
            [_shown_answers(answers.get((column.run, item)), score) for column in columns],
        ) for item in chosen
    ]


def _shown_answers(answers: pd.DataFrame | None, score: str) -> Shown:
    if answers is None:
        return Shown(None)
    counts = Counter(answers["completion"])
    texts = [text if len(answers) == 1 else f"{count} × {text}" for text, count in counts.most_common()]
    return Shown(_cut(" | ".join(texts)), int((answers[score] == 1.0).sum()), len(answers))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + " …"
