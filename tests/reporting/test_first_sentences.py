"""What the report says first: sentences of tasks, tasks side by side, trained by asked; and all of it on a page."""

import math
import re

import jinja2
import numpy as np
import pandas as pd
import pytest
from ftexp.design.judging import METRICS, SCORERS
from ftexp.effects import Analysis, Difference, Measure, effects
from ftexp.reporting import page
from ftexp.reporting.cells_view import cells_view
from ftexp.reporting.first_sentences import first_sentences
from ftexp.reporting.heat_map import train_by_test
from ftexp.reporting.labels_view import HEADER
from ftexp.reporting.measure_words import WORDS, words_of
from ftexp.reporting.picture_texts import fitted, panel_title
from ftexp.reporting.task_contrasts import task_contrasts
from ftexp.reporting.task_views import Task, chosen_cells, task_view
from ftexp.results.cells import cells_of, cells_table
from helpers.answer_tables import FACTORS, answered, two_factors, valued

Table = pd.DataFrame
PRIMARY = ("test", "exact")


def values(by_prefix: dict[str, float], runs: Table, task: str = "test", metric: str = "exact") -> Table:
    """The value of each run whose id begins so."""
    found = {run: value for run in runs["run"] for prefix, value in by_prefix.items() if run.startswith(prefix)}
    return pd.DataFrame({"run": list(found), "task": task, "metric": metric, "value": list(found.values())})


def said(given: Table, runs: Table, primary: tuple[str, str] = PRIMARY) -> list[str]:
    return first_sentences(cells_table(given, runs, FACTORS), cells_of(runs, FACTORS), primary)


FOUR = {"r1_lr1e-4": 0.5, "r1_lr3e-3": 0.58, "r2_lr1e-4": 0.6, "r2_lr3e-3": 0.72}


def test_a_sentence_says_from_where_to_where_and_which_is_best() -> None:
    runs = two_factors()
    assert said(values({"base": 0.35, **FOUR}, runs), runs) == [
        "Task test, the share exactly right: rises from 0.350 (untuned model) to 0.600 on average over the 4 cells, best 0.720 "
        "at rank 2, lr 3e-3."
    ]
    assert said(values({"base": 0.6, **FOUR}, runs), runs)[0].startswith(
        "Task test, the share exactly right: stays at 0.600 (as the untuned model) on average over the 4 cells, best"
    )
    assert "falls from 0.900 (untuned model) to 0.600" in said(values({"base": 0.9, **FOUR}, runs), runs)[0]


def test_where_less_is_better_the_verb_says_so_and_the_best_is_the_least() -> None:
    runs = two_factors()
    three = {"r1_lr1e-4": 4.0, "r1_lr3e-3": 3.0, "r2_lr1e-4": 3.8, "r2_lr3e-3": 2.0}
    given = values({"base": 8.1, **three}, runs, metric="perplexity")
    assert said(given, runs, ("test", "perplexity")) == [
        "Task test, perplexity of the reference (less is better): falls from 8.100 (untuned model) to 3.200 on average over the "
        "4 cells, which is better, best 2.000 at rank 2, lr 3e-3."
    ]
    worse = values({"base": 1.0, **three}, runs, metric="perplexity")
    assert "rises from 1.000 (untuned model) to 3.200 on average over the 4 cells, which is worse" in said(worse, runs)[0]


def test_without_a_control_there_is_no_from_and_what_is_missing_is_said() -> None:
    runs = two_factors()
    alone = "0.600 on average over the 4 cells, best 0.720 at rank 2, lr 3e-3."
    assert said(values(FOUR, runs), runs) == [f"Task test, the share exactly right: {alone}"]
    some = {key: value for key, value in FOUR.items() if key != "r2_lr3e-3"}
    assert "0.560 on average over 3 of 4 cells, best 0.600" in said(values({"base": 0.1, **some}, runs), runs)[0]
    one = said(values({"base": 0.1, "r2_lr3e-3": 0.7}, runs), runs)[0]
    assert one.endswith("rises from 0.100 (untuned model) to 0.700 at rank 2, lr 3e-3, the one of 4 cells that has a value.")
    assert said(values({"base": 0.1}, runs), runs) == []
    assert said(values({}, runs), runs) == []
    equal = said(values({"base": 0.0, "r": 0.5}, runs), runs)[0]
    assert equal.endswith("rises from 0 (untuned model) to 0.500 on average over the 4 cells; all cells are alike.")
    ties = said(values({**FOUR, "r1_lr1e-4": 0.72}, runs), runs)[0]
    assert ties.endswith("best 0.720 at rank 1, lr 1e-4 (and 1 more).")


