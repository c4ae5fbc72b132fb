"""What came out, task by task, in words that need no statistics. Nothing is read or written."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ftexp.ground.wording import listed
from ftexp.reporting.cells_view import ordered_measures
from ftexp.reporting.measure_words import NO_KINDS, MeasureWords, words_of
from ftexp.results.cells import Cell


def first_sentences(
    table: pd.DataFrame, cells: Sequence[Cell], primary: tuple[str, str], kinds: Mapping[str, str] = NO_KINDS,
    chosen: Sequence[str] = (),
) -> list[str]:
    """A sentence per task, the primary one first: from the untuned model to the average of the cells, and the best of them.

    It is about the primary metric, or of a task that is not judged by it, about its first one. A task that no tuned run has a
    value of has no sentence.

    Args:
        table: What `cells_table` returned.
        cells: The cells that it is of.
        primary: Task and metric.
        kinds: As `words_of` takes them.
        chosen: Factors of which a level was chosen on validation, so that an average over the cells is of the others too.
    """
    measures = ordered_measures(table, primary)
    metrics: dict[str, str] = {}
    for task, metric in measures:
        if task not in metrics or metric == primary[1]:
            metrics[task] = metric
    found = []
    for task, metric in metrics.items():
        rows = table[(table["task"] == task) & (table["metric"] == metric)]
        words = words_of(metric, kinds)
        said = _said(rows, cells, words, chosen)
        found += [f"Task {task}, {words.phrase}: {said}."] if said else []
    return found


def _said(rows: pd.DataFrame, cells: Sequence[Cell], words: MeasureWords, chosen: Sequence[str]) -> str:
    """What the numbers of one measure say; empty where no tuned cell has one."""
    means = dict(zip(rows["cell"], rows["mean"], strict=True))
    asked = [cell for cell in cells if cell.kind != "control" and cell.name in means]
    tuned = [cell for cell in asked if not pd.isna(means[cell.name])]
    if not tuned:
        return ""
    by_control = {cell.runs[0]: means.get(cell.name) for cell in cells if cell.kind == "control"}
    of_controls = [by_control.get(cell.control) for cell in tuned]
    known = [value for value in of_controls if not pd.isna(value)]
    now = _mean([means[cell.name] for cell in tuned])
    several_levels = [name for name in chosen if len({cell.levels[name] for cell in tuned}) > 1]
    of_all = f" (of all levels of {listed(several_levels)}, not only the chosen)" if several_levels else ""
    where = _where(len(tuned), len(asked), tuned[0]) + of_all
    if len(known) < len(tuned):
        text = f"{words.number(now)}{where}"
    else:
        several = len({cell.control for cell in tuned}) > 1
        text = f"{_change(_mean(known), now, words, several=several)}{where}"
    return text + _better(known, now, words, len(tuned)) + (_best(tuned, means, words) if len(tuned) > 1 else "")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _where(count: int, asked: int, cell: Cell) -> str:
    if asked == 1:
        return "" if cell.name == "the tuned runs" else f" at {cell.name}"
    if count == 1:
        return f" at {cell.name}, the one of {asked} cells that has a value"
    return f" on average over the {count} cells" if count == asked else f" on average over {count} of {asked} cells"


def _change(before: float, now: float, words: MeasureWords, *, several: bool) -> str:
    """`rises from 0.350 (untuned model) to 0.600`; what looks the same stays."""
    whose = "untuned models, on average" if several else "untuned model"
    texts = words.number(before), words.number(now)
    if texts[0] == texts[1]:
        return f"stays at {texts[1]} (as the {whose})"
    return f"{'rises' if now > before else 'falls'} from {texts[0]} ({whose}) to {texts[1]}"


def _better(known: Sequence[float], now: float, words: MeasureWords, count: int) -> str:
    """Of a metric of which less is better, what the change means; of others nothing, as it goes without saying."""
    if len(known) < count or not words.less_is_better:
        return ""
    before = _mean(known)
    if words.number(before) == words.number(now):
        return ""
    return f", which is {'better' if words.is_better(now, before) else 'worse'}"


def _best(tuned: Sequence[Cell], means: Mapping[str, float], words: MeasureWords) -> str:
    """The best cell; of equally good ones the first, and how many more there are."""
    values = [means[cell.name] for cell in tuned]
    best = min(values) if words.less_is_better else max(values)
    names = [cell.name for cell, value in zip(tuned, values, strict=True) if value == best]
    if len(names) == len(tuned):
        return "; all cells are alike"
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return f", best {words.number(best)} at {names[0]}{more}"
