"""report.html: one page that opens offline: the question and its answers, the design, the tables, the plots, what changed.

Reads data/splits/<name>/{train,test}.json, manifests and page_template.html; the rest comes as arguments. Writes nothing.
No time and no host is in it: the same results give the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ftexp.design.in_words import excluded_in_words, kind_in_words, reference_in_words, runs_in_words
from ftexp.design.levels import label_text
from ftexp.design.run import Run, row_sets_of
from ftexp.design.settings import SEED, SETTINGS
from ftexp.design.spec import Experiment
from ftexp.effects import Analysis
from ftexp.ground import paths
from ftexp.ground.filesystem import read_json
from ftexp.reporting.columns import HEADER as COLUMNS_HEADER
from ftexp.reporting.columns import TABLES
from ftexp.reporting.conclusions import Conclusion
from ftexp.reporting.effects_view import HEADER as EFFECTS_HEADER
from ftexp.reporting.effects_view import effects_sections, sensitivity_rows
from ftexp.reporting.item_changes import answer_columns, changed_items
from ftexp.reporting.plots import Plot
from ftexp.reporting.results_view import missing, shown_table
from ftexp.results.provenance import provenance_of_report
from ftexp.results.table import NUMBERS, RunFacts, results_header

TEMPLATE_PATH = Path(__file__).with_name("page_template.html")
MANY_RUNS = 40


@dataclass(frozen=True)
class Findings:
    """What the page shows beside the runs: the tables, the effects and how they were read, the figures, the logs not counted.

    Attributes:
        results: Rows of results.csv.
        extra_folders: Run folders outside the design.
        logs: Pairs of path and reason.
    """

    results: Sequence[Sequence[str]]
    effects: pd.DataFrame
    analysis: Analysis
    conclusions: Sequence[Conclusion]
    plots: Sequence[Plot]
    extra_folders: Sequence[str]
    logs: Sequence[tuple[str, str]]


def render_page(experiment: Experiment, all_facts: Sequence[RunFacts], findings: Findings) -> str:
    """The whole page as text."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    runs = [facts.run for facts in all_facts]
    header = results_header(list(experiment.factors))
    columns = answer_columns(all_facts)
    shown_header, shown_rows = shown_table(header, findings.results)
    return environment.from_string(TEMPLATE_PATH.read_text(encoding="utf-8")).render(
        name=experiment.name, question=experiment.question, design=design_in_words(experiment, runs),
        conclusions=findings.conclusions, factors=_factor_rows(experiment),
        constants=constants(experiment, runs), prompt=experiment.prompt, prompt_factors=_prompt_factors(experiment),
        splits=_split_rows(runs),
        effects=effects_sections(findings.effects, findings.analysis), effects_header=EFFECTS_HEADER,
        sensitivity=sensitivity_rows(findings.effects, findings.analysis), header=shown_header,
        rows=[{"status": _worst_status(f), "cells": row} for f, row in zip(all_facts, shown_rows, strict=True)],
        numbers={*NUMBERS, "n"}, has_many_runs=len(runs) > MANY_RUNS, plots=findings.plots, columns=columns,
        items=changed_items(all_facts, columns), is_evaluated=any(facts.answers for facts in all_facts),
        missing=missing(header, findings.results), logs=findings.logs, extra_folders=findings.extra_folders,
        evaluation=experiment.evaluation, answering=answering_in_words(experiment.evaluation),
        cluster=experiment.analysis["cluster"],
        has_seeds=len(experiment.factors.get(SEED, [])) > 1, tables=TABLES, columns_header=COLUMNS_HEADER,
        provenance=provenance_of_report([facts.run for facts in all_facts if facts.answers]),
    ) + "\n"


def design_in_words(experiment: Experiment, runs: Sequence[Run]) -> str:
    """One sentence: how many runs, of what, against what."""
    trained = [run for run in runs if not run.is_control]
    controls = [run.id for run in runs if run.kind == "control"]
    kind = kind_in_words(experiment).replace(" x ", " × ") if experiment.factors else "a single cell"
    every = ", every combination" if experiment.factors and experiment.design.is_full_factorial() else ""
    notes = reference_in_words(experiment, label_text)
    notes += [f"excluded: {words}" for words in excluded_in_words(experiment, label_text)]
    design = "; ".join([f"{runs_in_words(trained, 'trained run')} ({kind}{every}", *notes]) + ")"
    if not controls:
        return f"{design}; no control."
    return f"{design} and {_count(len(controls), 'control')} (the untuned base model: {', '.join(controls)})."


def answering_in_words(evaluation: dict[str, Any]) -> str:
    """How answers are made: greedy, or sampled and how."""
    if "temperature" not in evaluation:
        return "greedy"
    share = "" if evaluation["top_p"] == 1 else f", top_p {evaluation['top_p']:g}"
    often = "one answer" if evaluation["epochs"] == 1 else f"{evaluation['epochs']} answers"
    return f"sampled at temperature {evaluation['temperature']:g}{share} (seed {evaluation['seed']}), {often} an item"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _factor_rows(experiment: Experiment) -> list[dict[str, str]]:
    rows = []
    for name, levels in experiment.factors.items():
        is_named = any(level.sets != {name: level.label} for level in levels)
        texts = [label_text(level.label) + (f" ({_assignments(level.sets)})" if is_named else "") for level in levels]
        meaning = SETTINGS[name].meaning if name in SETTINGS else "named levels" if is_named else "torchtune key"
        rows.append({"name": name, "meaning": meaning, "levels": ("; " if is_named else ", ").join(texts)})
    return rows


def _prompt_factors(experiment: Experiment) -> list[str]:
    """Factors whose levels set a part of the prompt."""
    return [
        name for name, levels in experiment.factors.items()
        if any(key.startswith("prompt.") for level in levels for key in level.sets)
    ]


def _assignments(sets: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {label_text(value)}" for name, value in sets.items())


def constants(experiment: Experiment, runs: Sequence[Run]) -> list[tuple[str, str]]:
    """What is the same in all trained runs, declared or by default, and what derives from it."""
    trained = [run for run in runs if run.kind == "trained"]
    varied = {name for levels in experiment.factors.values() for level in levels for name in level.sets}
    found: dict[str, Any] = {}
    for section in ("settings", "overrides", "steps"):
        for name, value in (getattr(trained[0], section) if trained else {}).items():
            if name not in varied and value is not None and all(getattr(run, section).get(name) == value for run in trained):
                found[name] = value
    return [(name, label_text(value)) for name, value in found.items()]


def _split_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Size of every set of rows, and how many rows each test takes from a training set; `None` where it is not made yet."""
    rows = []
    for name, part in row_sets_of(runs):
        path = paths.split_json(name, part)
        made = read_json(path) if path.is_file() else {"rows": None}
        rows.append({"name": name, "part": part, "size": made["rows"], "removed": made.get("removed", {})})
    return rows


def _worst_status(facts: RunFacts) -> str:
    """For colour only: failed before stale before anything else that is not done."""
    statuses = {state.status for state in (facts.train, facts.eval) if state}
    return next((status for status in ("failed", "stale") if status in statuses), "done" if statuses == {"done"} else "missing")
