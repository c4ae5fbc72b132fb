"""report.html: one page that opens offline, with the question, the design, the table, the plots and five items.

Reads data/splits/<name>/split.json and report_template.html; the rest comes as arguments. Writes nothing.
No time and no host is in it: the same results give the same bytes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftexp import paths
from ftexp.filesystem import read_json
from ftexp.inspect_logs import Item
from ftexp.plots import SEED, Curve, Plot, Point, curves_plot, factor_plot
from ftexp.results import COLUMNS_AFTER, NUMBERS, RunFacts, controls_by_run, estimate, results_header, results_rows
from ftexp.settings import SETTINGS
from ftexp.spec import Experiment
from ftexp.splits import PARTS
from ftexp.svg_figure import cell_label, level_label

TEMPLATE_PATH = Path(__file__).with_name("report_template.html")
ITEMS_SHOWN = 5
MOST_CHARACTERS = 400
# Columns of results.csv that are the same in every row, or told in the list of what is missing.
NOT_SHOWN = ("reason", "task", "metric")


@dataclass(frozen=True)
class Column:
    """The answers of one cell or control: the run that speaks for it, and its items by id."""

    title: str
    run: str
    note: str
    items: dict[str, Item]


@dataclass(frozen=True)
class Shown:
    """One answer as the page shows it; text is None where the run was not asked or has no answers."""

    text: str | None
    is_right: bool = False


def render_page(experiment: Experiment, all_facts: Sequence[RunFacts], extra_folders: Sequence[str]) -> str:
    """The whole page as text."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    runs = [facts.run for facts in all_facts]
    header, rows = results_header(list(experiment.factors)), results_rows(all_facts)
    columns = answer_columns(all_facts)
    shown_header, shown_rows = shown_table(header, rows)
    return environment.from_string(TEMPLATE_PATH.read_text(encoding="utf-8")).render(
        name=experiment.name, question=experiment.question, design=design_in_words(experiment, runs),
        factors=_factor_rows(experiment), constants=constants(experiment, runs), prompt=experiment.prompt,
        splits=_split_rows(runs), parts=PARTS, header=shown_header,
        rows=[{"status": _worst_status(f), "cells": row} for f, row in zip(all_facts, shown_rows, strict=True)],
        numbers={*NUMBERS, "n"}, plots=_plots(experiment, all_facts), columns=columns,
        items=_item_rows(choose_items(columns), columns), missing=missing(header, rows), extra_folders=extra_folders,
        scorer=experiment.evaluation["scorer"], max_tokens=experiment.evaluation["max_tokens"],
        has_seeds=len(experiment.factors.get(SEED, [])) > 1,
    ) + "\n"


def design_in_words(experiment: Experiment, runs: Sequence[dict[str, Any]]) -> str:
    """One sentence: how many runs, of what, against what."""
    trained = sum(run["kind"] == "trained" for run in runs)
    controls = [run["run"] for run in runs if run["kind"] == "control"]
    product = " × ".join(f"{len(levels)} {name}" for name, levels in experiment.factors.items())
    design = f"{_count(trained, 'trained run')} ({product + ', every combination' if product else 'a single cell'})"
    if not controls:
        return f"{design}; no control."
    return f"{design} and {_count(len(controls), 'control')} (the untuned base model: {', '.join(controls)})."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _factor_rows(experiment: Experiment) -> list[dict[str, str]]:
    rows = []
    for name, levels in experiment.factors.items():
        is_named = any(level.sets != {name: level.label} for level in levels)
        texts = [level_label(level.label) + (f" ({_assignments(level.sets)})" if is_named else "") for level in levels]
        meaning = SETTINGS[name].meaning if name in SETTINGS else "named levels" if is_named else "torchtune key"
        rows.append({"name": name, "meaning": meaning, "levels": ("; " if is_named else ", ").join(texts)})
    return rows


