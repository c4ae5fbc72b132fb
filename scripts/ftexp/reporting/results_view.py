"""results.csv for reading: rounded, with what is missing apart. Nothing is read or written."""

from collections import Counter
from collections.abc import Sequence

from ftexp.results.table import COLUMNS_AFTER, NO_CONTROL, NUMBERS, RunFacts

# Columns of results.csv that are the same in every row, or told in the list of what is missing; and one that most tests lack.
NOT_SHOWN, SHOWN_IF_KNOWN = ("reason", "task", "metric"), "chance"


def shown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The results for reading: numbers to three decimals, without the columns that are told elsewhere."""
    first_after = len(header) - len(COLUMNS_AFTER)
    left_out = NOT_SHOWN if any(row[header.index(SHOWN_IF_KNOWN)] for row in rows) else (*NOT_SHOWN, SHOWN_IF_KNOWN)
    keep = [index for index, name in enumerate(header) if index < first_after or name not in left_out]
    rounded = [round_row(header, row) for row in rows]
    return [header[i] for i in keep], [[row[i] for i in keep] for row in rounded]


def round_row(header: Sequence[str], row: Sequence[str]) -> list[str]:
    """A row of results.csv with its numbers to three decimals, for reading."""
    first_number = len(header) - len(NUMBERS)
    return [round_number(text) if index >= first_number else text for index, text in enumerate(row)]


def round_number(text: str) -> str:
    """A number to three decimals; empty stays empty."""
    return f"{float(text):.3f}" if text else ""


def missing(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Runs with a stage that is not done, or a number that is missing though the design has it, and why."""
    found = []
    for row in rows:
        train, evaluation, reason = row[len(header) - len(COLUMNS_AFTER) :][:3]
        if reason not in ("", NO_CONTROL) or {train, evaluation} - {"", "done"}:
            found.append({"run": row[0], "train": train, "eval": evaluation, "reason": reason})
    return found


def status_counts(all_facts: Sequence[RunFacts]) -> str:
    """How many evaluations stand where, in words: `9 done, 1 failed`."""
    counts = Counter(facts.eval.status for facts in all_facts)
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
