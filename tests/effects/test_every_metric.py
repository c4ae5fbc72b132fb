"""Every name that an evaluation may judge by, through effects end to end: two tasks, seeds, a control, clusters, gaps."""

import functools
import itertools
import zlib
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from ftexp.design.judging import METRICS, OWN, SCORERS
from ftexp.effects import Analysis, Difference, Measure, effects, run_table
from ftexp.effects.arrays import FloatArray
from ftexp.effects.errors import UnusableTable
from ftexp.results.metric_objects import metric_objects
from helpers.effect_tables import TWO, Table, pick, planned
from helpers.marks import slow_but
from helpers.metric_rows import (
    CASES,
    OPTIONS,
    Columns,
    grades,
    labels,
    numbers,
    options,
    proportion,
    texts,
    tokens,
    with_counts,
)
from sacrebleu.metrics import CHRF
from scipy import special

RUNS = planned(TWO, 2)
OBJECTS = metric_objects(OPTIONS)
TASKS = ("test", "other")
ITEMS, CLUSTER = 120, 6
# How much easier items are to a run than to the untuned model, in standard deviations of what is hard in them.
EASE = {"base": 0.0, "x_1": 0.6, "x_2": 0.8, "y_1": 1.6, "y_2": 2.0}
Made = Callable[[np.random.Generator, FloatArray], Columns]


