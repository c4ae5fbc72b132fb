"""Scores that are missing, of which less is better, of several tasks whose difference is wanted; levels that were chosen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ftexp.effects import Analysis, Difference, Measure, effects, spreads
from ftexp.effects.errors import UnusableTable
from ftexp.effects.label_metrics import MacroF1
from ftexp.effects.metrics import Mean
from ftexp.effects.ratio_metrics import TokenPerplexity
from ftexp.reporting.conclusions import conclusions
from helpers.effect_tables import TWO, Table, pick, planned, scored, simulated

PAIR = {"a": ["x", "y"]}
NUMBERS = ["estimate", "se_items", "se_seeds", "se", "df", "low", "high", "p"]


def test_pairs_are_the_items_that_both_runs_have_a_score_of() -> None:
    runs = planned(TWO, 2)
    whole = simulated(runs, 300)
    gone = (whole["run"] == "y_1_s1") & whole["item"].isin([f"i{i:04d}" for i in range(20)])
    table = effects(whole.assign(score=whole["score"].where(~gone)), runs, Analysis(TWO, "match"))
    few = effects(whole[~whole["item"].isin(set(whole.loc[gone, "item"]))], runs, Analysis(TWO, "match"))
    everything = effects(whole, runs, Analysis(TWO, "match"))
    for scope in ("models", "recipe"):
        row, without = (pick(each, "level", scope, factor="a") for each in (table, few))
        np.testing.assert_allclose(row[NUMBERS].to_numpy(float), without[NUMBERS].to_numpy(float))
        assert (row["n_items"], row["n_missing"]) == (280, 20) and "missing scores" in row["flags"]
        assert "20 of 300 items left out: some run has no score of them (7%)" in row["reason"]
        row, same = (pick(each, "level", scope, factor="b") for each in (table, everything))
        np.testing.assert_allclose(row[NUMBERS].to_numpy(float), same[NUMBERS].to_numpy(float))
        assert (row["n_items"], row["n_missing"], row["reason"]) == (300, 0, "")


def test_few_missing_scores_are_counted_and_not_flagged_and_of_repetitions_the_others_count() -> None:
    runs = planned(PAIR, has_control=False)
    scores = simulated(runs, 300)
    one = scores.assign(score=scores["score"].where(scores.index != 5))
    row = pick(effects(one, runs, Analysis(PAIR, "match")), "level")
    assert (row["n_items"], row["n_missing"], row["flags"]) == (299, 1, "")
    assert row["reason"] == "1 of 300 items left out: some run has no score of them"
    twice = pd.concat([scores, one.assign(epoch=2)], ignore_index=True)
    row, plain = (pick(effects(each, runs, Analysis(PAIR, "match")), "level") for each in (twice, scores))
    assert row["n_missing"] == 0 and row["estimate"] == pytest.approx(plain["estimate"])


def test_runs_without_a_common_item_or_any_score_have_an_empty_row_that_says_so() -> None:
    runs = planned(PAIR, has_control=False)
    scores = simulated(runs, 40)
    half = scores["item"] < "i0020"
    apart = scores.assign(score=scores["score"].where(half == (scores["run"] == "x_s1")))
    row = pick(effects(apart, runs, Analysis(PAIR, "match")), "level")
    assert np.isnan(row["estimate"]) and "no item has a score of every run" in row["reason"] and row["n_missing"] == 40
    none = scores.assign(score=scores["score"].where(scores["run"] == "x_s1"))
    assert "1 of 2 runs are missing" in pick(effects(none, runs, Analysis(PAIR, "match")), "level")["reason"]
    assert effects(scores.assign(score=np.nan), runs, Analysis(PAIR, "match"))["estimate"].isna().all()


def two_tasks(runs: Table, *, same_items: bool) -> Table:
    other = simulated(runs, 200, seed=3).assign(task="italian")
    other = other if same_items else other.assign(item="o" + other["item"], cluster="o" + other["cluster"])
    return pd.concat([simulated(runs, 200), other], ignore_index=True)


BETWEEN = Difference(Measure("italian", "match"), Measure("words", "match"))


def test_a_difference_between_tasks_on_the_same_items_is_that_of_the_items_differences() -> None:
    runs = planned(TWO, 3)
    runs = runs[runs["run"] != "y_2_s3"]
    scores = two_tasks(runs, same_items=True)
    table = effects(scores, runs, Analysis(TWO, "match", differences=[BETWEEN]))
    table = table[table["task"] == "italian minus words"]
    wide = scores.pivot(index=["run", "item", "cluster", "epoch", "metric"], columns="task", values="score").reset_index()
    wide = wide.assign(score=wide["italian"] - wide["words"], task="gap")
    by_hand = effects(wide, runs, Analysis(TWO, "match", metrics={"match": Mean(bounds=None)}))
    same = table[table["kind"].isin(by_hand["kind"])]
    np.testing.assert_allclose(same[["estimate", "se_items", "se_seeds", "se", "df"]].to_numpy(float),
                               by_hand[["estimate", "se_items", "se_seeds", "se", "df"]].to_numpy(float), rtol=1e-9)
    assert set(table["kind"]) == {*by_hand["kind"], "cell", "cells"} and table["method"].str.startswith("paired; ").all()
    own = pick(table, "cell", level="a=x, b=1")
    assert own["estimate"] == pytest.approx(wide[wide["run"].str.startswith("x_1")]["score"].mean()) and own["n_items"] == 200


def test_a_difference_between_tasks_of_other_items_is_unpaired_but_its_effects_are_paired_within_each() -> None:
    runs = planned(TWO, 2)
    scores = two_tasks(runs, same_items=False)
    table = effects(scores, runs, Analysis(TWO, "match", differences=[BETWEEN]))
    single = {task: pick(table[table["task"] == task], "main", factor="a") for task in ("italian", "words", BETWEEN.name.task)}
    gap = single[BETWEEN.name.task]
    assert gap["estimate"] == pytest.approx(single["italian"]["estimate"] - single["words"]["estimate"])
    assert gap["se"] ** 2 == pytest.approx(single["italian"]["se"] ** 2 + single["words"]["se"] ** 2)
    assert gap["method"] == "paired within test sets; items" and gap["flags"] == "" and gap["n_items"] == 400
    own = pick(table[table["task"] == BETWEEN.name.task], "cells")
    assert own["method"] == "unpaired; items" and own["flags"] == "unpaired"
    assert own["family"] == "confirmatory: italian minus words, match, cells"
    said = {each.subject: each.text for each in conclusions(table, Analysis(TWO, "match", differences=[BETWEEN]))}
    assert "the cells average " in said["italian minus words, match"] and "fine-tuning" in said


def test_with_a_primary_task_its_rows_alone_are_confirmatory_and_come_first() -> None:
    runs = planned(TWO, 2)
    scores = two_tasks(runs, same_items=True)
    scores = pd.concat([scores, scores.assign(metric="also")], ignore_index=True)
    analysis = Analysis(TWO, "match", "words", differences=[BETWEEN])
    table, of_all = (effects(scores, runs, each) for each in (analysis, replace(analysis, primary_task="")))
    assert list(table[["task", "metric"]].drop_duplicates().itertuples(index=False, name=None)) == [
        ("words", "match"), ("italian", "match"), ("italian", "also"), ("words", "also"), ("italian minus words", "match")]
    is_primary = (table["task"] == "words") & (table["metric"] == "match")
    assert (table["family"].str.startswith("confirmatory: ") == is_primary).all() and is_primary.any()
    assert (of_all["family"].str.startswith("confirmatory: ") == (of_all["metric"] == "match")).all()
    both = table.merge(of_all, on=["kind", "scope", "factor", "level", "reference", "task", "metric"])
    assert len(both) == len(table) and np.array_equal(both["p_holm_x"], both["p_holm_y"], equal_nan=True)


def test_spreads_are_those_of_the_primary_task() -> None:
    runs = planned(TWO, 3)
    scores = two_tasks(runs, same_items=False)
    found = spreads(scores, runs, Analysis(TWO, "match", "italian"))
    assert found == spreads(scores[scores["task"] == "italian"], runs, Analysis(TWO, "match"))
    assert found != spreads(scores[scores["task"] == "words"], runs, Analysis(TWO, "match")) and set(found) == {"a", "b"}


def test_a_difference_has_bounds_where_both_of_its_measures_have_them() -> None:
    runs = planned(PAIR)
    marks = simulated(runs, 50, seed=1).assign(task="marks", score=lambda table: 10 * table["score"])
    gap = Difference(Measure("words", "match"), Measure("marks", "match"))
    table = effects(pd.concat([simulated(runs, 50), marks]), runs, Analysis(PAIR, "match", differences=[gap]))
    row = pick(table[table["task"] == "words minus marks"], "cell", level="a=x")
    assert row["low"] < -1 and row["high"] - row["low"] > 1.5


def test_a_difference_is_of_measures_that_are_there_and_of_one_kind() -> None:
    runs = planned(PAIR)
    scores = pd.concat([simulated(runs, 20), simulated(runs, 20).assign(metric="nll")])
    unlike = Difference(Measure("words", "match"), Measure("words", "nll"))
    lower = {"nll": Mean(bounds=None, higher_is_better=False)}
    with pytest.raises(UnusableTable, match="differences: match and nll: not of one kind"):
        effects(scores, runs, Analysis(PAIR, "match", metrics=lower, differences=[unlike]))
    absent = Difference(Measure("french", "match"), Measure("words", "match"))
    with pytest.raises(UnusableTable, match="differences: french/match: has no scores. There are: words/match, words/nll"):
        effects(scores, runs, Analysis(PAIR, "match", differences=[absent]))


def test_levels_of_a_chosen_factor_have_an_estimate_and_no_interval() -> None:
    runs = planned(TWO, 2)
    analysis = Analysis(TWO, "match", chosen=["b"])
    table = effects(simulated(runs, 300), runs, analysis)
    involved = table["factor"].isin(["b", "a x b"])
    assert table.loc[involved, ["low", "high", "p", "p_holm", "df"]].isna().all(axis=None)
    assert table.loc[involved, "estimate"].notna().all()
    assert table.loc[involved, "reason"].str.contains("b was chosen by its score").all()
    assert (table["flags"].str.contains("chosen") == involved).all()
    assert table.loc[~involved, "p"].notna().all()
    said = {conclusion.subject: conclusion for conclusion in conclusions(table, analysis)}
    assert said["b"].text.startswith("b: chosen by its score") and not said["b"].is_claim
    assert said["interactions"].text == "Interactions: nothing is claimed of those with b, which was chosen on validation."
    assert "All levels of b count here, not only the chosen" in said["all"].text
    over_all = table["flags"].str.contains("all levels")
    assert (over_all == (table["kind"].eq("average") | table["kind"].eq("main") & table["factor"].eq("a"))).all()


def test_of_several_chosen_factors_one_sentence_says_that_no_interaction_is_claimed() -> None:
    factors = {**TWO, "c": ["1", "2"]}
    runs = planned(factors, 1)
    analysis = Analysis(factors, "match", chosen=["b", "c"])
    table = effects(simulated(runs, 100), runs, analysis)
    both = table["factor"] == "b x c"
    assert table.loc[both, "reason"].str.contains("b, c were chosen by their score: the best of several is best partly").all()
    text = {conclusion.subject: conclusion.text for conclusion in conclusions(table, analysis)}["interactions"]
    assert text == "Interactions: nothing is claimed of those with b or c, which were chosen on validation."


def test_of_a_metric_of_which_less_is_better_the_words_say_which_is_better() -> None:
    runs = planned(PAIR, 3)
    rng = np.random.default_rng(0)
    nll = {run: rng.normal(3.0 if run.startswith("x") else 2.0, 0.2, 400) for run in runs["run"]}
    scores = scored(nll, metric="perplexity")
    scores = scores.assign(nll=scores["score"] * 5, tokens=5.0, score=np.nan)
    analysis = Analysis(PAIR, "perplexity", metrics={"perplexity": TokenPerplexity()})
    table = effects(scores, runs, analysis)
    row = pick(table, "level")
    y, x = (np.exp(np.mean([nll[f"{a}_s{s}"] for s in (1, 2, 3)], axis=1).mean()) for a in ("y", "x"))
    assert row["estimate"] == pytest.approx(y - x, rel=0.01) and row["high"] < 0 and row["flags"] == ""
    text = next(c.text for c in conclusions(table, analysis) if c.subject == "a")
    assert "y instead of x lowers perplexity by" in text and ", which is better" in text


def test_a_metric_that_the_delta_method_does_not_follow_is_flagged_curved() -> None:
    runs = planned(PAIR, has_control=False)
    rng = np.random.default_rng(1)
    target = np.r_[np.zeros(60), 1, 2, 3, 4].astype(int)
    answers = {"x_s1": np.zeros(64, dtype=int), "y_s1": np.where(rng.random(64) < 0.5, target, 0)}
    scores = scored({run: np.zeros(64) for run in answers}, metric="macro_f1")
    scores = scores.assign(target=np.tile(target, 2), prediction=np.concatenate(list(answers.values())))
    table = effects(scores, runs, Analysis(PAIR, "macro_f1", metrics={"macro_f1": MacroF1()}))
    assert table["flags"].str.contains("curved").all()
    even = np.tile(np.arange(4), 100)
    answers = {run: np.where(rng.random(400) < share, even, 0) for run, share in (("x_s1", 0.5), ("y_s1", 0.7))}
    scores = scored({run: np.zeros(400) for run in answers}, metric="macro_f1")
    scores = scores.assign(target=np.tile(even, 2), prediction=np.concatenate(list(answers.values())))
    table = effects(scores, runs, Analysis(PAIR, "macro_f1", metrics={"macro_f1": MacroF1()}))
    assert not table["flags"].str.contains("curved").any()


def test_scores_outside_0_to_1_have_no_bounds_unless_the_analysis_says_which() -> None:
    runs = planned(PAIR, has_control=False)
    scores = scored({"x_s1": np.arange(40.0), "y_s1": np.arange(40.0) * 3})
    row = pick(effects(scores, runs, Analysis(PAIR, "match")), "level")
    assert row["estimate"] == 39 and row["high"] > 39 and "pseudo-items" not in row["method"] and row["flags"] == ""
    with pytest.raises(UnusableTable, match="run x_s1, item i0011: must be from 0 to 10, as the analysis says of match, got 11"):
        effects(scores, runs, Analysis(PAIR, "match", metrics={"match": Mean((0, 10))}))
