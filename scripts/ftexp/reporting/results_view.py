"""results.csv for reading: rounded, with what is missing apart. Nothing is read or written."""

from collections import Counter
from collections.abc import Sequence

from ftexp.results.kept import KEPT_COLUMNS
from ftexp.results.table import COLUMNS_AFTER, NO_CONTROL, NOT_ASKED, NUMBERS, RunFacts

# Told in the list of what is missing; and shown only where rows differ in it, or some row has it.
NOT_SHOWN, SHOWN_IF_DIFFERENT, SHOWN_IF_KNOWN = ("reason", "kept_why"), ("task", "metric"), ("valid", "majority", "chance")


def shown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The results for reading: numbers to three decimals, without the columns that are told elsewhere, or say nothing."""
    first_after = header.index(COLUMNS_AFTER[0])
    values = {name: {row[index] for row in rows} for index, name in enumerate(header)}
    left_out = {*NOT_SHOWN, *(name for name in SHOWN_IF_DIFFERENT if len(values[name]) < 2)}
    left_out |= {name for name in SHOWN_IF_KNOWN if values[name] <= {""}}
    left_out |= {"unscored"} if values["unscored"] <= {"", "0"} else set()
    left_out |= {"valid"} if values["valid"] <= {"", "1"} else set()
    keep = [index for index, name in enumerate(header) if index < first_after or name not in left_out]
    rounded = [round_row(header, row) for row in rows]
    return [header[i] for i in keep], [[row[i] for i in keep] for row in rounded]


def of_primary(
    header: Sequence[str], rows: Sequence[Sequence[str]], primary: tuple[str, str]
) -> tuple[list[Sequence[str]], str]:
    """The rows of the primary task and metric, where there are several; and in words which others there are.

    Args:
        primary: Its metric is empty where it is the task's first.
    """
    places = header.index("task"), header.index("metric")
    measures: dict[str, list[str]] = {}
    for task, metric in dict.fromkeys((row[places[0]], row[places[1]]) for row in rows):
        measures.setdefault(task, []).append(metric)
    task, metric = primary[0], primary[1] or next(iter(measures.get(primary[0], [""])))
    if sum(map(len, measures.values())) < 2 or metric not in measures.get(task, ()):
        return list(rows), ""
    others = {name: [each for each in names if (name, each) != (task, metric)] for name, names in measures.items()}
    named = "; ".join(f"{name}: {', '.join(names)}" for name, names in others.items() if names)
    own = [row for row in rows if (row[places[0]], row[places[1]]) == (task, metric)]
    return own, f"task {task}, {metric}. In results.csv too: {named}"


def round_row(header: Sequence[str], row: Sequence[str]) -> list[str]:
    """A row of results.csv with its numbers to three decimals, for reading."""
    first_after = header.index(COLUMNS_AFTER[0])
    pairs = enumerate(zip(header, row, strict=True))
    numbers = (*NUMBERS, KEPT_COLUMNS[0])
    return [round_number(text) if index >= first_after and name in numbers else text for index, (name, text) in pairs]


def round_number(text: str) -> str:
    """A number to three decimals; empty stays empty."""
    return f"{float(text):.3f}" if text else ""


def missing(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Runs with a stage that is not done, or a number that is missing though the design has it, and why; with what it is of.

    Equal ones of a run stand together.
    """
    found: dict[tuple[str, ...], dict[str, list[str]]] = {}
    asked: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        train, evaluation, reason, task, metric = row[header.index(COLUMNS_AFTER[0]) :][:5]
        if reason == NOT_ASKED:
            continue
        asked.setdefault(row[0], {}).setdefault(task, set()).add(metric)
        if reason not in ("", NO_CONTROL) or {train, evaluation} - {"", "done"}:
            found.setdefault((row[0], train, evaluation, reason), {}).setdefault(task, []).append(metric)
    gaps = []
    for (run, train, evaluation, reason), which in found.items():
        metrics = asked[run]
        is_all = len(which) == len(metrics) and all(len(names) == len(metrics[task]) for task, names in which.items())
        named = [task if len(names) == len(metrics[task]) else f"{task}/{', '.join(names)}" for task, names in which.items()]
        of_what = "" if is_all else f"{'; '.join(named)}: "
        gaps.append({"run": run, "train": train, "eval": evaluation, "reason": of_what + reason})
    return gaps


def status_counts(all_facts: Sequence[RunFacts]) -> str:
    """How many evaluations stand where, in words: `9 done, 1 failed`."""
    counts = Counter(facts.eval.status for facts in all_facts)
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
