"""All that a report says, from recorded answers: tables, effects, sentences, figures. Nothing is read or written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ftexp.design.judging import METRICS
from ftexp.design.levels import label_text
from ftexp.design.run import Task
from ftexp.design.settings import SEED
from ftexp.design.spec import Experiment
from ftexp.effects import Analysis, effects, level_means, run_table
from ftexp.ground import paths
from ftexp.reporting.against_majority import Reference, against_majority
from ftexp.reporting.cells_view import CellsView, cells_view
from ftexp.reporting.conclusions import Conclusion, conclusions, thin_classes
from ftexp.reporting.figures import Primary, draw_figures
from ftexp.reporting.first_sentences import first_sentences
from ftexp.reporting.heat_map import train_by_test
from ftexp.reporting.let_through import let_through
from ftexp.reporting.plots import Plot
from ftexp.reporting.scores import analysis_of, runs_frame
from ftexp.reporting.selected_view import Selected, selected_of
from ftexp.reporting.task_contrasts import TaskContrast, task_contrasts
from ftexp.reporting.task_views import Task as ShownTask
from ftexp.reporting.task_views import TaskView, chosen_cells, task_view
from ftexp.results.cells import Cell, cells_of, cells_table
from ftexp.results.measures import Measures, labels_of, measures_of, numbers_of
from ftexp.results.recorded import Recorded
from ftexp.results.table import RunFacts, Table, results_rows

# So many tasks have pictures of their own.
MOST_DRAWN = 6
# What a level sets that says what is trained on.
TRAINED_ON = ("data.train", "data.source")


@dataclass(frozen=True)
class Report:
    """What a report is made of.

    Attributes:
        results: Rows of results.csv.
        cells: What cells.csv holds.
        first: A sentence per task that needs no statistics.
        table_of_cells: For reading.
        selected: What was chosen on validation; None where nothing is.
    """

    results: Sequence[Sequence[str]]
    cells: pd.DataFrame
    effects: pd.DataFrame
    analysis: Analysis
    conclusions: Sequence[Conclusion]
    plots: Sequence[Plot]
    first: Sequence[str]
    table_of_cells: CellsView
    tasks: Sequence[TaskView]
    contrasts: Sequence[TaskContrast]
    selected: Selected | None = None

    @property
    def files(self) -> list[Path]:
        """The tables and the page."""
        return [*paths.REPORT_FILES, *([paths.SELECTED_CSV] if self.selected else []), paths.ITEMS_PARQUET]

    @property
    def figures(self) -> list[Plot]:
        """Every picture, once."""
        own = [plot for view in self.tasks for plot in (*view.plots, *([view.labels.plot] if view.labels else []))]
        return [*self.plots, *own]


def whole_report(experiment: Experiment, all_facts: Sequence[RunFacts], recorded: Recorded) -> Report:
    """The report of what is there now.

    Raises:
        UnusableTable: If answers and runs contradict each other.
    """
    measures = measures_of(recorded, experiment.evaluation)
    runs = runs_frame(all_facts, experiment)
    analysis = analysis_of(experiment, measures)
    values = run_table(measures.scores, runs, measures.metrics)
    table = effects(measures.scores, runs, analysis)
    results = results_rows(all_facts, Table(values, measures, recorded.references))
    factors = [name for name in experiment.factors if name != SEED]
    cells = cells_of(runs, factors)
    of_cells = cells_table(values, runs, factors, _asked(all_facts, measures))
    kinds = {scorer.name: scorer.kind for judging in experiment.evaluation.judging.values() for scorer in judging.scorers}
    primary = (analysis.primary_task, analysis.primary)
    references = _references(all_facts, recorded, primary[0])
    floor = against_majority(references, measures.scores, runs, analysis)
    over_labels = {task: judging.over_labels for task, judging in experiment.evaluation.judging.items()}
    selected = selected_of(experiment, all_facts, of_cells, cells, primary) if experiment.select else None
    first = [*let_through(all_facts), *_unknown_primary(recorded, measures, analysis), *([selected.sentence] if selected else [])]
    said = [*first, *thin_classes(recorded.references, over_labels), *conclusions(table, analysis, floor)]
    own = values[(values["task"] == primary[0]) & (values["metric"] == primary[1]) & values["value"].notna()]
    of_primary = Primary(
        dict(zip(own["run"], own["value"], strict=True)), {run: reference.answers for run, reference in references.items()}
    )
    plots = draw_figures(experiment, all_facts, of_primary, table, analysis)
    after = sum(plot.name.startswith("effect-") for plot in plots)
    trained_on = _trained_on(experiment, analysis)
    if trained_on:
        means = level_means(measures.scores, runs, analysis, trained_on)
        plots[after:after] = [train_by_test(trained_on, analysis.primary, means, kinds)] if means["task"].nunique() > 1 else []
    return Report(
        results=results, cells=of_cells, effects=table, analysis=analysis, conclusions=said, plots=plots,
        first=first_sentences(of_cells, cells, primary, kinds, experiment.select),
        table_of_cells=cells_view(of_cells, factors, primary, kinds),
        tasks=_views(experiment, recorded, measures, cells, values),
        contrasts=task_contrasts(table, of_cells, cells, analysis.differences, kinds), selected=selected,
    )


def _trained_on(experiment: Experiment, analysis: Analysis) -> str:
    """The first factor whose levels say what is trained on; empty where there is none."""
    for name in analysis.factors:
        if any(key in level.sets for level in experiment.factors[name] for key in TRAINED_ON):
            return name
    return ""


def _unknown_primary(recorded: Recorded, measures: Measures, analysis: Analysis) -> list[Conclusion]:
    """A sentence where the primary metric is none of its task's: what an inspect task's own scorers are, its log alone says."""
    names = measures.names[analysis.primary_task]
    if recorded.of_task(analysis.primary_task).empty or analysis.primary in names:
        return []
    text = f"evaluation.primary: task {analysis.primary_task} has no scores named {analysis.primary}; it has {', '.join(names)}"
    return [Conclusion("primary", f"{text}. Name one of them, and nothing is asked again.", False)]


def _asked(all_facts: Sequence[RunFacts], measures: Measures) -> pd.DataFrame:
    """Every run, task and metric of the design, with the reason where it is known why there is no value."""
    rows = [
        (facts.id, task.name, metric, _reason(facts, task, metric, measures))
        for facts in all_facts for task in facts.run.asked for metric in measures.names[task.name]
    ]
    return pd.DataFrame(rows, columns=["run", "task", "metric", "reason"])


def _reason(facts: RunFacts, task: Task, metric: str, measures: Measures) -> str:
    """Why there is no value, if there is none."""
    state = facts.tasks[task.name]
    if state.status != "done":
        return f"eval {state.status}"
    known = measures.why_not.get((task.name, metric)) or measures.reasons.get((facts.id, task.name, metric))
    return known or (f"{metric} is not defined for these answers" if metric in METRICS else "")


def _references(all_facts: Sequence[RunFacts], recorded: Recorded, task: str) -> dict[str, Reference]:
    """Per run that is asked a task what is right in it, where a run has answered on the same rows."""
    rows = recorded.of_task(task)
    if rows.empty:
        return {}
    asked = {facts.id: each.test_set for facts in all_facts for each in facts.run.asked if each.name == task}
    items = rows.drop_duplicates(["item", "target"])
    targets = dict(zip(items["item"], items["target"], strict=True))
    own = {run: recorded.references[run, task] for run in asked if (run, task) in recorded.references}
    of_rows = {asked[run]: answers for run, answers in reversed(list(own.items()))}
    return {
        run: Reference(name, own.get(run, of_rows[name]), targets) for run, name in asked.items() if name in of_rows
    }


def _views(
    experiment: Experiment, recorded: Recorded, measures: Measures, cells: Sequence[Cell], values: pd.DataFrame
) -> list[TaskView]:
    """What is shown of each task that was answered."""
    evaluation = experiment.evaluation
    baseline = _baseline(experiment)
    found = []
    for number, (name, facts) in enumerate(evaluation.tasks.items()):
        rows = recorded.of_task(name)
        if rows.empty or facts["kind"] == "document":
            continue
        metric = evaluation.primary[1] if evaluation.primary[0] == name else measures.names[name][0]
        options = labels_of(name, recorded, evaluation) if facts["kind"] == "options" else None
        scorers = [scorer.name for scorer in evaluation.judging[name].scorers] or list(measures.names[name])
        kinds = {scorer.name: scorer.kind for scorer in evaluation.judging[name].scorers}
        task = ShownTask(name, metric, scorers, options or (), kinds)
        choice = chosen_cells(task, cells, values, baseline)
        shown = {run for each in choice.shown for run in each.cell.runs}
        own = rows[rows["run"].isin(shown)]
        if "number" in own:
            own = own.assign(target_number=numbers_of(own["target"]))
        found.append(task_view(task, own, choice, is_drawn=number < MOST_DRAWN))
    return found


def _baseline(experiment: Experiment) -> Mapping[str, str]:
    return {
        name: label_text(experiment.baseline.get(name, levels[0].label)) for name, levels in experiment.factors.items()
        if name != SEED
    }
