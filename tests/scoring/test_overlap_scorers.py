"""ROUGE and chrF of an answer, BLEU and chrF of all together: equal to rouge-score and sacrebleu, called by themselves."""

import numpy as np
import pytest
import sacrebleu
from ftexp.effects.text_metrics import Chrf, CorpusBleu
from ftexp.scoring.counts import FloatArray, bleu_counts, chrf_counts
from ftexp.scoring.overlap import longest_common_subsequence
from ftexp.scoring.verdicts import Question
from helpers.questions import ANY, judged, question, random_questions, value
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer, _lcs_table

QUESTIONS = random_questions(1500, seed=2)
NAMES = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
SHORT = random_questions(40, seed=3, words=2)
SETS = {
    "random": QUESTIONS,
    "one": [question("the cat sat on the mat", "the cat sat on a mat")],
    "short": SHORT,
    "empty answers": [question("", each.target) for each in SHORT],
    "empty targets": [question(each.answer, " ") for each in SHORT],
    "nothing at all": [question("", "")],
    "nothing in common": [question("p q r s t", "u v w x y z")],
    "equal": [question(each.target, each.target) for each in QUESTIONS],
    "tokenized": [question(f"{each.answer} .", each.target) for each in QUESTIONS],
}


@pytest.mark.parametrize("kind", NAMES)
def test_rouge_is_rouge_scores(kind: str) -> None:
    scorer = RougeScorer([NAMES[kind]])
    gaps = 0
    for each, verdict in zip(QUESTIONS, judged(kind, QUESTIONS), strict=True):
        wanted = scorer.score(each.target, each.answer)[NAMES[kind]].fmeasure
        gaps += verdict.value is None
        assert wanted == 0 if verdict.value is None else verdict.value == pytest.approx(wanted, abs=1e-12)
    assert 0 < gaps < 1000


@ANY
@given(st.text(alphabet="ab cÄ1.", max_size=40), st.text(alphabet="ab cÄ1.", max_size=40))
def test_rouge_of_any_texts_is_rouge_scores(answer: str, target: str) -> None:
    wanted = RougeScorer(list(NAMES.values())).score(target, answer)
    for kind, name in NAMES.items():
        assert (value(kind, answer, target) or 0.0) == pytest.approx(wanted[name].fmeasure, abs=1e-12)


@ANY
@given(st.lists(st.sampled_from("abcd"), max_size=90), st.lists(st.sampled_from("abcd"), max_size=90))
def test_the_longest_common_subsequence_is_that_of_the_table(left: list[str], right: list[str]) -> None:
    assert longest_common_subsequence(left, right) == _lcs_table(left, right)[-1][-1]


def test_a_target_that_rouge_cannot_see_is_a_gap() -> None:
    for kind, targets in {"rouge_1": ["", "日本", "é!"], "rouge_l": ["мир"], "rouge_2": ["one", "", "one é"]}.items():
        for verdict in judged(kind, [question("one", target) for target in targets]):
            assert verdict.value is None and "that ROUGE can see (letters a to z, digits 0 to 9)" in verdict.reason
    assert value("rouge_1", "日本", "one") == 0.0


def test_chrf_is_sacrebleus() -> None:
    verdicts = judged("chrf", QUESTIONS)
    for each, verdict in zip(QUESTIONS, verdicts, strict=True):
        wanted = sacrebleu.sentence_chrf(each.answer, [each.target]).score
        assert wanted == 0 if verdict.value is None else verdict.value == pytest.approx(wanted, abs=1e-9)
    assert {verdict.reason for verdict in verdicts} == {"", "the target is empty"}
    assert [value("chrf", *pair) for pair in (("", " \n"), ("", "a"), ("a b", "ab"))] == [None, 0, 100]
    assert {0.0, 100.0} < {verdict.value for verdict in verdicts}




@pytest.mark.parametrize("name", SETS)
def test_bleu_of_all_answers_is_sacrebleus(name: str) -> None:
    questions = SETS[name]
    wanted = sacrebleu.corpus_bleu([each.answer for each in questions], [[each.target for each in questions]]).score
    columns = bleu_counts(questions)
    assert set(columns) == set(CorpusBleu.columns) and {each.shape for each in columns.values()} == {(len(questions),)}
    assert added_up(CorpusBleu(), columns) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("name", SETS)
def test_chrf_of_all_answers_is_sacrebleus(name: str) -> None:
    questions = SETS[name]
    wanted = sacrebleu.corpus_chrf([each.answer for each in questions], [[each.target for each in questions]]).score
    columns = chrf_counts(questions)
    assert set(columns) == set(Chrf().columns) and {each.shape for each in columns.values()} == {(len(questions),)}
    assert added_up(Chrf(), columns) == pytest.approx(wanted, abs=1e-9)


def added_up(metric: CorpusBleu | Chrf, columns: dict[str, FloatArray]) -> float:
    """The metric of the sums of its columns."""
    return float(metric.value(np.array([columns[name].sum() for name in metric.columns])))


def test_the_random_sets_tell_something() -> None:
    def scores(questions: list[Question]) -> tuple[float, float]:
        return added_up(CorpusBleu(), bleu_counts(questions)), added_up(Chrf(), chrf_counts(questions))

    assert all(5 < score < 95 for score in scores(QUESTIONS)) and scores(SETS["equal"]) == pytest.approx((100, 100))
