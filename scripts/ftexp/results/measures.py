"""From recorded answers to what effects and the table of runs are computed from: one row per answer and metric.

Nothing is read or written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from ftexp.data.answers import ROWS_PER_CHOICE, Answers
from ftexp.design.evaluation_section import Evaluation, Judging
from ftexp.design.judging import METRICS
from ftexp.effects.measurements import NOT_GROUPED
from ftexp.effects.metrics import UNNAMED, Metric, is_mean_of_scores
from ftexp.results.metric_objects import metric_objects
from ftexp.results.recorded import Recorded
from ftexp.scoring.counts import number_in

_KEYS = ("run", "task", "item", "epoch", "cluster")
_OPTIONS_DIFFER = "the options differ from item to item"
_NEEDED = {
    "labels": "", "texts": "", "numbers": "", "probabilities": "it is of options: give the task choices",
    "references": "no likelihood of its references was measured",
}


@dataclass(frozen=True)
class Measures:
    """What was measured.

    Attributes:
        scores: As `effects` reads them, of every task and metric that can be computed.
        metrics: Per name of a metric how a run's value comes from its answers.
        names: Per task the metrics that its answers are judged by.
        why_not: Per task and metric that cannot be computed, why.
        reasons: Per run, task and metric why answers have no score, the commonest reason with its number.
        valid: Per run and task the share of answers that are a label, an option or a number; not where any text will do.
    """

    scores: pd.DataFrame
    metrics: Mapping[str, Metric]
    names: Mapping[str, tuple[str, ...]]
    why_not: Mapping[tuple[str, str], str]
    reasons: Mapping[tuple[str, str, str], str]
    valid: Mapping[tuple[str, str], float]


def metric_named(evaluation: Evaluation, name: str) -> Metric:
    """How a run's value comes from its answers, by a scorer's or a metric's name, before there are answers."""
    kinds = {scorer.name: scorer.kind for judging in evaluation.judging.values() for scorer in judging.scorers}
    return metric_objects(2).get(kinds.get(name, name), UNNAMED)


def measures_of(recorded: Recorded, evaluation: Evaluation) -> Measures:
    """Every metric of every task, of the runs that answered it."""
    n_options = max((len(p) for p in recorded.frame.get("probabilities", pd.Series(dtype=object)).dropna()), default=0)
    by_kind = metric_objects(max(n_options, 2))
    metrics: dict[str, Metric] = {name: by_kind[name] for name in METRICS}
    names, why_not, parts = {}, {}, []
    reasons: dict[tuple[str, str, str], str] = {}
    valid: dict[tuple[str, str], float] = {}
    for task, judging in evaluation.judging.items():
        rows = recorded.of_task(task)
        own = recorded.metrics.get(task, ())
        names[task] = judging.names or own or ("score",)
        metrics |= {scorer.name: by_kind[scorer.kind] for scorer in judging.scorers}
        metrics |= {name: UNNAMED for name in own if name not in metrics}
        if rows.empty:
            continue
        valid |= {(str(run), task): share for run, share in _valid(rows, task, recorded, evaluation).items()}
        for name in names[task]:
            found = _columns(rows, name, metrics[name], evaluation.tasks[task])
            if isinstance(found, str):
                why_not[task, name] = found
                continue
            parts.append(rows[[*_KEYS, *_groups(rows)]].assign(metric=name, **found))
            reasons |= {(str(run), task, name): text for run, text in _reasons(rows, name, found).items()}
    scores = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*_KEYS, "metric", "score"])
    for name in _groups(scores):  # of a task that has no such column
        scores[name] = scores[name].fillna(NOT_GROUPED)
    for name in ("task", "item", "cluster", "metric"):
        scores[name] = scores[name].astype("category")
    return Measures(scores, metrics, names, why_not, reasons, valid)


def _groups(rows: pd.DataFrame) -> list[str]:
    return [name for name in map(str, rows) if name.startswith("group:")]


def _columns(rows: pd.DataFrame, name: str, metric: Metric, task: Mapping[str, Any]) -> Mapping[str, Any] | str:
    """The columns that a metric reads; why there are none where it cannot be computed."""
    if is_mean_of_scores(metric):
        return {"score": rows[name].astype(float)} if name in rows else "not judged yet: `make score`"
    if name in METRICS and METRICS[name].needs in _MAKERS:
        return _MAKERS[METRICS[name].needs](rows, metric, task)
    missing = [column for column in metric.columns if column not in rows or rows[column].isna().all()]
    if missing:
        return _NEEDED["references" if name not in METRICS else METRICS[name].needs] or "not judged yet: `make score`"
    return {column: rows[column] for column in metric.columns}


def _labels(rows: pd.DataFrame, _metric: Metric, task: Mapping[str, Any]) -> Mapping[str, Any] | str:
    """Targets and answers as codes of the labels that stand in target; -1 for any other answer. Outer blanks do not count."""
    if task["kind"] == "document":
        return "nothing is answered"
    items = rows.drop_duplicates(["item", "target"])["target"].str.strip()
    if items.nunique() * ROWS_PER_CHOICE > len(items):
        return f"its answers are no labels: {items.nunique()} different ones in {len(items)} rows"
    codes, labels = pd.factorize(rows["target"].str.strip())
    return {"target": codes, "prediction": labels.get_indexer(pd.Index(rows["completion"].str.strip()))}