def _assignments(sets: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {level_label(value)}" for name, value in sets.items())


def constants(experiment: Experiment, runs: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """What is the same in all trained runs, declared or by default, and what derives from it."""
    trained = [run for run in runs if run["kind"] == "trained"]
    varied = {name for levels in experiment.factors.values() for level in levels for name in level.sets}
    found: dict[str, Any] = {}
    for section in ("settings", "overrides", "steps"):
        for name, value in (trained[0][section] if trained else {}).items():
            if name not in varied and value is not None and all(run[section].get(name) == value for run in trained):
                found[name] = value
    return [(name, level_label(value)) for name, value in found.items()]


def _split_rows(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sizes of every split and how many repeated inputs each part lost; `None` where it is not made yet."""
    rows = []
    for name in dict.fromkeys(run["split"] for run in runs):
        path = paths.split_dir(name) / "split.json"
        made = read_json(path) if path.is_file() else {"rows": None, "removed_because_repeated": {}}
        rows.append({"name": name, "sizes": made["rows"], "removed": made["removed_because_repeated"]})
    return rows


def shown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The results for reading: numbers to three decimals, without the columns that are told elsewhere."""
    first_after = len(header) - len(COLUMNS_AFTER)
    keep = [index for index, name in enumerate(header) if index < first_after or name not in NOT_SHOWN]
    rounded = [round_row(header, row) for row in rows]
    return [header[i] for i in keep], [[row[i] for i in keep] for row in rounded]


def round_row(header: Sequence[str], row: Sequence[str]) -> list[str]:
    """A row of results.csv with its numbers to three decimals, for reading."""
    first_number = len(header) - len(NUMBERS)
    return [round_number(text) if index >= first_number else text for index, text in enumerate(row)]


def round_number(text: str) -> str:
    """A number to three decimals; empty stays empty."""
    return f"{float(text):.3f}" if text else ""


def _worst_status(facts: RunFacts) -> str:
    """For colour only: failed before stale before anything else that is not done."""
    statuses = {state.status for state in (facts.train, facts.eval) if state}
    return next((status for status in ("failed", "stale") if status in statuses), "done" if statuses == {"done"} else "missing")


def missing(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Runs with a stage that is not done, or a number that is missing, and why."""
    found = []
    for row in rows:
        train, evaluation, reason = row[len(header) - len(COLUMNS_AFTER) :][:3]
        if reason or {train, evaluation} - {"", "done"}:
            found.append({"run": row[0], "train": train, "eval": evaluation, "reason": reason})
    return found


def _plots(experiment: Experiment, all_facts: Sequence[RunFacts]) -> list[Plot]:
    """One plot per factor but the seed, then the training curves."""
    scores = {facts.id: estimate([item.score for item in facts.items]).mean for facts in all_facts if facts.items}
    controls = controls_by_run(facts.run for facts in all_facts)
    trained = [facts for facts in all_facts if facts.run["kind"] == "trained"]
    points = [Point(f.run["levels"], scores[f.id], scores.get(controls[f.id] or "")) for f in trained if f.id in scores]
    curves = [Curve(f.run["levels"], [x.step for x in f.losses], [x.loss for x in f.losses]) for f in trained if f.losses]
    metric = experiment.evaluation["scorer"]
    by_factor = [
        factor_plot(name, [level.label for level in levels], points, metric=metric)
        for name, levels in experiment.factors.items() if name != SEED
    ]
    return [*by_factor, curves_plot(curves)]


def answer_columns(all_facts: Sequence[RunFacts]) -> list[Column]:
    """One column per control and one per cell; for a cell speaks its first seed that is evaluated."""
    cells: dict[str, list[RunFacts]] = {}
    for facts in all_facts:
        levels = {name: level for name, level in facts.run["levels"].items() if name != SEED}
        title = cell_label(levels) if facts.run["kind"] == "trained" else f"control {facts.id}"
        cells.setdefault(title, []).append(facts)
    return [_column(title, members) for title, members in cells.items()]


def _column(title: str, members: list[RunFacts]) -> Column:
    speaker = next((facts for facts in members if facts.items), members[0])
    note = "" if speaker.items else f"eval {speaker.eval.status}"
    return Column(title, speaker.id, note, {item.id: item for item in speaker.items})


def choose_items(columns: Sequence[Column]) -> list[Item]:
    """Five items, in the test set's order.

    First those that most columns were asked; among them those where right and wrong differ, then those where the
    answers differ, then the first of the test set.
    """
    known: dict[str, Item] = {}
    for column in columns:
        known |= {key: item for key, item in column.items.items() if key not in known}

    def rank(key: str) -> tuple[int, bool, int]:
        asked = [column.items[key] for column in columns if key in column.items]
        is_split = len({item.score for item in asked}) > 1
        return -len(asked), not is_split, -len({item.answer for item in asked})

    chosen = set(sorted(known, key=rank)[:ITEMS_SHOWN])
    return [item for key, item in known.items() if key in chosen]


def _item_rows(items: Sequence[Item], columns: Sequence[Column]) -> list[dict[str, Any]]:
    rows = []
    for item in items:
        answers = [column.items.get(item.id) for column in columns]
        shown = [Shown(_cut(answer.answer), answer.score == 1.0) if answer else Shown(None) for answer in answers]
        rows.append({"id": item.id, "input": _cut(item.input), "target": _cut(item.target), "answers": shown})
    return rows


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + " …"


def status_counts(all_facts: Sequence[RunFacts]) -> str:
    """How many evaluations stand where, in words: `9 done, 1 failed`."""
    counts = Counter(facts.eval.status for facts in all_facts)
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
