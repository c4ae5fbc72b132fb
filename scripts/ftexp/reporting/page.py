"""report.html: one page that opens offline: the question and its answers, the design, the tables, the plots, what changed.

Reads data/splits/<name>/{train,test}.json, manifests and page_template.html; the rest comes as arguments. Writes nothing.
No time and no host is in it: the same results give the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftexp.design.asking_words import asking_of_runs
from ftexp.design.controls import controls_of
from ftexp.design.in_words import excluded_in_words, kind_in_words, reference_in_words, runs_in_words
from ftexp.design.judging import METRICS
from ftexp.design.levels import label_text
from ftexp.design.run import Run, row_sets_of
from ftexp.design.settings import SEED, SETTINGS
from ftexp.design.spec import Experiment
from ftexp.ground import paths
from ftexp.ground.filesystem import read_json
from ftexp.reporting.columns import HEADER as COLUMNS_HEADER
from ftexp.reporting.columns import tables_of
from ftexp.reporting.effects_view import HEADER as EFFECTS_HEADER
from ftexp.reporting.effects_view import effects_sections, sensitivity_rows
from ftexp.reporting.item_changes import ChangedItem, Column, answer_columns, changed_items
from ftexp.reporting.labels_view import HEADER as LABELS_HEADER
from ftexp.reporting.results_view import missing, shown_table
from ftexp.reporting.whole import Report
from ftexp.results.kept import KEPT_COLUMNS
from ftexp.results.provenance import provenance_of_report
from ftexp.results.recorded import Recorded
from ftexp.results.table import NUMBERS, RunFacts, results_header

TEMPLATE_PATH = Path(__file__).with_name("page_template.html")
MANY_RUNS = 40


@dataclass(frozen=True)
class Findings:
    """What the page shows beside the runs: the report, the answers, the logs not counted.

    Attributes:
        extra_folders: Run folders outside the design.
        logs: Pairs of path and reason.
    """

    report: Report
    recorded: Recorded
    extra_folders: Sequence[str]
    logs: Sequence[tuple[str, str]]


def render_page(experiment: Experiment, all_facts: Sequence[RunFacts], findings: Findings) -> str:
    """The whole page as text."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        loader=jinja2.FileSystemLoader(TEMPLATE_PATH.parent),
    )
    report, recorded = findings.report, findings.recorded
    runs = [facts.run for facts in all_facts]
    header = results_header(list(experiment.factors), runs)
    task = report.analysis.primary_task
    columns = answer_columns(all_facts, task)
    shown_header, shown_rows = shown_table(header, report.results)
    status = {facts.id: _worst_status(facts) for facts in all_facts}
    answered = set(recorded.frame["run"].unique())
    return environment.get_template(TEMPLATE_PATH.name).render(
        name=experiment.name, question=experiment.question, design=design_in_words(experiment, runs),
        first=report.first, cells=report.table_of_cells, task_views=report.tasks, contrasts=report.contrasts,
        labels_header=LABELS_HEADER, selected=report.selected, is_validated=any(run.validation for run in runs),
        conclusions=report.conclusions, factors=_factor_rows(experiment),
        constants=constants(experiment, runs), prompt=experiment.prompt, prompt_factors=_prompt_factors(experiment),
        documents=experiment.data.get("text"),
        splits=_split_rows(runs),
        effects=effects_sections(report.effects, report.analysis), effects_header=EFFECTS_HEADER,
        sensitivity=sensitivity_rows(report.effects, report.analysis), header=shown_header,
        rows=[{"status": status[row[0]], "cells": row} for row in shown_rows],
        numbers={*NUMBERS, "n", "unscored", *KEPT_COLUMNS[:2]}, run_count=len(runs), has_many_runs=len(shown_rows) > MANY_RUNS,
        plots=report.plots, columns=columns,
        items=_changed(all_facts, findings, columns), is_evaluated=len(recorded.frame) > 0, item_task=task,
        item_score=_score_of_items(findings),
        missing=missing(header, report.results), logs=findings.logs, extra_folders=findings.extra_folders,
        tasks=_task_rows(experiment, runs, recorded),
        cluster=any(each.cluster for each in experiment.evaluation.judging.values()),
        epochs=max((asked.get("epochs", 1) for asked in experiment.evaluation.tasks.values()), default=1),
        is_sampled=any("temperature" in asked for asked in experiment.evaluation.tasks.values()),
        has_seeds=len(experiment.factors.get(SEED, [])) > 1, tables=tables_of(header, has_choice=report.selected is not None),
        columns_header=COLUMNS_HEADER,
        provenance=provenance_of_report([run for run in runs if run.id in answered]),
    ) + "\n"


def _changed(all_facts: Sequence[RunFacts], findings: Findings, columns: Sequence[Column]) -> list[ChangedItem]:
    """The items of the primary task that changed most."""
    rows, score = findings.recorded.of_task(findings.report.analysis.primary_task), _score_of_items(findings)
    return changed_items(rows, score, controls_of(facts.run for facts in all_facts), columns)


def _score_of_items(findings: Findings) -> str:
    """The primary metric where it is a score of single answers, or the first of its task that is; empty where none is."""
    analysis, cells = findings.report.analysis, findings.report.cells
    rows, names = findings.recorded.of_task(analysis.primary_task), cells[cells["task"] == analysis.primary_task]["metric"]
    return next((str(name) for name in (analysis.primary, *dict.fromkeys(names)) if name in rows and name not in METRICS), "")


def _task_rows(experiment: Experiment, runs: Sequence[Run], recorded: Recorded) -> list[dict[str, str]]:
    """What is asked and by what it is judged, a row per task."""
    rows = []
    for name, asked in experiment.evaluation.tasks.items():
        judging = experiment.evaluation.judging[name]
        version = f", version {recorded.versions[name]}" if name in recorded.versions else ""
        rows.append({
            "name": name, "rows": asked["data"]["data"] if "data" in asked else asked.get("inspect", "the test rows of the data"),
            "asked": asking_of_runs(asked, [run for run in runs if name in run.tasks]) + version,
            "judged": ", ".join(judging.names) or "its own scorers",
        })
    return rows


def design_in_words(experiment: Experiment, runs: Sequence[Run]) -> str:
    """One sentence: how many runs, of what, against what."""
    trained = [run for run in runs if not run.is_control]
    controls = [run.id for run in runs if run.is_control and not run.is_other]
    others = [run.id for run in runs if run.is_other]
    kind = kind_in_words(experiment).replace(" x ", " × ") if experiment.factors else "a single cell"
    every = ", every combination" if experiment.factors and experiment.design.is_full_factorial() else ""
    notes = reference_in_words(experiment, label_text)
    notes += [f"excluded: {words}" for words in excluded_in_words(experiment, label_text)]
    design = "; ".join([f"{runs_in_words(trained, 'trained run')} ({kind}{every}", *notes]) + ")"
    beside = [f"{_count(len(controls), 'control')} (the untuned base model: {', '.join(controls)})"] if controls else []
    beside += [f"{_count(len(others), 'existing checkpoint')} ({', '.join(others)})"] if others else []
    return f"{design}{'' if controls else '; no control'}{''.join(f' and {each}' for each in beside)}."


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