def test_each_task_has_a_sentence_about_the_primary_metric_or_its_first() -> None:
    runs = two_factors()
    given = pd.concat([
        values({"base": 20.0, "r": 30.0}, runs, "long", "bleu"), values({"base": 0.2, "r": 0.3}, runs, "it", "f1"),
        values({"base": 0.2, "r": 0.3}, runs, "it", "exact"), values({"base": 0.2, "r": 0.3}, runs, "test", "exact"),
    ])
    first, second, third = said(given, runs)
    assert first.startswith("Task test, the share exactly right") and second.startswith("Task it, the share exactly right")
    assert third.startswith("Task long, BLEU of all answers (0 to 100): rises from 20.00 (untuned model) to 30.00")


def test_several_controls_are_averaged_as_the_cells_have_them() -> None:
    runs = two_factors().replace({"control": {}})
    runs.loc[runs["rank"] == "2", "control"] = "other"
    runs = pd.concat([runs, pd.DataFrame([{"run": "other", "kind": "control", "control": "", "status": "done"}])])
    text = said(values({"base": 0.1, "other": 0.3, **FOUR}, runs), runs)[0]
    assert "rises from 0.200 (untuned models, on average) to 0.600" in text


def test_every_scorer_and_metric_has_words_and_those_of_others_are_named() -> None:
    assert set(WORDS) == {*SCORERS, *METRICS, "valid"}
    meanings = {name: kind.meaning for kinds in (SCORERS, METRICS) for name, kind in kinds.items()}
    for name, meaning in meanings.items():
        assert words_of(name).less_is_better == ("less is better" in meaning) == ("less is better" in words_of(name).phrase)
        assert (words_of(name).decimals == 2) == ("0 to 100" in meaning)
    assert words_of("tone").phrase == "mean tone"
    assert words_of("age", {"age": "match"}).phrase == "the share right in the part that is looked for (age)"
    assert [words_of("rmse").number(x) for x in (-0.5, 12.3456, 1234.5678, 5.126e28, -123456.0)] == [
        "−0.500", "12.346", "1234.6", "5.13e28", "−1.23e5",
    ]


def contrasted(seeds: int, *, is_paired: bool = True) -> tuple[Table, Table, Table]:
    """Effects of `it minus test`, with the values and runs that they are of."""
    runs = two_factors(seeds)
    rng = np.random.default_rng(0)
    parts = []
    for task, first in (("test", 0), ("it", 0 if is_paired else 40)):
        for run in runs["run"]:
            scores = (rng.random(40) < (0.7 if task == "test" else 0.4)).astype(float)
            items = [f"i{first + k}" for k in range(40)]
            parts.append(pd.DataFrame({
                "run": run, "task": task, "metric": "exact", "item": items, "cluster": items, "epoch": 1, "score": scores,
            }))
    scores = pd.concat(parts, ignore_index=True)
    analysis = Analysis({"rank": ["1", "2"], "lr": ["1e-4", "3e-3"]}, "exact", differences=[DIFFERENCE])
    given = scores.groupby(["run", "task", "metric"])["score"].mean().rename("value").reset_index()
    return effects(scores, runs, analysis), given, runs


DIFFERENCE = Difference(Measure("it", "exact"), Measure("test", "exact"))


@pytest.mark.parametrize(("seeds", "is_paired"), [(1, True), (2, True), (2, False)])
def test_tasks_side_by_side_are_their_means_and_the_difference_of_the_effects(seeds: int, is_paired: bool) -> None:
    found, given, runs = contrasted(seeds, is_paired=is_paired)
    table, cells = cells_table(given, runs, FACTORS), cells_of(runs, FACTORS)
    (contrast,) = task_contrasts(found, table, cells, [DIFFERENCE])
    assert contrast.title == "it minus test, exact"
    assert contrast.header == ["cell", "it: exact", "test: exact", "difference", "95 % interval"]
    assert [row[0] for row in contrast.rows] == [*(cell.name for cell in cells[1:]), "average of the cells"]
    for row in contrast.rows[:-1]:
        own = table[table["cell"] == row[0]].set_index("task")["mean"]
        assert row[1:3] == [f"{own['it']:.3f}", f"{own['test']:.3f}"]
        assert math.isclose(float(row[3].replace("−", "-")), own["it"] - own["test"], abs_tol=6e-4) and " to " in row[4]
    assert contrast.rows[-1][1:3] == ["", ""]
    assert ("item by item" in contrast.note, "unpaired" in contrast.note) == (is_paired, not is_paired)
    assert ("new seeds" in contrast.note) == (seeds > 1)
    assert task_contrasts(found[:0], table, cells, [DIFFERENCE]) == []