def _numbers(rows: pd.DataFrame, _metric: Metric, task: Mapping[str, Any]) -> Mapping[str, Any] | str:
    if "number" not in rows:
        return "nothing is answered" if task["kind"] == "document" else "not judged yet: `make score`"
    return {"target": numbers_of(rows["target"]), "prediction": rows["number"].astype(float)}


def numbers_of(texts: "pd.Series[str]") -> Any:
    """(L,) the number in each text; nan where there is none."""
    codes, distinct = pd.factorize(texts)
    return np.array([np.nan if (value := number_in(text)) is None else value for text in distinct], dtype=float)[codes]


def _probabilities(rows: pd.DataFrame, metric: Metric, task: Mapping[str, Any]) -> Mapping[str, Any] | str:
    if task["kind"] != "options":
        return _NEEDED["probabilities"]
    if "correct" in metric.columns:
        is_right = rows["completion"].str.strip() == rows["target"].str.strip()
        return {"probability": rows["probability"], "correct": is_right.astype(float)}
    if isinstance(task["choices"], str) and not _is_any_order(metric):
        return _OPTIONS_DIFFER
    size = len(metric.columns) - 1
    table = np.zeros((len(rows), size))
    lengths = rows["probabilities"].map(len).to_numpy()
    for length in np.unique(lengths):
        table[lengths == length, :length] = np.stack(list(rows["probabilities"][lengths == length]))
    named = {f"probability_{place + 1}": table[:, place] for place in range(size)}
    return {**named, "target": _place_of_right(rows)}


def _is_any_order(metric: Metric) -> bool:
    """Whether it does not matter to a metric of options in which order an item has them."""
    return not metric.higher_is_better


def _place_of_right(rows: pd.DataFrame) -> Any:
    """(L,) the place of the right option among an item's."""
    items = rows.drop_duplicates("item")
    places = {
        item: [option.strip() for option in options].index(target.strip())
        for item, options, target in zip(items["item"], items["options"], items["target"], strict=True)
    }
    return rows["item"].map(places).astype(float)


_MAKERS: dict[str, Callable[[pd.DataFrame, Metric, Mapping[str, Any]], Mapping[str, Any] | str]] = {
    "labels": _labels, "numbers": _numbers, "probabilities": _probabilities,
}


def _reasons(rows: pd.DataFrame, name: str, found: Mapping[str, Any]) -> dict[Any, str]:
    """Per run why answers could not be scored: the commonest reason, with its number."""
    if name in METRICS and METRICS[name].needs == "numbers":
        is_gap = pd.isna(found["prediction"]) | pd.isna(found["target"])
        counts = is_gap.groupby(rows["run"], observed=True).sum()
        known = counts[counts > 0].items()
        return {run: f"{_answers(count, 'holds', 'hold')} no number, or the target none" for run, count in known}
    if name + ":why" not in rows:
        return {}
    gaps = rows[rows[name + ":why"].fillna("") != ""]
    sizes = gaps.groupby(["run", name + ":why"], observed=True).size().sort_values(ascending=False)
    said: dict[Any, str] = {}
    for key, count in sizes.items():
        run, reason = cast(tuple[str, str], key)
        said.setdefault(run, f"{_answers(count, 'has', 'have')} no {name}: {reason}")
    return said


def _answers(count: int, one: str, many: str) -> str:
    return f"1 answer {one}" if count == 1 else f"{count} answers {many}"


def _valid(rows: pd.DataFrame, task: str, recorded: Recorded, evaluation: Evaluation) -> dict[Any, float]:
    """Per run the share of answers that are a label of the task, an option, or a number."""
    kind = evaluation.tasks[task]["kind"]
    if kind in ("document", "inspect"):
        return {}
    labels = labels_of(task, recorded, evaluation)
    if labels is not None:
        is_valid = rows["completion"].str.strip().isin(labels)
    elif _is_of_numbers(evaluation.judging[task]) and "number" in rows:
        is_valid = rows["number"].notna()
    else:
        return {}
    return dict(is_valid.groupby(rows["run"], observed=True).mean())


def _is_of_numbers(judging: Judging) -> bool:
    """Whether the answers to a task are judged as numbers, and as nothing else first."""
    return judging.scorers[0].kind == "numeric" or any(METRICS[name].needs == "numbers" for name in judging.metrics)


def labels_of(task: str, recorded: Recorded, evaluation: Evaluation) -> list[str] | None:
    """The labels of a task: its options, or the reference answers where these are few and come again; else None."""
    choices = evaluation.tasks[task].get("choices")
    if isinstance(choices, list):
        return [choice.strip() for choice in choices]
    if choices is not None:
        return None
    tests: list[Answers] = [answers for (_, name), answers in recorded.references.items() if name == task]
    if not tests or not all(test.are_choices for test in tests):
        return None
    return list(dict.fromkeys(text for test in {id(test): test for test in tests}.values() for text in test.counts))
