"""Whether the rows of tasks have what the evaluation section names: columns to judge by, options, labels that come again.

Nothing is read or written.
"""

from collections.abc import Iterable, Sequence

from ftexp.data.answers import ROWS_PER_CHOICE, Answers
from ftexp.data.cell_text import Row, cell_text
from ftexp.data.choices import options_of
from ftexp.data.conversations import answer_text
from ftexp.data.cuts import cut_place
from ftexp.data.splits import check_document
from ftexp.design.evaluation_section import Evaluation
from ftexp.design.fit_of_scores import AnswersOfTasks
from ftexp.design.judging import GRADED
from ftexp.design.run import Run, Task
from ftexp.design.tasks import key_of
from ftexp.ground.errors import Findings, suggestion

MOST_GROUPS = 50


def check_tasks(evaluation: Evaluation, asked: Sequence[tuple[Task, Sequence[Row] | None]]) -> None:
    """What the effects are clustered and grouped by is a column of every row, groups are few, and options hold the right one.

    Raises:
        UserError: If not; with every mistake of a column at once.
    """
    found = Findings("experiment.yaml")
    for task, rows in asked:
        judging = evaluation.judging[task.name]
        named = [("cluster", judging.cluster)] if judging.cluster else []
        for key, column in [*named, *(("groups", group) for group in judging.groups)]:
            _check_column(found, key_of(evaluation.tasks, task.name, key), column, rows or [])
    found.messages = list(dict.fromkeys(found.messages))
    found.raise_if_any()
    for task, rows in asked:
        for row in rows or []:
            if task.kind == "options":
                options_of(task.facts["choices"], row, right=answer_text(row, task.data["input"], task.data["output"]))
            elif task.is_of_documents:
                check_document(row, task.column)
                if task.completes and "tokens" not in task.completes:
                    cut_place(row, task.column, task.completes)


def check_graders(evaluation: Evaluation, runs: Iterable[Run]) -> None:
    """No grader is a model whose answers it would grade.

    Raises:
        UserError: If one is.
    """
    found = Findings("experiment.yaml")
    models = {str(run.settings["model"]) for run in runs}
    for scorer in dict.fromkeys(scorer for judging in evaluation.judging.values() for scorer in judging.scorers):
        if scorer.kind == GRADED and scorer.options["model"] in models:
            what = f"{GRADED}: {scorer.options['model']!r} is a model of the runs, which would grade itself"
            found.add("evaluation.scorers", what, "Name another model.")
    found.raise_if_any()


def _check_column(found: Findings, key: str, column: str, rows: Sequence[Row]) -> None:
    values = {cell_text(row, column) for row in rows if row.get(column) is not None}
    if not all(row.get(column) is not None for row in rows):
        what = f"must be a column that every test row has a value in, got {column!r}"
        found.add(key, what, suggestion(column, map(str, rows[0])))
    elif key.endswith("groups") and len(values) > MOST_GROUPS:
        what = f"must be a column of at most {MOST_GROUPS} values, got {column!r} with {len(values)}"
        found.add(key, what, "Every effect is repeated within each value. Should it be evaluation.cluster?")


def check_labels(evaluation: Evaluation, answers: AnswersOfTasks) -> None:
    """Metrics over labels have a task whose answers come again and again; of one whose do not, they are not computed.

    Raises:
        UserError: If one has no such task, or is the primary one of a task that is none.
    """
    found = Findings("experiment.yaml")
    of_metric: dict[str, list[tuple[str, Answers]]] = {}
    for (_, task), test in answers.items():
        for metric in evaluation.judging[task].over_labels:
            of_metric.setdefault(metric, []).append((task, test))
    for metric, pairs in of_metric.items():
        unfit = [(task, test) for task, test in pairs if not test.are_labels]
        if unfit and (len(unfit) == len(pairs) or any((task, metric) == evaluation.primary for task, _ in unfit)):
            task, test = unfit[0]
            what = f"{metric} needs {ROWS_PER_CHOICE} test rows a label, got {test.rows} rows with {len(test.counts)} labels"
            found.add(key_of(evaluation.tasks, task, "metrics"), what, f"Leave {metric} out, or give more test rows.")
    found.messages = list(dict.fromkeys(found.messages))
    found.raise_if_any()
