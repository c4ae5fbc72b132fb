"""Scorers of two texts: what is equal, what holds what, what a pattern finds, words in common, numbers."""

import re
import string
from collections import Counter

import pytest
from ftexp.design.judging import Scorer
from ftexp.scoring.counts import number_in
from ftexp.scoring.judge import judge
from ftexp.scoring.verdicts import Verdict
from helpers.questions import ANY, judged, question, random_questions, value
from hypothesis import given
from hypothesis import strategies as st

QUESTIONS = random_questions(2000, seed=1)


@pytest.mark.parametrize("answer", ["Word", " Word\n", "\tWord "])
def test_exact_strips_outer_white_space(answer: str) -> None:
    assert value("exact", answer, "Word") == value("exact", "Word", answer) == 1.0


@pytest.mark.parametrize("answer", ["word", "Wo rd", "Word.", "The Word", "Word Word", "Wörd", ""])
def test_exact_takes_anything_else_for_wrong(answer: str) -> None:
    assert value("exact", answer, "Word") == 0.0


def test_case_is_ignored_in_every_script() -> None:
    pairs = [("STRASSE", "Straße"), ("МИР", "мир"), (" Word", "wORD "), ("Ωσ", "ωΣ")]
    assert [value("ignore_case", *pair) for pair in pairs] == [1.0] * 4
    assert value("ignore_case", "words", "word") == 0.0


def test_equality_of_random_texts_is_that_of_stripped_ones() -> None:
    pairs = [(question.answer.strip(), question.target.strip()) for question in QUESTIONS]
    assert [verdict.value for verdict in judged("exact", QUESTIONS)] == [float(ours == theirs) for ours, theirs in pairs]
    folded = [float(ours.casefold() == theirs.casefold()) for ours, theirs in pairs]
    assert [verdict.value for verdict in judged("ignore_case", QUESTIONS)] == folded
    assert 0 < sum(ours == theirs for ours, theirs in pairs) < sum(folded) < 2000


def test_includes_finds_the_target_anywhere_and_ignores_case_only_where_it_is_told_to() -> None:
    assert value("includes", "The answer is Paris.", " Paris\n") == 1.0
    assert value("includes", "The answer is paris.", "Paris") == 0.0
    assert value("includes", "The answer is PARIS.", "Paris", ignore_case=True) == 1.0
    assert value("includes", "", "Paris") == 0.0


def test_an_empty_target_is_no_answer_for_includes() -> None:
    assert judged("includes", [question("Paris", " ")]) == [Verdict(None, "the target is empty, and every answer holds it")]


@pytest.mark.parametrize(
    ("answer", "target", "pattern", "which", "right"),
    [
        ("It is 42.", "42", "[0-9]+", "first", True),
        ("41, no, 42", "42", "[0-9]+", "first", False),
        ("41, no, 42", "42", "[0-9]+", "last", True),
        ("Answer: B because", "B", r"Answer: (\w)", "first", True),  # nothing found in the target: compared whole
        ("Answer: B because", "so: Answer: B", r"Answer: (\w)", "first", True),
        ("B", "B", r"Answer: (\w)", "first", False),  # nothing found in the answer
        ("x=7", "7", r"x=(\d)|y=(\d)", "first", True),
        ("y=7", "7", r"x=(\d)|y=(\d)", "first", True),  # the group that took part
        ("it is 5", "5", "[0-9]*", "first", True),  # not the nothing before `it`
        ("it is 6", "5", "[0-9]*", "first", False),
        ("five", "5", "[0-9]*", "first", False),
        ("five", "", "[0-9]*", "first", False),
        ("so < B >", "B", "<(.*)>", "last", True),
    ],
)
def test_what_a_pattern_finds_is_compared(answer: str, target: str, pattern: str, which: str, right: bool) -> None:
    assert value("match", answer, target, pattern=pattern, which=which) == float(right)


def squad_f1(answer: str, target: str) -> float:
    """SQuAD 2.0's official evaluation, written out: normalize_answer, get_tokens and compute_f1."""

    def tokens(text: str) -> list[str]:
        kept = "".join(char for char in text.lower() if char not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split()).split()

    ours, theirs = tokens(answer), tokens(target)
    if len(theirs) == 0 or len(ours) == 0:
        return float(ours == theirs)
    same = sum((Counter(theirs) & Counter(ours)).values())
    if same == 0:
        return 0.0
    precision, recall = 1.0 * same / len(ours), 1.0 * same / len(theirs)
    return (2 * precision * recall) / (precision + recall)


