"""The results table: one row per run of runs.csv, with a number, or a status and a reason, in every row.

Reads what is in runs/<id>/ (`collect`); everything else here is a pure function. Writes nothing.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ftexp.data.answers import Answers
from ftexp.data.items import Item, read_test_items, reference_answers
from ftexp.design.run import Run
from ftexp.design.runs import control_key
from ftexp.evaluation.eval_file import task_name
from ftexp.evaluation.inspect_logs import Answer, UnusableLog, read_log
from ftexp.ground import paths
from ftexp.results.estimates import Estimate, estimate, item_scores
from ftexp.state.status_words import State
from ftexp.state.work import Work, outputs_of, read_manifest

COLUMNS_BEFORE = ("run", "kind")
COLUMNS_AFTER = (
    "train_status", "eval_status", "reason", "task", "metric", "n", "score", "score_se", "majority", "chance", "diff_control",
    "diff_control_se", "train_loss",
)
NUMBERS = ("score", "score_se", "majority", "chance", "diff_control", "diff_control_se", "train_loss")
NO_CONTROL = "no difference: the design has no control for it"
TIMING_COLUMNS = ("run", "stage", "host", "started", "seconds")


@dataclass(frozen=True)
class Loss:
    """One optimiser step of a training: step and epoch count from 1, loss in nats per trained token."""

    step: int
    epoch: int
    loss: float


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run now.

    Attributes:
        run: Its run.yaml.
        cells: Its levels as they stand in runs.csv, one text per factor, in declared order.
        train: Status of its training, whichever run has it; None for a control.
        items: The items of its test set, by id; empty unless eval is done.
        answers: What it said to them, in the same order, epoch by epoch; empty unless eval is done.
        losses: Its training, step by step; empty unless train is done.
        forced: Per stage that is done, what its preflight said against it when it began; empty where that was green.
        reference: The answers that are right, of its whole test set; None unless eval is done.
    """

    run: Run
    cells: dict[str, str]
    train: State | None
    eval: State
    items: Mapping[str, Item] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
    losses: tuple[Loss, ...] = ()
    forced: Mapping[str, str] = field(default_factory=dict)
    reference: Answers | None = None

    @property
    def id(self) -> str:
        return str(self.run.id)

    @property
    def score(self) -> "Estimate | None":
        """Mean score over the items; None where it is not evaluated."""
        if not self.answers:
            return None
        scores = item_scores(self.answers)
        return estimate(list(scores.values()), [self.items[item].cluster for item in scores])


