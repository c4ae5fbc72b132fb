"""What the reference answers of a test are: choices, labels, free texts; and what always giving one of them scores."""

import pytest
from ftexp.data.answers import Answers

WORDS = [f"Word{number}" for number in range(250)]
SENTENCES = [f"The {number}th of them was seen in the garden." for number in range(30)]


def test_the_majority_is_the_commonest_answer_and_its_share_is_what_always_giving_it_scores() -> None:
    answers = Answers.of(["no", " yes", "yes ", "yes", "no", "perhaps"])
    assert (answers.majority, answers.rows, answers.score_of_majority("exact")) == ("yes", 6, 0.5)
    assert Answers.of(["b", "a", "b", "a"]).majority == "b"  # equally common: the first in the test


def test_macro_f1_of_always_the_same_is_that_of_scikit_learns_definition() -> None:
    answers = Answers.of(["a"] * 6 + ["b"] * 3 + ["c"])
    precision, recall = 0.6, 1.0
    assert answers.score_of_majority("macro_f1") == pytest.approx((2 * precision * recall / (precision + recall) + 0 + 0) / 3)
    assert answers.chance("macro_f1") is None


@pytest.mark.parametrize(("texts", "chance"), [
    (["a", "b", "c", "d"] * 5, 0.25), (["yes"] * 9 + ["no"], 0.5), (["yes"] * 9, None), (["a", "b", "c", "d"] * 4, None),
    (WORDS, None),
])
def test_chance_is_known_where_the_answers_are_choices(texts: list[str], chance: float | None) -> None:
    assert Answers.of(texts).chance("exact") == chance


@pytest.mark.parametrize(("texts", "are_texts"), [
    (SENTENCES, True), (["今天天气很好我们去公园吧" + str(n) for n in range(9)], True),
    (WORDS, False), (["New York City", "Los Angeles", "San Francisco"], False), (SENTENCES[:3] * 10, False),
    (SENTENCES[:1], False),
    (["one very long label of many words", "another very long label"] * 30, False), ([f"{n} May 2026" for n in range(30)], False),
])
def test_free_texts_are_long_and_stand_once(texts: list[str], are_texts: bool) -> None:
    assert Answers.of(texts).are_texts == are_texts


def test_an_answer_that_is_trained_and_never_tested_is_rare_too_and_counts_in_no_score() -> None:
    answers = Answers.of(["a"] * 6 + ["b"] * 6, ["a", "b ", "c"])
    assert answers.rare(5) == {"c": 0} and answers.chance("exact") == 0.5


def test_rare_answers_come_with_their_rows_the_rarest_first() -> None:
    assert list(Answers.of(["a"] * 9 + ["b"] * 4 + ["c"] + ["d"] * 5).rare(5).items()) == [("c", 1), ("b", 4)]