def shares(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """From 0 to 1: what F1 and ROUGE give, 0 for the empty answers."""
    values = special.expit(0.5 - difficulty + rng.normal(size=len(difficulty)))
    return {"score": np.where(rng.random(len(values)) < 0.05, 0.0, values)}


def cosines(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    return {"score": 2 * shares(rng, difficulty)["score"] - 1}


def graded(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """C, P or I."""
    return {"score": np.round(2 * shares(rng, difficulty)["score"]) / 2}


def with_empty(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """Texts, some answers of which are empty."""
    columns = texts(rng, difficulty)
    answers = [answer if rng.random() > 0.05 else "" for answer in columns["answer"]]
    return with_counts(list(columns["reference"]), answers)


def chrf_of_each(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    columns = with_empty(rng, difficulty)
    pairs = zip(columns["answer"], columns["reference"], strict=True)
    return {"score": np.array([CHRF().sentence_score(answer, [reference]).score for answer, reference in pairs])}


def less_sure(rng: np.random.Generator, difficulty: FloatArray) -> Columns:
    """The surer by mistake, the harder an item is."""
    known = rng.uniform(0.1, 0.5, len(difficulty))
    return {
        "probability": known + 0.45 * special.expit(difficulty + 1), "correct": (rng.random(len(known)) < known).astype(float),
    }


def mean(columns: Columns) -> float:
    return float(np.mean(columns["score"]))


ORACLES = {case.name: case.oracle for case in CASES}
MADE: dict[str, tuple[Made, Callable[[Columns], float]]] = {
    **dict.fromkeys(("exact", "ignore_case", "includes", "match", "numeric"), (proportion, mean)),
    **dict.fromkeys(("f1", "rouge_1", "rouge_2", "rouge_l"), (shares, mean)),
    "chrf": (chrf_of_each, mean), "semscore": (cosines, mean), "model_graded_qa": (graded, mean), OWN: (grades, mean),
    "perplexity": (tokens, ORACLES["token perplexity"]), "bits_per_byte": (tokens, ORACLES["bits per byte"]),
    "item_perplexity": (tokens, ORACLES["item perplexity"]),
    "macro_f1": (labels, ORACLES["macro F1"]), "balanced_accuracy": (labels, ORACLES["balanced accuracy"]),
    "mcc": (labels, ORACLES["MCC"]), "rmse": (numbers, ORACLES["RMSE"]), "mae": (numbers, ORACLES["MAE"]),
    "r2": (numbers, ORACLES["R2"]), "ece": (less_sure, ORACLES["calibration error"]),
    "brier": (options, ORACLES["Brier of options"]), "auc": (options, ORACLES["macro AUC"]),
    "bleu": (with_empty, ORACLES["corpus BLEU"]), "corpus_chrf": (with_empty, ORACLES["chrF"]),
}


@functools.cache
def answered(name: str) -> Table:
    """All runs' answers to both tasks, whose items differ; one in sixty could not be scored."""
    parts = []
    for task, run in itertools.product(TASKS, RUNS["run"]):
        own, common = (np.random.default_rng(zlib.crc32(text.encode())) for text in (task + run, task))
        difficulty = (common.normal(size=ITEMS // CLUSTER)[:, None] + common.normal(size=CLUSTER)).ravel() / np.sqrt(2)
        made = MADE[name][0](common, difficulty + 0.2 * own.normal(size=ITEMS) - EASE[run.rpartition("_s")[0] or run])
        items = [f"{task}{i:03d}" for i in range(ITEMS)]
        part = pd.DataFrame({"run": run, "task": task, "metric": name, "item": items, "epoch": 1, **made})
        part = part.assign(cluster=[f"{task}{i // CLUSTER}" for i in range(ITEMS)])
        first = OBJECTS[name].columns[0]
        parts.append(part.assign(**{first: part[first].astype(float).where(own.random(ITEMS) > 1 / 60)}))
    return pd.concat(parts, ignore_index=True)


def expected(scores: Table, name: str, weights: dict[str, float]) -> tuple[float, int]:
    """The weighted sum of the oracle's values on the items that all of these runs have, and the number of items."""
    own = scores[scores["run"].isin(weights)]
    gaps = own.loc[own[OBJECTS[name].columns[0]].isna(), "item"]
    own = own[~own["item"].isin(gaps)]
    values = {run: MADE[name][1]({column: rows[column].to_numpy() for column in rows}) for run, rows in own.groupby("run")}
    return sum(weight * values[run] for run, weight in weights.items()), own["item"].nunique()


def weights_of(cells: dict[str, float], control: float = 0.0) -> dict[str, float]:
    of_runs = {f"{cell}_s{seed}": weight / 2 for cell, weight in cells.items() for seed in (1, 2)}
    return of_runs | ({"base": control} if control else {})


CONTRASTS: list[tuple[str, dict[str, str], dict[str, float]]] = [
    ("level", {"factor": "a"}, weights_of({"y_1": 1, "x_1": -1})), ("level", {"factor": "b"}, weights_of({"x_2": 1, "x_1": -1})),
    ("main", {"factor": "a"}, weights_of({"y_1": 0.5, "y_2": 0.5, "x_1": -0.5, "x_2": -0.5})),
    ("interaction", {}, weights_of({"y_2": 1, "y_1": -1, "x_2": -1, "x_1": 1})),
    ("control", {"level": "a=y, b=2"}, weights_of({"y_2": 1}, -1)),
    ("control", {"level": "a=x, b=1"}, weights_of({"x_1": 1}, -1)),
    ("average", {}, weights_of(dict.fromkeys(("x_1", "x_2", "y_1", "y_2"), 0.25), -1)),
]


def test_every_name_of_an_evaluation_has_a_metric_and_is_tested_here_and_says_the_same_of_which_end_is_better() -> None:
    assert set(OBJECTS) == {*SCORERS, *METRICS, OWN} == set(MADE)
    meanings = [(name, kind.meaning) for name, kind in SCORERS.items()] + [(name, kind.meaning) for name, kind in METRICS.items()]
    for name, meaning in meanings:
        assert OBJECTS[name].higher_is_better == ("less is better" not in meaning), name


@pytest.mark.parametrize("name", slow_but(MADE, *list(MADE)[::6]))
def test_effects_are_differences_of_what_another_library_says_of_each_run(name: str) -> None:
    scores = answered(name)
    gap = Difference(Measure("other", name), Measure("test", name))
    analysis = Analysis(TWO, name, "test", metrics={name: OBJECTS[name]}, differences=[gap])
    table = effects(scores, RUNS, analysis)
    assert list(table["task"].unique()) == ["test", "other", "other minus test"]
    assert np.isfinite(table[["estimate", "se", "low", "high", "p", "p_holm"]].to_numpy(float)).all()
    assert table["method"].str.contains("clusters").all() and (table["n_missing"] > 0).any()
    bounds = OBJECTS[name].bounds
    sign = 1 if OBJECTS[name].higher_is_better else -1
    of_task = {task: table[table["task"] == task] for task in table["task"].unique()}
    for kind, columns, weights in CONTRASTS:
        wanted = {task: expected(scores[scores["task"] == task], name, weights) for task in TASKS}
        for task, (estimate, items) in wanted.items():
            for scope in ("models", "recipe"):
                row = pick(of_task[task], kind, scope, **columns)
                assert row["estimate"] == pytest.approx(estimate, rel=1e-9, abs=1e-12)
                assert (row["n_items"], row["n_missing"]) == (items, ITEMS - items)
                assert row["family"].startswith("confirmatory" if task == "test" else "exploratory")
                if kind in ("main", "average"):
                    assert sign * row["estimate"] > 0
                if bounds and name != OWN:
                    most = (bounds[1] - bounds[0]) * sum(weight for weight in weights.values() if weight > 0)
                    assert -most - 1e-9 <= row["low"] and row["high"] <= most + 1e-9
        row = pick(of_task["other minus test"], kind, **columns)
        assert row["estimate"] == pytest.approx(wanted["other"][0] - wanted["test"][0], rel=1e-9, abs=1e-12)
    own = pick(of_task["other minus test"], "cell", level="a=y, b=1")
    values = [expected(scores[scores["task"] == task], name, weights_of({"y_1": 1}))[0] for task in TASKS]
    assert own["estimate"] == pytest.approx(values[1] - values[0], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", MADE)
def test_the_table_of_runs_has_what_another_library_says_of_each(name: str) -> None:
    scores = answered(name)
    table = run_table(scores, RUNS, {name: OBJECTS[name]})
    assert len(table) == len(TASKS) * len(RUNS) and table[["value", "se"]].notna().all(axis=None)
    for _, row in table.iterrows():
        own = scores[scores["task"] == row["task"]]
        value, items = expected(own, name, {row["run"]: 1.0})
        assert row["value"] == pytest.approx(value, rel=1e-9) and (row["n_items"], row["n_scored"]) == (ITEMS, items)
        if row["run"] != "base":
            difference = expected(own, name, {row["run"]: 1.0, "base": -1.0})[0]
            assert row["diff_control"] == pytest.approx(difference, rel=1e-9, abs=1e-12) and row["diff_control_se"] > 0


def test_a_name_without_scores_of_its_own_kind_is_refused_by_its_columns() -> None:
    scores = answered("exact")
    with pytest.raises(UnusableTable, match="missing column, which exact needs"):
        effects(scores, RUNS, Analysis(TWO, "exact", metrics={"exact": OBJECTS["brier"]}))