def collect_states(work: Work, runs: list[Run]) -> list[RunFacts]:
    """Status of every run, without the contents of logs and trainings."""
    with paths.RUNS_CSV.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    factors = factor_names(runs)
    cells = [dict(zip(factors, row[len(COLUMNS_BEFORE) :], strict=False)) for row in rows[1:]]
    return [
        RunFacts(run, levels, None if run.is_control else _state(work, work.training_of(run), "train"), _state(work, run, "eval"))
        for run, levels in zip(runs, cells, strict=True)
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


def collect_contents(all_facts: Sequence[RunFacts], analysis: dict[str, Any]) -> list[RunFacts]:
    """The same facts with answers and losses, where the stages are done; a log that may not count is a failed eval."""
    tests: dict[tuple[str, str], tuple[dict[str, Item], Answers]] = {}
    full = []
    for facts in all_facts:
        pair = facts.run.sets_of_answers(analysis)
        if facts.eval.status == "done" and pair not in tests:
            items = read_test_items(pair[0], facts.run.data, analysis)
            tests[pair] = items, reference_answers(pair[1], facts.run.data, items)
        full.append(_with_contents(facts, *tests.get(pair, ({}, None))))
    return full


def _with_contents(facts: RunFacts, items: dict[str, Item], reference: Answers | None) -> RunFacts:
    facts = dataclasses.replace(facts, forced=_forced(facts))
    losses = read_losses(facts.run.training) if facts.train and facts.train.status == "done" else ()
    if facts.eval.status != "done":
        return dataclasses.replace(facts, losses=losses)
    try:
        answers = read_log(facts.run, items, vouched=outputs_of(facts.id, "eval"))
        return dataclasses.replace(facts, losses=losses, items=items, reference=reference, answers=answers)
    except UnusableLog as unusable:
        return dataclasses.replace(facts, losses=losses, eval=State("failed", str(unusable)))


def _forced(facts: RunFacts) -> dict[str, str]:
    """What stages went through against their preflight, by the manifests that vouch for them."""
    done = [stage for stage, state in (("train", facts.train), ("eval", facts.eval)) if state and state.status == "done"]
    whose = {"train": facts.run.training, "eval": facts.id}
    said = {stage: (read_manifest(whose[stage], stage) or {}).get("preflight") for stage in done}
    return {stage: reason for stage, reason in said.items() if reason}


def read_losses(run: str) -> tuple[Loss, ...]:
    """train.csv of a run; steps without a loss are left out."""
    with paths.RunPaths(run).train_csv.open(encoding="utf-8", newline="") as file:
        return tuple(Loss(int(r["step"]), int(r["epoch"]), float(r["loss"])) for r in csv.DictReader(file) if r["loss"])


def paired_difference(run: RunFacts, control: RunFacts) -> Estimate | None:
    """Mean over items of (run - control), item by item; None where the two were not asked the same items.

    The standard error is that of the paired differences (Miller 2024, arXiv 2411.00640), which is smaller than that
    of two independent means where both are right about the same items.
    """
    scores, of_control = item_scores(run.answers), item_scores(control.answers)
    if not scores or set(scores) != set(of_control):
        return None
    clusters = [run.items[item].cluster for item in scores]
    return estimate([score - of_control[item] for item, score in scores.items()], clusters)


def controls_by_run(runs: Iterable[Run]) -> dict[str, str | None]:
    """Per trained run the id of its control: the same model, precision, prompt, test set and evaluation, untuned."""
    listed = list(runs)
    by_key = {control_key(run): run.id for run in listed if run.kind == "control"}
    return {run.id: by_key.get(control_key(run)) for run in listed if run.kind == "trained"}


def last_epoch_loss(losses: Sequence[Loss]) -> float | None:
    """Mean loss over the steps of the last epoch."""
    last = [loss.loss for loss in losses if loss.epoch == losses[-1].epoch]
    return math.fsum(last) / len(last) if last else None


def results_header(factors: Sequence[str]) -> list[str]:
    """Columns of results.csv."""
    return [*COLUMNS_BEFORE, *factors, *COLUMNS_AFTER]


def results_rows(all_facts: Sequence[RunFacts]) -> list[list[str]]:
    """Rows of results.csv, one per run, in order; columns as `results_header`.

    n counts items; score is in [0, 1] and diff_control in [-1, 1]; train_loss is in nats per trained token. A number
    that is not known is empty; then reason says why.
    """
    by_id = {facts.id: facts for facts in all_facts}
    controls = controls_by_run(facts.run for facts in all_facts)
    return [_row(facts, by_id.get(controls.get(facts.id) or "")) for facts in all_facts]


def _row(facts: RunFacts, control: RunFacts | None) -> list[str]:
    score, reference, metric = facts.score, facts.reference, facts.run.evaluation["scorer"]
    difference, why_none = _difference(facts, control)
    loss = last_epoch_loss(facts.losses)
    values = {
        "train_status": facts.train.status if facts.train else "",
        "eval_status": facts.eval.status,
        "reason": "; ".join(filter(None, [*_reasons(facts), why_none, *_remarks(facts, score)])),
        "task": task_name(facts.run.experiment), "metric": metric,
        "n": str(score.n) if score else "",
        "score": number(score.mean if score else None), "score_se": number(score.se if score else None),
        "majority": number(reference.score_of_majority(metric) if reference else None),
        "chance": number(reference.chance(metric) if reference else None),
        "diff_control": number(difference.mean if difference else None),
        "diff_control_se": number(difference.se if difference else None),
        "train_loss": number(loss),
    }
    return [facts.id, facts.run.kind, *facts.cells.values(), *(values[name] for name in COLUMNS_AFTER)]


def _reasons(facts: RunFacts) -> list[str]:
    """Why a stage is not done; of an evaluation that waits for its training, only what holds the training up."""
    reasons = []
    if facts.train and facts.train.status != "done" and facts.train.reason:
        reasons.append(f"train: {facts.train.reason}")
    if facts.eval.status != "done" and not (reasons and facts.eval.status == "waiting"):
        reasons.append(f"eval: {facts.eval.reason or 'not run yet'}")
    return reasons


def _difference(facts: RunFacts, control: RunFacts | None) -> tuple[Estimate | None, str]:
    """Difference from the control, or why there is none."""
    if facts.run.kind == "control" or not facts.answers:
        return None, ""
    if control is None:
        return None, NO_CONTROL
    if not control.answers:
        return None, f"no difference: its control {control.id} is {control.eval.status}"
    difference = paired_difference(facts, control)
    return difference, "" if difference else f"no difference: its control {control.id} was asked other items"


def _remarks(facts: RunFacts, score: Estimate | None) -> list[str]:
    remarks = [f"{stage} went on although its preflight said: {reason}" for stage, reason in facts.forced.items()]
    remarks += ["no standard error: one item, or one cluster"] if score and score.se is None else []
    if facts.train and facts.train.status == "done" and not facts.losses:
        remarks.append("no train_loss: train.csv holds none")
    return remarks


def number(value: float | None) -> str:
    """A number as results.csv holds it: six significant digits; empty where it is not known."""
    return "" if value is None else format(value, ".6g")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """CSV with a line feed after each row."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)
    return text.getvalue()
