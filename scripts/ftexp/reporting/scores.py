"""From what is known of the runs to the tables that effects are computed from, and to items.parquet.

Nothing is read or written here.
"""

import io
from collections.abc import Sequence

import pandas as pd

from ftexp.design.controls import controls_of, others_of
from ftexp.design.levels import label_text
from ftexp.design.settings import SEED
from ftexp.design.spec import Experiment
from ftexp.effects import Analysis, Difference, Measure
from ftexp.results.measures import Measures
from ftexp.results.recorded import Recorded
from ftexp.results.table import RunFacts

TEST_SET_KEYS = ("data.source", "data.test", "data.split")


def analysis_of(experiment: Experiment, measures: Measures) -> Analysis:
    """How the effects of an experiment are to be read; levels are in the words of its plots and tables."""
    factors = {name: levels for name, levels in experiment.factors.items() if name != SEED}
    evaluation = experiment.evaluation
    task, metric = evaluation.primary
    own_rows = any(asked["kind"] != "inspect" and "data" not in asked for asked in evaluation.tasks.values())
    keys = TEST_SET_KEYS if own_rows else ()
    return Analysis(
        factors={name: [label_text(level.label) for level in levels] for name, levels in factors.items()},
        primary=metric or next(iter(measures.names[task])), primary_task=task,
        baseline={n: label_text(v) for n, v in experiment.baseline.items()}, design=experiment.design.kind,
        groups=list(dict.fromkeys(group for judging in evaluation.judging.values() for group in judging.groups)),
        metrics=measures.metrics, differences=_between_tasks(measures, task, metric), others=list(experiment.others),
        chosen=experiment.select,
        test_set_factors=[
            name for name, levels in factors.items() if any(key in level.sets for level in levels for key in keys)
        ],
    )


def _between_tasks(measures: Measures, primary: str, metric: str) -> list[Difference]:
    """Each other task minus the primary one, by the primary metric, where both have scores and do not cluster an item apart."""
    pairs = measures.scores[["task", "metric"]].drop_duplicates()
    known = {str(task) for task, name in zip(pairs["task"], pairs["metric"], strict=True) if name == metric}
    if primary not in known or len(known) < 2:
        return []
    items = measures.scores.loc[measures.scores["metric"] == metric, ["task", "item", "cluster"]].drop_duplicates()
    by_task = items.groupby("task", observed=True)
    clusters = {str(task): dict(zip(rows["item"], rows["cluster"], strict=True)) for task, rows in by_task}
    own = clusters[primary]
    return [
        Difference(Measure(task, metric), Measure(primary, metric)) for task in measures.names
        if task in known - {primary} and all(own.get(item, cluster) == cluster for item, cluster in clusters[task].items())
    ]


def runs_frame(all_facts: Sequence[RunFacts], experiment: Experiment) -> pd.DataFrame:
    """One row per run: run, kind, control, control:<name>, seed, one column per factor, status, eval_status, reason."""
    runs = [facts.run for facts in all_facts]
    controls = controls_of(runs)
    others = {name: others_of(runs, name) for name in experiment.others}
    rows = []
    for facts in all_facts:
        levels = {name: label_text(facts.run.levels[name]) for name in experiment.factors if name in facts.run.levels}
        held_up = facts.train if facts.train and facts.train.status != "done" else facts.eval
        has_answers = any(state.status == "done" for state in facts.tasks.values())
        rows.append({
            "run": facts.id, "kind": facts.run.kind, "control": controls.get(facts.id) or "",
            **{f"control:{name}": of_run.get(facts.id) or "" for name, of_run in others.items()},
            "seed": levels.pop(SEED, ""), **{name: levels.get(name) for name in experiment.factors if name != SEED},
            "status": held_up.status, "eval_status": "done" if has_answers else facts.eval.status, "reason": held_up.reason,
        })
    return pd.DataFrame(rows)


def items_table(recorded: Recorded) -> pd.DataFrame:
    """What items.parquet holds: every answer with its scores, without the counts of words that metrics are made from."""
    counts = [name for name in map(str, recorded.frame) if name.startswith(("bleu_", "chrf_")) or name.endswith(":again")]
    first = ["run", "task", "item", "epoch", "cluster", "input", "target", "completion"]
    table = recorded.frame.drop(columns=counts)
    ordered = table[[*first, *(name for name in table if name not in first)]]
    groups = {name: name.removeprefix("group:") for name in map(str, ordered) if name.startswith("group:")}
    return ordered.rename(columns={name: short for name, short in groups.items() if short not in ordered})


def parquet_bytes(items: pd.DataFrame) -> bytes:
    """items.parquet, the same bytes for the same items."""
    content = io.BytesIO()
    items.to_parquet(content, index=False, compression="zstd")
    return content.getvalue()


def effects_csv(table: pd.DataFrame) -> str:
    """effects.csv: numbers to six significant digits, what is not known empty."""
    return str(table.round({"estimate": 12, "low": 12, "high": 12}).to_csv(index=False, float_format="%.6g", lineterminator="\n"))
