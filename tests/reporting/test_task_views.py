"""What the report shows of a task's answers: labels, probabilities, numbers, wrong answers, against other libraries' numbers."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from ftexp.effects import means
from ftexp.effects.probability_metrics import CalibrationError
from ftexp.reporting.label_counts import count_labels, label_scores, labels_of, row_shares
from ftexp.reporting.labels_view import MOST_CONFUSIONS, labels_view
from ftexp.reporting.measure_words import words_of
from ftexp.reporting.number_scatter import MOST_POINTS, number_scatter, numbers_of
from ftexp.reporting.reliability import reliability_plot, reliability_table
from ftexp.reporting.shown_cells import Choice, ShownCell
from ftexp.reporting.task_views import Task, chosen_cells, task_view
from ftexp.reporting.wrong_answers import wrong_answers
from ftexp.results.cells import cells_of
from helpers.answer_tables import FACTORS, answered, two_factors, valued
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, root_mean_squared_error
from statsmodels.stats.proportion import proportion_confint

Table = pd.DataFrame
LABELS = ["agree", "disagree", "日本語", "$x_1$ & <b>", "neither"]
BASELINE = {"rank": "1", "lr": "1e-4"}


def stances(count: int = 200, runs: Table | None = None) -> Table:
    return answered((two_factors() if runs is None else runs)["run"], np.random.default_rng(1).choice(LABELS, count))


def shown(*runs: str) -> list[ShownCell]:
    every = cells_of(two_factors(), FACTORS)
    return [ShownCell(cell, "") for cell in every if not runs or set(runs) & set(cell.runs)]


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    options = [*LABELS, "never asked", "never asked nor said"]
    answers = pd.DataFrame({
        "item": [f"i{k}" for k in range(150)], "target": rng.choice(LABELS, 150),
        "completion": rng.choice([*options[:-1], "no such label", "", " agree\n"], 150),
    })
    found = count_labels(answers, options)
    said = answers["completion"].str.strip()
    precision, recall, f1, support = precision_recall_fscore_support(
        answers["target"], said, labels=options, zero_division=np.nan  # type: ignore[arg-type]
    )
    table = label_scores(found)
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1), ("support", support)):
        np.testing.assert_allclose(table[name].to_numpy(dtype=float), expected, rtol=0, atol=1e-12)
    matrix = confusion_matrix(answers["target"], said, labels=options)
    np.testing.assert_array_equal(found.counts[:, :-1], matrix)
    assert found.no_label == (~said.isin(options)).sum() and found.counts.sum() == 150
    sums = np.nansum(row_shares(found), axis=1)
    assert np.allclose(sums[:5], 1) and np.isnan(row_shares(found)[5:]).all()
    wrong = pd.crosstab(answers["target"], said.where(said.isin(options), "no label"))
    target, answer, count = found.confusions(1)[0]
    most = max(wrong.loc[row, column] for row in wrong.index for column in wrong.columns if row != column)
    assert wrong.loc[target, answer] == count == most


def test_targets_are_labels_where_they_come_again_or_options_are_given() -> None:
    texts = pd.DataFrame({"item": ["a", "b", "c"], "target": ["one text", "another", "a third"]})
    assert labels_of(texts) == []
    assert labels_of(texts, ["yes", "one text"]) == ["yes", "one text", "a third", "another"]
    many = pd.DataFrame({"item": range(60), "target": [f"{k % 12 / 2:g}" for k in range(60)]})
    assert labels_of(many)[:4] == ["0", "0.5", "1", "1.5"]
    named = many.assign(target=[f"label {k % 12}" for k in range(60)])
    assert labels_of(named) == [f"label {k}" for k in range(12)]
    assert labels_view("t", texts, shown()) is None and labels_view("t", stances(), []) is None


def test_a_view_of_labels_pools_the_seeds_of_a_cell() -> None:
    answers = stances()
    view = labels_view("stance", answers, shown())
    assert view is not None and view.plot.picture and view.header[-1] == "no label"
    cell = view.cells[1]
    own = answers[answers["run"].str.startswith("r1_lr1e-4")]
    assert cell.title == "rank 1, lr 1e-4" and cell.answers == len(own) == 400
    assert cell.no_label == (own["completion"] == "I do not know").sum()
    row = next(row for row in cell.rows if row[0] == "agree")
    is_target, is_said = own["target"] == "agree", own["completion"] == "agree"
    assert row[1] == f"{(is_target & is_said).sum() / is_said.sum():.3f}"
    assert row[4:] == [str(is_target.sum()), str(is_said.sum())]
    assert [row[0] for row in cell.matrix] == view.header[:-1] and not cell.confusions
    assert "numbered in the order of the table" in view.plot.caption  # a label in letters that the font lacks


def test_of_fifty_labels_there_is_no_picture_and_no_matrix_but_the_commonest_confusions() -> None:
    targets = [f"label {k % 50}" for k in range(500)]
    view = labels_view("many", answered(["base"], targets, right=0.2), shown("base"))
    assert view is not None and view.plot.picture is None and "50 labels" in view.plot.caption
    (cell,) = view.cells
    assert len(cell.rows) == 50 and not cell.matrix and len(cell.confusions) == MOST_CONFUSIONS


@pytest.mark.parametrize("count", [1, 7, 400])
def test_reliability_is_that_of_pandas_and_statsmodels(count: int) -> None:
    rng = np.random.default_rng(count)
    answers = answered(["base"], rng.choice(LABELS, count), seed=count)
    answers["probability"] = rng.choice([0.0, 1 / 15, 0.2, 0.5, 1.0, np.nan, 0.7], count)
    table = reliability_table(answers)
    known = answers.dropna(subset="probability")
    edges = [*(np.arange(15) / 15), 1.0 + 1e-9]
    right = (known["target"] == known["completion"]).astype(float)
    for (row, low, high) in zip(table.to_dict("records"), edges[:-1], edges[1:], strict=True):
        inside = (known["probability"] >= low) & (known["probability"] < high)
        assert row["n"] == inside.sum()
        if row["n"] == 0:
            assert math.isnan(row["right"]) and math.isnan(row["low"])
            continue
        assert math.isclose(row["probability"], known["probability"][inside].mean())
        assert math.isclose(row["right"], right[inside].mean())
        interval = proportion_confint(int(right[inside].sum()), int(row["n"]), method="wilson")
        assert np.allclose([row["low"], row["high"]], interval)


def test_the_bins_are_those_of_the_calibration_error() -> None:
    answers = answered(["base"], np.random.default_rng(0).choice(LABELS, 300))
    scores = answers.assign(metric="ece", cluster=answers["item"], correct=answers["exact"])
    expected = means(scores, {"ece": CalibrationError()})["value"].iloc[0]
    table = reliability_table(answers).dropna()
    assert math.isclose((table["n"] * (table["right"] - table["probability"]).abs()).sum() / table["n"].sum(), expected)


def numbers(count: int = 300) -> Table:
    rng = np.random.default_rng(0)
    answers = answered(two_factors()["run"], [str(k) for k in range(count)], task="age")
    targets = answers["target"].astype(float)
    said = targets + rng.normal(0, 20, len(targets))
    return answers.assign(target_number=targets, number=said.where(rng.random(len(said)) > 0.1))


def test_numbers_have_the_error_of_scikit_learn_and_their_gaps_counted() -> None:
    answers = numbers()
    found = numbers_of("all", answers)
    known = answers.dropna(subset="number")
    assert math.isclose(found.rmse, root_mean_squared_error(known["target_number"], known["number"]))
    assert found.without == answers["number"].isna().sum() and len(found.said) == len(known)
    assert numbers_of("none", answers.assign(number=np.nan)).without == len(answers)
    assert math.isnan(numbers_of("none", answers[:0]).rmse)


def test_a_scatter_says_what_it_leaves_out() -> None:
    answers = numbers()
    answers.loc[answers.index[answers["run"] == "base"][:3], "number"] = [1e30, -1e30, math.inf]
    plot = number_scatter("age", answers, shown())
    assert plot.picture and f"Of more than {MOST_POINTS // 5}" in plot.caption
    own = answers[answers["run"] == "base"]
    without = (~np.isfinite(own["number"])).sum()
    assert f"(a) root mean squared error {words_of('rmse').number(numbers_of('', own).rmse)}" in plot.caption
    assert f"{without} without a number; 2 beyond the picture" in plot.caption
    assert "The larger" not in plot.caption
    few = number_scatter("age", answers[answers["item"] < "i0005"].assign(number=3.0), shown())
    assert few.picture and "every k-th" not in few.caption and "The larger a point" in few.caption
    assert number_scatter("age", answers.assign(number=np.nan), shown()).picture is None
    assert number_scatter("age", answers.assign(target_number=5.0, number=5.0), shown("base")).picture


def test_wrong_answers_are_wrong_and_from_all_over_the_test() -> None:
    answers = stances(400)
    (found,) = wrong_answers(answers, shown("base"), "exact", words_of("exact"))
    own = answers[answers["run"] == "base"].set_index("item")
    wrong = own[own["exact"] < 1]
    assert found.run == "base" and found.sentence == f"{len(wrong)} of its 400 answers are wrong."
    places = [own.index.get_loc(answer.item) for answer in found.answers]
    assert len(places) == 4 and places == sorted(places) and places[0] < 100 and places[-1] > 300
    for answer in found.answers:
        row = wrong.loc[answer.item]
        assert (answer.input, answer.target, answer.completion) == (row["input"], row["target"], row["completion"])
    again = wrong_answers(answers, shown("base"), "exact", words_of("exact"))
    assert again == [found]


def test_wrong_answers_none_few_graded_gaps_and_epochs() -> None:
    def told(scores: list[float], metric: str = "exact", items: str = "") -> tuple[str, list[str]]:
        answers = answered(["base"], ["x" * 500] * len(scores)).assign(**{metric: scores})
        answers["item"] = list(items or "abcdefghijkl"[: len(scores)])
        (found,) = wrong_answers(answers, shown("base"), metric, words_of(metric))
        assert all(len(answer.target) == 402 for answer in found.answers)
        return found.sentence, [answer.item for answer in found.answers]

    assert told([1.0] * 5) == ("None of its 5 answers is wrong.", [])
    assert told([1.0, 0.0, 1.0]) == ("1 of its 3 answers is wrong.", ["b"])
    assert told([1.0, np.nan, np.nan]) == ("None of its 1 answers is wrong. 2 more have no score.", [])
    assert told([np.nan] * 2) == ("None of its answers has a score. 2 more have no score.", [])
    assert told([0.9, 0.1, 1.0, 0.3, 0.2, 0.4], "rouge_l") == ("Those of its 6 answers with the worst scores.", list("bdef"))
    assert told([9.0, 0.1, 5.0, 7.0, 0.2, 6.0], "perplexity")[1] == list("acdf")
    assert told([0.0, 1.0, 0.0, 0.0], items="aabb") == ("3 of its 4 answers are wrong.", ["a", "b"])
    assert wrong_answers(answered(["other"], ["x"]), shown("base"), "exact", words_of("exact")) == []


def test_a_task_shows_what_its_answers_have() -> None:
    runs = two_factors(ranks=3)
    answers = pd.concat([stances(runs=runs).assign(number=np.nan), numbers().drop(columns="probability")], ignore_index=True)
    cells, values = cells_of(runs, FACTORS), valued(answers)
    stance, age = Task("stance", "exact", ["exact"], options=LABELS), Task("age", "exact", ["exact"])
    choice = chosen_cells(stance, cells, values, BASELINE)
    view = task_view(stance, answers, choice)
    assert view.labels and view.labels.header == [*LABELS, "no label"] and view.left_out == choice.left_out == 4
    assert [plot.name for plot in view.plots] == ["reliability-stance"] and len(view.wrong) == 3
    needed = answers[answers["run"].isin([run for each in choice.shown for run in each.cell.runs])]
    assert task_view(stance, needed, choice) == view
    other = task_view(age, answers, chosen_cells(age, cells, values, BASELINE))
    assert other.labels is None and [plot.name for plot in other.plots] == ["numbers-age"]
    bare = task_view(stance, answers, choice, is_drawn=False)
    assert bare.labels and bare.labels.plot.picture is None and (bare.plots, bare.wrong) == ([], view.wrong)
    assert bare.labels.cells == view.labels.cells
    nothing = task_view(Task("none", "exact", ["exact"]), answers, Choice([], 0))
    assert (nothing.labels, nothing.plots, nothing.wrong) == (None, [], [])


def test_pictures_have_the_same_bytes_twice_and_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    def bytes_of() -> list[str | bytes]:
        labels = labels_view("stance", stances(), shown())
        assert labels
        plots = [labels.plot, reliability_plot("stance", stances(), shown()), number_scatter("age", numbers(), shown())]
        return [each for plot in plots if plot.picture for each in (plot.picture.element, plot.picture.svg, plot.picture.png)]

    first = bytes_of()
    assert len(first) == 9 and first == bytes_of()
    assert not [warning for warning in recwarn if re.search("[Gg]lyph|layout", str(warning.message))]
    assert reliability_plot("stance", stances().assign(probability=np.nan), shown()).picture is None
