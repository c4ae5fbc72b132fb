"""The results table: one row per run of runs.csv, task and metric, with a number, or a status and a reason, in every row.

Reads what is in runs/<id>/ (`collect_states`, `with_contents`); everything else here is a pure function. Writes nothing.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from ftexp.data.answers import Answers
from ftexp.design.controls import controls_of
from ftexp.design.run import Run, Task
from ftexp.ground import paths
from ftexp.results.kept import kept_columns, kept_values, looks_of
from ftexp.results.losses import Loss, last_epoch_loss, read_losses
from ftexp.results.went_on import WentOn, went_on
from ftexp.state.row_sets import Missing
from ftexp.state.status_words import State
from ftexp.state.work import Work
from ftexp.trainers.validation_csv import Look

if TYPE_CHECKING:  # with all of `effects`, which takes a second and `make score` does not need
    from ftexp.results.measures import Measures

COLUMNS_BEFORE = ("run", "kind")
COLUMNS_AFTER = (
    "train_status", "eval_status", "reason", "task", "metric", "n", "unscored", "valid", "score", "score_se", "majority",
    "chance", "diff_control", "diff_control_se", "train_loss",
)
NUMBERS = ("valid", "score", "score_se", "majority", "chance", "diff_control", "diff_control_se", "train_loss")
NOT_ASKED = "not asked: evaluation.matrix"
NO_CONTROL = "no difference: the design has no control for it"
TIMING_COLUMNS = ("run", "stage", "host", "started", "seconds")


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run now.

    Attributes:
        run: Its run.yaml.
        cells: Its levels as they stand in runs.csv, one text per factor, in declared order.
        train: Status of its training, whichever run has it; None for a control.
        tasks: Status per task that it is asked: done where its answers are there as they are wanted now.
        losses: Its training, step by step; empty unless train is done.
        looks: Those at its training, where it is validated; empty unless train is done.
        forced: What stages that are done went on with although something spoke against it.
    """

    run: Run
    cells: dict[str, str]
    train: State | None
    eval: State
    tasks: Mapping[str, State] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    looks: tuple[Look, ...] = ()
    forced: WentOn = field(default_factory=WentOn)

    @property
    def id(self) -> str:
        return str(self.run.id)


def collect_states(work: Work, runs: list[Run]) -> list[RunFacts]:
    """Status of every run, without the contents of logs and trainings."""
    with paths.RUNS_CSV.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    factors = factor_names(runs)
    cells = [dict(zip(factors, row[len(COLUMNS_BEFORE) :], strict=False)) for row in rows[1:]]
    found = []
    for run, levels in zip(runs, cells, strict=True):
        train = None if run.is_control else _state(work, work.training_of(run), "train")
        evaluation = _state(work, run, "eval")
        found.append(RunFacts(run, levels, train, evaluation, _tasks(work, run, evaluation)))
    return found


def _tasks(work: Work, run: Run, evaluation: State) -> dict[str, State]:
    """Status per task; where the evaluation as a whole is not done, some of its tasks may be."""
    if evaluation.status == "done":
        return dict.fromkeys(run.tasks, evaluation)
    try:
        current = work.current_askings(run)
    except Missing:
        current = set()
    return {task.name: State("done") if current.issuperset(task.askings) else evaluation for task in run.asked}


def tasks_done(all_facts: Iterable[RunFacts]) -> list[tuple[Run, Task]]:
    """Every run with every task whose answers are there."""
    return [
        (facts.run, task) for facts in all_facts for task in facts.run.asked if facts.tasks[task.name].status == "done"
    ]


def factor_names(runs: list[Run]) -> list[str]:
    """The factors in declared order, as the plan wrote them down."""
    return next((list(run.levels) for run in runs if run.kind == "trained"), [])


def _state(work: Work, run: Run, stage: str) -> State:
    """The stage's state; where it could run but for its preflight, the preflight's reason too."""
    state = work.state(run, stage)
    if state.status not in ("ready", "stale"):
        return state
    preflight = work.preflight(run)
    held = "" if preflight.status == "done" else preflight.reason
    return State(state.status, "; ".join(filter(None, [state.reason, held])))


def with_contents(all_facts: Sequence[RunFacts], unusable: Mapping[tuple[str, str], str]) -> list[RunFacts]:
    """The same facts with losses, where trainings are done; a task whose log may not count is a failed one."""
    full = []
    for facts in all_facts:
        is_trained = facts.train is not None and facts.train.status == "done"
        losses, looks = (read_losses(facts.run.training), looks_of(facts.run)) if is_trained else ((), ())
        failed = {name: State("failed", why) for (run, name), why in unusable.items() if run == facts.id}
        tasks = {**facts.tasks, **failed}
        evaluation = next(iter(failed.values()), facts.eval)
        full.append(dataclasses.replace(
            facts, losses=losses, looks=looks, forced=_went_on(facts), tasks=tasks, eval=evaluation
        ))
    return full


def _went_on(facts: RunFacts) -> WentOn:
    done = [stage for stage, state in (("train", facts.train), ("eval", facts.eval)) if state and state.status == "done"]
    return went_on({stage: facts.run.training if stage == "train" else facts.id for stage in done})


