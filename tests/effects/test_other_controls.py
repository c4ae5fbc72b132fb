"""Existing checkpoints as controls of another kind: each cell and their average compared with them, beside the base model."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ftexp.effects import Analysis, Difference, Measure, effects, spreads
from ftexp.effects.errors import UnusableTable
from ftexp.effects.label_metrics import MacroF1
from helpers.effect_tables import TWO, Table, is_empty, numbers, pick, planned, simulated

OTHERS = ("published", "older")
OF_CONTROLS = ("control", "average")


def runs_with_others() -> Table:
    """A published model for all cells, and an older one, asked twice: once as level 1 of b is asked, once as level 2 is."""
    runs = planned(TWO, 2)
    trained = runs["kind"] == "trained"
    older = np.where(trained, "older_" + runs["b"].astype("Int64").astype(str), "")
    runs = runs.assign(**{"control:published": np.where(trained, "published", ""), "control:older": older})
    checkpoints = [{"run": name, "kind": "control", "control": ""} for name in ("published", "older_1", "older_2")]
    return pd.concat([runs, pd.DataFrame(checkpoints)], ignore_index=True)


RUNS = runs_with_others()
ANALYSIS = Analysis(TWO, "match", others=OTHERS, metrics={"macro_f1": MacroF1()})


def scores_of_all(items: int = 80) -> Table:
    scores = simulated(RUNS, items)
    labels = scores.assign(metric="macro_f1", target=np.resize([0, 1, 2], len(scores)))
    labels = labels.assign(prediction=np.where(labels["score"] == 1, labels["target"], 0))
    other = simulated(RUNS, items, seed=4).assign(task="other")
    return pd.concat([scores, labels, other], ignore_index=True)


def test_each_other_control_has_the_rows_that_it_would_have_in_the_controls_place_in_families_of_its_own() -> None:
    gap = Difference(Measure("other", "match"), Measure("words", "match"))
    scores = scores_of_all()
    scores["group:parity"] = scores["item"].str[-1].astype(int) % 2
    analysis = replace(ANALYSIS, differences=[gap], groups=["parity"])
    table, plain = effects(scores, RUNS, analysis), effects(scores, RUNS, replace(analysis, others=()))
    of_others = table["kind"].str.contains(" against ")
    pd.testing.assert_frame_equal(table[~of_others].reset_index(drop=True), plain)
    for name in OTHERS:
        own = table[table["kind"].str.contains(f" against {name}")].reset_index(drop=True)
        column = RUNS[f"control:{name}"]
        alone = effects(scores, RUNS.assign(control=column), replace(analysis, others=(), kinds=OF_CONTROLS))
        assert len(own) == len(alone) and set(own["kind"]) == {
            f"{kind} against {name}{within}" for kind in OF_CONTROLS for within in ("", " within parity")}
        np.testing.assert_array_equal(numbers(own), numbers(alone))
        for column in ("family", "kind"):
            assert list(own[column].str.replace(f" against {name}", "")) == list(alone[column])
        assert own["estimate"].notna().all()
    assert not set(table.loc[of_others, "family"]) & set(plain["family"])


def test_the_reference_names_the_runs_that_were_compared_with() -> None:
    table = effects(scores_of_all(), RUNS, ANALYSIS)
    table = table[(table["task"] == "words") & (table["metric"] == "match")]
    assert pick(table, "average")["reference"] == "base"
    assert pick(table, "average against published")["reference"] == "published"
    assert pick(table, "average against older")["reference"] == "older_1, older_2"
    row = pick(table, "control against older", level="a=y, b=2")
    assert row["reference"] == "older_2" and row["family"] == "confirmatory: words, match, control against older"


def test_an_other_control_that_was_not_evaluated_leaves_rows_that_say_so_and_the_rest_as_it_was() -> None:
    scores = scores_of_all()
    table, whole = (effects(each, RUNS, ANALYSIS) for each in (scores[scores["run"] != "published"], scores))
    lost = table[table["kind"].str.endswith(" against published")]
    assert all(is_empty(row) for _, row in lost.iterrows()) and len(lost) == 2 * 3 * 5
    assert lost["reason"].str.contains("no finished run of the control published|no cell has finished runs").all()
    kept = ~table["kind"].str.endswith(" against published")
    np.testing.assert_allclose(numbers(table[kept]), numbers(whole[kept]), atol=1e-12)


def test_kinds_choose_among_contrasts_with_other_controls_too_and_lists_have_those_of_cells() -> None:
    scores = scores_of_all()
    assert set(effects(scores, RUNS, replace(ANALYSIS, kinds=["main"]))["kind"]) == {"main"}
    found = set(effects(scores, RUNS, replace(ANALYSIS, kinds=["average"]))["kind"])
    assert found == {"average", "average against published", "average against older"}
    listed = set(effects(scores, RUNS, replace(ANALYSIS, design="list"))["kind"])
    assert listed == {"level", "control", "control against published", "control against older"}
    assert spreads(scores, RUNS, ANALYSIS) == spreads(scores, RUNS, replace(ANALYSIS, others=()))


def test_other_controls_must_be_there_and_be_asked_the_same_items() -> None:
    scores = scores_of_all()
    for runs, message in (
        (RUNS.drop(columns="control:older"), "runs: control:older: missing column"),
        (RUNS.replace({"control:older": {"older_2": "gone"}}), "runs: control:older: not in the table of runs, got gone"),
        (RUNS.replace({"control:older": {"older_2": "x_1_s1"}}), "runs: control:older: run x_2_s1: must name a run of kind"),
        (RUNS.assign(**{"control:older": RUNS["control:older"].where(RUNS["run"] != "y_1_s2", "base")}),
         "runs: control:older: y_1_s1 and y_1_s2 have the same levels and two controls, got older_1 and base"),
    ):
        with pytest.raises(UnusableTable, match=message):
            effects(scores, runs, ANALYSIS)
    with pytest.raises(UnusableTable, match="runs base and published were asked different items"):
        effects(scores[(scores["run"] != "published") | (scores["item"] < "i0050")], RUNS, ANALYSIS)
