"""Scores, their errors and their differences from a control: against computation by hand."""

import math

from ftexp.data.items import Item
from ftexp.evaluation.inspect_logs import Answer
from ftexp.results.estimates import estimate
from ftexp.results.table import RunFacts, paired_difference
from ftexp.state.status_words import State
from helpers.runs import a_run


def answered(scores: str, order: int = 1, cluster_size: int = 1) -> RunFacts:
    """A run that answered items i0, i1, ... with these scores."""
    items = {f"i{k}": Item(f"i{k}", "in", "target", f"c{k // cluster_size}", ()) for k in range(len(scores))}
    answers = tuple(Answer(f"i{k}", 1, "answer", float(score)) for k, score in enumerate(scores))[::order]
    return RunFacts(a_run(), {}, State("done"), State("done"), items, answers)


def test_score_and_its_error_equal_hand_computation() -> None:
    found = answered("1110").score
    assert found is not None and (found.n, found.mean) == (4, 0.75)
    assert found.se is not None and math.isclose(found.se, math.sqrt((3 * 0.0625 + 0.5625) / 3 / 4))
    assert estimate([1.0], ["c"]).se is None


def test_the_error_over_clusters_equals_hand_computation() -> None:
    # mean 0.5; the clusters' sums of deviations are 1, 0 and -1: G / (G - 1) * 2 = 3
    found = answered("110100", cluster_size=2).score
    assert found is not None and found.se is not None and math.isclose(found.se, math.sqrt(3) / 6)
    alone = answered("1101", cluster_size=4).score
    assert alone is not None and alone.se is None


def test_paired_difference_equals_hand_computation() -> None:
    # differences 1, 0, 0, -1, 1, by id and not by position: mean 1/5, sum of squares around it 3 - 5/25 = 2.8
    difference = paired_difference(answered("11001"), answered("01010", order=-1))
    assert difference is not None and difference.n == 5
    assert math.isclose(difference.mean, 0.2)
    assert difference.se is not None and math.isclose(difference.se, math.sqrt(2.8 / 4 / 5))
    assert paired_difference(answered("111"), answered("11")) is None