def results_header(factors: Sequence[str], runs: Iterable[Run]) -> list[str]:
    """Columns of results.csv; the last of them only where some run is validated."""
    return [*COLUMNS_BEFORE, *factors, *COLUMNS_AFTER, *kept_columns(runs)]


@dataclass(frozen=True)
class Table:
    """What results.csv is made from.

    Attributes:
        values: As `effects.run_table` gives them.
        measures: What was measured.
        references: Per run and task the answers that are right.
    """

    values: pd.DataFrame
    measures: "Measures"
    references: Mapping[tuple[str, str], Answers]

    @cached_property
    def by_measure(self) -> dict[tuple[str, str, str], Any]:
        """Rows of `values` by run, task and metric."""
        return {(str(row.run), str(row.task), str(row.metric)): row for row in self.values.itertuples(index=False)}


def results_rows(all_facts: Sequence[RunFacts], table: Table) -> list[list[str]]:
    """Rows of results.csv, one per run, task and metric, in order; columns as `results_header`.

    n counts items. A number that is not known is empty; then reason says why.
    """
    controls = controls_of(facts.run for facts in all_facts)
    by_id = {facts.id: facts for facts in all_facts}
    last = kept_columns(facts.run for facts in all_facts)
    kept = {facts.id: [kept_values(facts.run, facts.looks)[name] for name in last] for facts in all_facts}
    return [
        [*_row(facts, by_id.get(controls.get(facts.id) or ""), task, metric, table), *kept[facts.id]]
        for facts in all_facts for task, metrics in table.measures.names.items() for metric in metrics
    ]


def _row(facts: RunFacts, control: RunFacts | None, task: str, metric: str, table: Table) -> list[str]:
    found = table.by_measure.get((facts.id, task, metric))
    reference = table.references.get((facts.id, task)) if found else None
    state = facts.tasks.get(task)
    loss = last_epoch_loss(facts.losses)
    values = {
        "train_status": facts.train.status if facts.train else "", "eval_status": state.status if state else "",
        "reason": "; ".join(filter(None, [*_reasons(facts, state), *_why(facts, control, (task, metric), found, table)])),
        "task": task, "metric": metric, "n": str(found.n_items) if found else "",
        "unscored": str(found.n_items - found.n_scored) if found else "",
        "valid": number(table.measures.valid.get((facts.id, task)) if found else None),
        "score": number(found.value if found else None), "score_se": number(found.se if found else None),
        "majority": number(reference.score_of_majority(metric) if reference else None),
        "chance": number(reference.chance(metric) if reference else None),
        "diff_control": number(found.diff_control if found else None),
        "diff_control_se": number(found.diff_control_se if found else None),
        "train_loss": number(loss),
    }
    return [facts.id, facts.run.kind, *facts.cells.values(), *(values[name] for name in COLUMNS_AFTER)]


def _reasons(facts: RunFacts, state: State | None) -> list[str]:
    """Why a stage is not done; of an evaluation that waits for its training, only what holds the training up."""
    if state is None:
        return [NOT_ASKED]
    reasons = []
    if facts.train and facts.train.status != "done" and facts.train.reason:
        reasons.append(f"train: {facts.train.reason}")
    if state.status != "done" and not (reasons and state.status == "waiting"):
        reasons.append(f"eval: {state.reason or 'not run yet'}")
    return reasons


def _why(facts: RunFacts, control: RunFacts | None, measure: tuple[str, str], found: Any, table: Table) -> list[str]:
    """Why numbers are missing although the task is done, and what else is to be known of them."""
    task, metric = measure
    if found is None:
        is_done = task in facts.tasks and facts.tasks[task].status == "done"
        return [table.measures.why_not.get(measure, "has no scores")] if is_done else []
    said = [table.measures.reasons.get((facts.id, task, metric), "")]
    if math.isnan(found.value):
        said.append("" if said[0] else f"{metric} is not defined for these answers")
    else:
        said.append("no standard error: one item, or one cluster" if math.isnan(found.se) else "")
        said.append(_no_difference(facts, control, task, found))
    said += facts.forced.in_words()
    if facts.train and facts.train.status == "done" and not facts.losses:
        said.append("no train_loss: train.csv holds none")
    return said


def _no_difference(facts: RunFacts, control: RunFacts | None, task: str, found: Any) -> str:
    """Why there is no difference from the control; empty where there is one, or none is looked for."""
    if facts.run.is_control or not math.isnan(found.diff_control):
        return ""
    if control is None:
        return NO_CONTROL
    state = control.tasks.get(task)
    if state is None or state.status != "done":
        return f"no difference: its control {control.id} is {state.status if state else 'not asked'}"
    return f"no difference: its control {control.id} {found.control_reason}" if found.control_reason else ""


def number(value: float | None) -> str:
    """A number as results.csv holds it: six significant digits; empty where it is not known."""
    return "" if value is None or math.isnan(value) else format(value, ".6g")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """CSV with a line feed after each row."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)
    return text.getvalue()