def test_f1_is_squads() -> None:
    wanted = [squad_f1(question.answer, question.target) for question in QUESTIONS]
    assert [verdict.value for verdict in judged("f1", QUESTIONS)] == pytest.approx(wanted, abs=1e-12)
    assert 0 < wanted.count(0.0) < wanted.count(0.0) + wanted.count(1.0) < 2000
    assert value("f1", "The!", "a") == 1.0 and value("f1", "", "cat") == value("f1", "cat", "the") == 0.0


@ANY
@given(st.text(), st.text())
def test_f1_of_any_texts_is_squads(answer: str, target: str) -> None:
    assert value("f1", answer, target) == pytest.approx(squad_f1(answer, target), abs=1e-12)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("7", 7, 7), ("-7.25", -7.25, -7.25), ("+3", 3, 3), ("\u22125", -5, -5), ("1,234,567.5", 1234567.5, 1234567.5),
        (".5", 0.5, 0.5), 
        ("1e3", 1000, 1000), ("2.5E-2 m", 0.025, 0.025), ("-1,000e-3", -1, -1), ("It costs $12.", 12, 12), ("5kg", 5, 5),
        ("10-20", 10, 20), ("10 - 20", 10, 20), ("3, -4", 3, -4), ("(-2)", -2, -2), ("x=-3", -3, -3), ("Wait...5", 5, 5),
        ("1,2", 1, 2), ("0,5", 0, 5), ("1,2345", 1, 2345), ("12345,678", 12345, 678), ("1/2", 1, 2), ("50%", 50, 50),
        ("007", 7, 7),
        ("none", None, None), ("", None, None), ("nan inf", None, None), ("٣", None, None), ("1e999", None, None),
        ("1e999 or 2", 2, 2), (". - , e", None, None), ("1.2.3", 1.2, 3),
    ],
)
def test_the_number_in_a_text(text: str, first: float | None, last: float | None) -> None:
    assert (number_in(text), number_in(text, "last")) == (first, last)


@ANY
@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["{}", "so {} it is", "({}), right", "= {}."]))
def test_a_number_is_found_as_it_was_written(number: float, sentence: str) -> None:
    assert number_in(sentence.format(number)) == number
    if abs(number) < 1e15:
        assert number_in(sentence.format(f"{number:,.6f}")) == float(f"{number:.6f}")


@ANY
@given(st.text(alphabet="0123456789+-., eE−a", max_size=30))
def test_a_number_is_found_wherever_there_is_a_digit(text: str) -> None:
    found = number_in(text)
    assert (found is None) == (number_in(text, "last") is None)
    if found is None:
        assert "e" in text.lower() or not re.search("[0-9]", text)


@pytest.mark.parametrize(
    ("answer", "target", "tolerance", "right"),
    [
        ("It is 1,000.", "1000", 0, True), ("1.1", "1.0", 0.1, True), ("1.3", "1.2", 0.1, True), ("1.11", "1", 0.1, False),
        ("-5", "5", 0, False), ("0.30000000000000004", "0.3", 0, False), ("about", "7", 1, False), ("1e3", "1,000", 0, True),
    ],
)
def test_numbers_are_equal_within_the_tolerance_as_they_are_written(
    answer: str, target: str, tolerance: float, right: bool
) -> None:
    assert value("numeric", answer, target, tolerance=tolerance) == float(right)


def test_the_last_number_is_looked_for_in_answer_and_target() -> None:
    assert value("numeric", "3 + 4 = 7", "first 4, then #### 7", which="last") == 1.0
    assert value("numeric", "3 + 4 = 7", "3", which="last") == 0.0


def test_a_target_without_a_number_is_a_gap() -> None:
    assert judged("numeric", [question("7", "seven")]) == [Verdict(None, "the target has no number")]


def test_what_is_measured_is_not_judged() -> None:
    with pytest.raises(ValueError, match="no answer is judged by perplexity"):
        judge(Scorer("perplexity", "perplexity"), [question("a", "a")])
    assert judge(Scorer("exact", "exact"), []) == []
