"""From what is known of the runs to the tables that effects are computed from, and to items.parquet.

Nothing is read or written here.
"""

import io
from collections.abc import Sequence

import pandas as pd

from ftexp.design.levels import label_text
from ftexp.design.settings import SEED
from ftexp.design.spec import Experiment
from ftexp.effects import Analysis, means
from ftexp.effects.label_metrics import BalancedAccuracy, MacroF1
from ftexp.effects.measurements import group_column
from ftexp.effects.metrics import Metric
from ftexp.evaluation.eval_file import task_name
from ftexp.results.table import RunFacts, controls_by_run

TEST_SET_KEYS = ("data.source", "data.test", "data.split")


def label_codes(items: pd.DataFrame) -> pd.DataFrame:
    """Columns target and prediction as codes of the labels that stand in target; -1 for any other answer.

    Outer white space does not count.
    """
    codes, labels = pd.factorize(items["target"].str.strip())
    return pd.DataFrame({"target": codes, "prediction": labels.get_indexer(pd.Index(items["completion"].str.strip()))})


METRICS: dict[str, Metric] = {"macro_f1": MacroF1(), "balanced_accuracy": BalancedAccuracy()}


def analysis_of(experiment: Experiment) -> Analysis:
    """How the effects of an experiment are to be read; levels are in the words of its plots and tables."""
    factors = {name: levels for name, levels in experiment.factors.items() if name != SEED}
    return Analysis(
        factors={name: [label_text(level.label) for level in levels] for name, levels in factors.items()},
        primary=experiment.analysis["primary"], baseline={n: label_text(v) for n, v in experiment.baseline.items()},
        design=experiment.design.kind,
        groups=experiment.analysis["groups"], metrics=METRICS,
        test_set_factors=[
            name for name, levels in factors.items() if any(key in level.sets for level in levels for key in TEST_SET_KEYS)
        ],
    )


def runs_frame(all_facts: Sequence[RunFacts], experiment: Experiment) -> pd.DataFrame:
    """One row per run: run, kind, control, seed, one column per factor, status, eval_status, reason."""
    controls = controls_by_run(facts.run for facts in all_facts)
    rows = []
    for facts in all_facts:
        levels = {name: label_text(facts.run.levels[name]) for name in experiment.factors if name in facts.run.levels}
        held_up = facts.train if facts.train and facts.train.status != "done" else facts.eval
        rows.append({
            "run": facts.id, "kind": facts.run.kind, "control": controls.get(facts.id) or "", "seed": levels.pop(SEED, ""),
            **{name: levels.get(name) for name in experiment.factors if name != SEED},
            "status": held_up.status, "eval_status": facts.eval.status, "reason": held_up.reason,
        })
    return pd.DataFrame(rows)


def items_frame(all_facts: Sequence[RunFacts]) -> pd.DataFrame:
    """One row per answer (evaluated run, item, epoch), with columns as docs/tables.md has them. What items.parquet holds."""
    parts = []
    for facts in filter(lambda f: f.answers, all_facts):
        items = [facts.items[answer.item] for answer in facts.answers]
        parts.append(pd.DataFrame({
            "run": facts.id, "task": task_name(facts.run.experiment), "item": [item.id for item in items],
            "epoch": [answer.epoch for answer in facts.answers],
            "cluster": [item.cluster for item in items], "target": [item.target for item in items],
            "completion": [answer.completion for answer in facts.answers], "score": [answer.score for answer in facts.answers],
        }))
    if not parts:
        columns = {name: pd.Series(dtype=str) for name in ("run", "task", "item", "cluster", "target", "completion")}
        empty = pd.DataFrame({**columns, "score": pd.Series(dtype=float)})
        empty.insert(3, "epoch", pd.Series(dtype="int64"))
        return empty
    return pd.concat(parts, ignore_index=True)


def scores_frame(all_facts: Sequence[RunFacts], items: pd.DataFrame, experiment: Experiment) -> pd.DataFrame:
    """What `effects` reads: the answers with metric and groups, once for the scorer and once per metric beside it."""
    names = {name: items[name].astype("category") for name in ("run", "task", "item", "cluster")}
    scored = items[["run", "task", "item", "epoch", "cluster", "score"]].assign(**names)
    for position, name in enumerate(experiment.analysis["groups"]):
        scored[group_column(name)] = [
            facts.items[answer.item].groups[position] for facts in all_facts for answer in facts.answers
        ]
    metrics = [experiment.evaluation["scorer"], *experiment.analysis["metrics"]]
    if len(metrics) > 1:
        scored = pd.concat([scored, label_codes(items)], axis=1)
    parts = [scored.assign(metric=pd.Categorical([name] * len(scored), categories=metrics)) for name in metrics]
    return pd.concat(parts, ignore_index=True)


def run_scores(scores: pd.DataFrame, experiment: Experiment) -> dict[str, float]:
    """The primary metric of every evaluated run, from what `effects` reads."""
    primary = means(scores[scores["metric"] == experiment.analysis["primary"]], METRICS)
    return dict(zip(primary["run"], primary["value"], strict=True))


def parquet_bytes(items: pd.DataFrame) -> bytes:
    """items.parquet, the same bytes for the same items."""
    content = io.BytesIO()
    items.to_parquet(content, index=False, compression="zstd")
    return content.getvalue()


def effects_csv(table: pd.DataFrame) -> str:
    """effects.csv: numbers to six significant digits, what is not known empty."""
    return str(table.round({"estimate": 12, "low": 12, "high": 12}).to_csv(index=False, float_format="%.6g", lineterminator="\n"))