def matrix(levels: int, tasks: int) -> Table:
    rng = np.random.default_rng(0)
    rows = [(f"level {i}", f"task {j}", rng.random()) for i in range(levels) for j in range(tasks) if i != j or i > 3]
    table = pd.DataFrame(rows, columns=["level", "task", "mean"])
    return table.assign(low=table["mean"] - 0.1, high=table["mean"] + 0.1)


def test_a_heat_map_has_its_intervals_where_there_is_room() -> None:
    small = train_by_test("corpus", "exact", matrix(3, 2))
    assert small.picture and small.name == "matrix-corpus-exact" and "Below a mean its 95 % interval" in small.caption
    again = train_by_test("corpus", "exact", matrix(3, 2)).picture
    assert again and (again.svg, again.png) == (small.picture.svg, small.picture.png)
    assert "Below a mean" in train_by_test("corpus", "exact", matrix(3, 20)).caption  # the tasks are its rows
    assert "no room" in train_by_test("corpus", "exact", matrix(15, 20)).caption
    assert "interval" not in train_by_test("corpus", "exact", matrix(3, 2).assign(low=math.nan, high=math.nan)).caption
    nothing = matrix(3, 2).assign(mean=math.nan)
    assert train_by_test("corpus", "exact", nothing).picture is None
    assert train_by_test("corpus", "exact", nothing[:0]).picture is None


def test_texts_in_pictures_are_short_distinct_and_drawable(recwarn: pytest.WarningsRecorder) -> None:
    long = "a very long label that begins alike and ends "
    texts = fitted(["short", long + "so", long + "otherwise", "日本", "two\nlines", " "])
    assert texts[0] == "short" and texts[3:] == ["no. 4", "two lines", "no. 6"]
    assert texts[1].startswith("2: a very") and texts[2].startswith("3: a very") and max(map(len, texts)) <= 27
    assert panel_title("the baseline: rank 1, 日本") == "the baseline: rank 1, ??"
    assert len(panel_title("word " * 100).splitlines()) == 2
    odd = matrix(2, 2).replace({"task 1": "日本", "level 1": "🎉"})
    assert "numbered in the order" in train_by_test("corpus", "exact", odd).caption
    assert not [warning for warning in recwarn if re.search("[Gg]lyph|layout", str(warning.message))]


def test_all_of_it_stands_on_a_page() -> None:
    runs = two_factors(ranks=3)
    answers = answered(runs["run"], ["yes", "no", "<maybe>"] * 30)
    given, cells = valued(answers), cells_of(runs, FACTORS)
    table = cells_table(given, runs, FACTORS)
    task = Task("stance", "exact", ["exact"])
    view = task_view(task, answers, chosen_cells(task, cells, given, {"rank": "1", "lr": "1e-4"}))
    found, values_, two = contrasted(2)
    (contrast,) = task_contrasts(found, cells_table(values_, two, FACTORS), cells_of(two, FACTORS), [DIFFERENCE])
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        loader=jinja2.FileSystemLoader(page.TEMPLATE_PATH.parent),
    )
    text = environment.from_string(
        '{% import "task_macros.html" as macros %}{{ macros.first_lines(sentences) }}{{ macros.cells(view) }}'
        "{{ macros.task(task, header) }}{{ macros.contrast(contrast) }}"
    ).render(
        sentences=first_sentences(table, cells, ("stance", "exact")) * 6, view=cells_view(table, FACTORS, ("stance", "exact")),
        task=view, header=HEADER, contrast=contrast,
    )
    assert "rises from" in text and "2 more tasks" in text and "±" in text and "it minus test, exact" in text
    assert "&lt;maybe&gt;" in text and "<maybe>" not in text and "of its 90 answers are wrong" in text
    for tag in ("table", "tr", "td", "figure", "details", "svg", "p", "div"):
        assert text.count(f"<{tag}>") + text.count(f"<{tag} ") == text.count(f"</{tag}>"), tag
