"""cells.csv and its view: mean and spread over seeds, what is missing, which cells are shown."""

import io

import numpy as np
import pandas as pd
import pytest
from ftexp.reporting.cells_view import MOST_MEASURES, cells_view
from ftexp.reporting.measure_words import words_of
from ftexp.reporting.shown_cells import choose_cells
from ftexp.results.cells import cells_csv, cells_of, cells_table
from helpers.answer_tables import FACTORS, two_factors

Table = pd.DataFrame
PRIMARY = ("test", "exact")


def values(runs: Table, *measures: tuple[str, str], seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    rows = [(run, task, metric, rng.random()) for run in runs["run"] for task, metric in measures]
    return pd.DataFrame(rows, columns=["run", "task", "metric", "value"])


def test_numbers_are_those_of_pandas_in_the_order_of_the_design() -> None:
    runs = two_factors(seeds=3)
    given = values(runs, PRIMARY, ("it", "bleu"))
    table = cells_table(given, runs, FACTORS)
    joined = given.merge(runs, on="run")
    for (rank, lr, task, metric), own in joined[joined["kind"] == "trained"].groupby(["rank", "lr", "task", "metric"]):
        row = table[(table["rank"] == rank) & (table["lr"] == lr) & (table["task"] == task) & (table["metric"] == metric)].iloc[0]
        expected = own["value"].agg(["mean", "std", "min", "max"]).to_numpy(dtype=float)
        assert np.allclose(row[["mean", "sd", "min", "max"]].to_numpy(dtype=float), expected, rtol=0, atol=1e-12)
        assert (row["n_seeds"], row["runs"], row["reason"]) == (3, 3, "")
    assert list(table["cell"].unique()) == [
        "control base", "rank 1, lr 1e-4", "rank 1, lr 3e-3", "rank 2, lr 1e-4", "rank 2, lr 3e-3",
    ]
    control = table.iloc[0]
    assert (control["n_seeds"], control["rank"]) == (1, "") and np.isnan(control["sd"])


def test_what_is_missing_is_empty_with_the_runs_and_why() -> None:
    runs = two_factors()
    runs["reason"] = ""
    runs.loc[runs["run"] == "r1_lr1e-4_s2", ["status", "reason"]] = ["failed", "out of memory, again"]
    given = values(runs[~runs["run"].str.startswith("r2_lr1e-4")], PRIMARY)
    given = given[given["run"] != "r1_lr1e-4_s2"]
    given.loc[given["run"] == "r2_lr3e-3_s1", "value"] = np.nan
    found = cells_table(given, runs, FACTORS).set_index("cell")
    one, none, undefined = (found.loc[f"rank {cell}"] for cell in ("1, lr 1e-4", "2, lr 1e-4", "2, lr 3e-3"))
    assert (one["n_seeds"], one["runs"], one["reason"]) == (1, 2, "r1_lr1e-4_s2: failed: out of memory, again")
    assert none[["mean", "sd", "min", "max"]].isna().all() and none["reason"] == "r2_lr1e-4_s1: no value; r2_lr1e-4_s2: no value"
    assert undefined["n_seeds"] == 1 and "r2_lr3e-3_s1: no value" in undefined["reason"]
    lines = cells_csv(found.reset_index()).splitlines()
    assert '"rank 2, lr 1e-4",trained,2,1e-4,test,exact,0,,,,,2,r2_lr1e-4_s1: no value; r2_lr1e-4_s2: no value' in lines
    shown = {tuple(row[1:3]): row[-1] for row in cells_view(found.reset_index(), FACTORS, PRIMARY).rows}
    assert shown["2", "1e-4"] == "no value" and shown["1", "1e-4"].endswith("(1 of 2)") and "±" not in shown["1", "1e-4"]


def test_a_cell_that_is_not_asked_has_no_row_and_says_so_in_the_view() -> None:
    runs = two_factors()
    asked = pd.DataFrame(
        [(run, *PRIMARY, "") for run in runs["run"]] + [("r1_lr1e-4_s1", "it", "exact", "the log is older than its run")],
        columns=["run", "task", "metric", "reason"],
    )
    table = cells_table(values(runs, PRIMARY), runs, FACTORS, asked)
    italian = table[table["task"] == "it"]
    assert italian[["cell", "n_seeds", "runs", "reason"]].values.tolist() == [
        ["rank 1, lr 1e-4", 0, 1, "r1_lr1e-4_s1: the log is older than its run"]
    ]
    view = cells_view(table, FACTORS, PRIMARY)
    assert [row[-1] for row in view.rows] == ["not asked", "no value", "not asked", "not asked", "not asked"]
    # nothing is evaluated yet: all rows, no number
    empty = cells_table(values(runs, PRIMARY)[:0], runs, FACTORS, asked)
    assert len(empty) == len(table) and empty["mean"].isna().all() and (empty["n_seeds"] == 0).all()
    assert cells_table(values(runs, PRIMARY)[:0], runs, FACTORS).empty


def test_a_run_of_no_design_and_a_value_twice_are_refused() -> None:
    runs = two_factors()
    given = values(runs, PRIMARY)
    with pytest.raises(ValueError, match="values: run: not in the table of runs, got other"):
        cells_table(pd.concat([given, given[:1].assign(run="other")]), runs, FACTORS)
    with pytest.raises(ValueError, match="one-to-one"):
        cells_table(pd.concat([given, given[:1]]), runs, FACTORS)


def test_the_csv_reads_back() -> None:
    runs = two_factors()
    table = cells_table(values(runs, PRIMARY, ("it", "bleu")), runs, FACTORS)
    back = pd.read_csv(io.StringIO(cells_csv(table)))
    assert list(back) == [
        "cell", "kind", "rank", "lr", "task", "metric", "n_seeds", "mean", "sd", "min", "max", "runs", "reason",
    ]
    assert np.allclose(back["mean"], table["mean"], rtol=1e-5) and back["sd"].isna().sum() == 2


def test_the_view_has_the_primary_measure_first_and_at_most_so_many() -> None:
    runs = two_factors()
    measures = [(task, metric) for task in "abcdef" for metric in ("exact", "bleu")]
    table = cells_table(values(runs, *measures), runs, FACTORS)
    view = cells_view(table, FACTORS, ("c", "bleu"))
    assert view.header[:4] == ["cell", "rank", "lr", "runs"] and view.header[view.first_number] == "runs"
    assert view.header[4:] == [*(f"{task}: bleu" for task in "cabdef"), "c: exact", "a: exact"], "tasks side by side"
    assert len(view.header) == 4 + MOST_MEASURES and view.left_out == ["b/exact", "d/exact", "e/exact", "f/exact"]
    row = table[(table["cell"] == "rank 1, lr 1e-4") & (table["task"] == "c")].set_index("metric")
    assert view.rows[1][:4] == ["trained", "1", "1e-4", "2"]
    assert view.rows[1][4] == f"{row.loc['bleu', 'mean']:.2f} ± {row.loc['bleu', 'sd']:.2f}"
    assert view.rows[1][10] == f"{row.loc['exact', 'mean']:.3f} ± {row.loc['exact', 'sd']:.3f}"


def test_controls_of_one_kind_are_cells_of_their_own_and_a_design_without_factors_is_one() -> None:
    runs = pd.DataFrame({
        "run": ["base", "published", "s1", "s2"], "kind": ["control"] * 2 + ["trained"] * 2, "control": ["", "", "base", "base"],
    })
    assert [(cell.name, cell.runs, cell.control) for cell in cells_of(runs, [])] == [
        ("control base", ("base",), ""), ("control published", ("published",), ""), ("the tuned runs", ("s1", "s2"), "base"),
    ]
    given = pd.DataFrame({"run": runs["run"], "task": "test", "metric": "exact", "value": [0.1, 0.2, 0.3, 0.4]})
    shown = choose_cells(cells_of(runs, []), given, PRIMARY, words_of("exact"), {}).shown
    assert [each.title for each in shown] == [
        "the untuned model: control base", "a model as it is: control published", "the tuned runs",
    ]


def test_of_many_cells_the_baseline_the_best_and_their_control_are_shown() -> None:
    runs = two_factors(ranks=4)
    cells = cells_of(runs, FACTORS)
    given = values(runs, PRIMARY).assign(value=0.5)
    given.loc[given["run"].isin(["r8_lr3e-3_s1", "r2_lr1e-4_s1"]), "value"] = [0.1, 0.9]
    baseline = {"rank": "4", "lr": "1e-4"}
    more = choose_cells(cells, given, PRIMARY, words_of("exact"), baseline)
    assert [each.title for each in more.shown] == [
        "the untuned model: control base", "the baseline: rank 4, lr 1e-4", "the best by exact: rank 8, lr 3e-3",
    ]
    assert more.left_out == 6
    given["metric"] = "rmse"
    less = choose_cells(cells, given, ("test", "rmse"), words_of("rmse"), baseline)
    assert less.shown[1].title == "the best by rmse: rank 2, lr 1e-4"
    assert choose_cells(cells, given[:0], PRIMARY, words_of("exact"), baseline).shown == []
