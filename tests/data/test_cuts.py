"""Where the beginning of a document ends, by sentences and words; and documents that a test holds leave the training rows."""

from typing import Any

import pytest
from ftexp.data.cell_text import Row
from ftexp.data.cuts import cut_place, rest_of
from ftexp.data.held_out import TaskSet, TrainingSet, task_items, training_items
from ftexp.data.splits import Sources
from ftexp.ground.errors import UserError
from hypothesis import given
from hypothesis import strategies as st

SENTENCES = [
    ("One is. Two is.", 0.5, "One is."), ("One is. Two is! Three is? Four", 0.5, "One is. Two is!"),
    ("One is. Two is! Three is? Four", 3, "One is. Two is! Three is?"), ("One. Two. Three. Four. Five.", 0.5, "One. Two."),
    ("One. Two. Three. Four. Five.", 0.01, "One."), ("One. Two. Three. Four. Five.", 0.99, "One. Two. Three. Four."),
    ('He said "no." She left.', 0.5, 'He said "no."'), ("(It is so.) And (2) so.", 0.5, "(It is so.)"), ("So?! Yes.", 1, "So?!"),
    ("It costs 3.50 now. It is 2.", 0.5, "It costs 3.50 now."), ("Wait... what? No.", 0.5, "Wait... what?"),
    ("One.\n\nTwo.", 0.5, "One."), ("一つです。二つです！三つ？", 1, "一つです。"),
    ("一つです。二つです！三つ？", 0.7, "一つです。二つです！"), ("「はい。」と言った。次。", 1, "「はい。」"),
    ("e.g. this one. Two.", 1, "e.g."),
]
WORDS = [("one two  three\nfour", 0.5, "one two"), ("one two  three\nfour", 3, "one two  three"), (" one two ", 1, " one")]
TOO_SHORT = [
    ("No end", {"sentences": 0.5}, "has 1 sentence, of which"),
    ("One. Two.", {"sentences": 2}, "has 2 sentences, and 2 are asked for"),
    ("one", {"words": 0.5}, "has 1 word, of which"), ("one two", {"words": 7}, "has 2 words, and 7 are asked for"),
]


def row(text: str) -> Row:
    return Row({"text": text}, "papers.json", 7)


@pytest.mark.parametrize(("text", "amount", "beginning"), SENTENCES)
def test_a_beginning_of_sentences_ends_with_the_mark_that_ends_the_last(text: str, amount: float, beginning: str) -> None:
    assert text[: cut_place(row(text), "text", {"sentences": amount})] == beginning


@pytest.mark.parametrize(("text", "amount", "beginning"), WORDS)
def test_a_beginning_of_words_ends_with_the_last_of_them(text: str, amount: float, beginning: str) -> None:
    assert text[: cut_place(row(text), "text", {"words": amount})] == beginning


@pytest.mark.parametrize(("text", "after", "what"), TOO_SHORT)
def test_a_document_that_is_too_short_is_named(text: str, after: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=rf"papers.json: row 7: column 'text': {what}.*Leave the row out, or cut after less"):
        cut_place(row(text), "text", after)


@given(st.text(alphabet="ab .!?。\"\n", max_size=40), st.sampled_from(["sentences", "words"]), st.floats(0.01, 0.99))
def test_a_cut_leaves_something_on_either_side_or_is_refused(text: str, unit: str, share: float) -> None:
    try:
        place = cut_place(row(text), "text", {unit: share})
    except UserError:
        return
    assert text[:place].strip() and rest_of(text, place) and not text[place - 1].isspace()


class Given(Sources):
    """Sources whose rows are given, by the file that a half names."""

    def __init__(self, **rows: list[dict[str, str]]) -> None:
        super().__init__()
        self.given = rows

    def _content(self, file: str) -> list[Row]:
        return [Row(cells, file, number) for number, cells in enumerate(self.given[file], 1)]


TEXTS = [{"text": text} for text in ("One.", "Two.", "Three.", "Four.")]
ASKED = [{"input": "What?", "output": " Two. "}, {"input": "Three.", "output": "yes"}, {"input": "Why?", "output": "so"}]
OF_TEXTS, OF_ASKED = {"text": "text"}, {"input": "input", "output": "output"}


def left(sources: Given, train: dict[str, str], test: dict[str, str], templates: tuple[str, ...]) -> list[dict[str, Any]]:
    kept = training_items(sources, TrainingSet({"train": "a", **train}, templates, ({"test": "b", **test},)))
    rows = [dict(item["row"]) for item in kept.items]  # which are shuffled
    return sorted(rows, key=sources.given["a"].index)


def test_a_document_that_a_test_holds_is_not_trained() -> None:
    sources = Given(a=TEXTS, b=[{"text": " Two.\n"}, {"text": "Five."}])
    assert left(sources, OF_TEXTS, OF_TEXTS, ()) == [TEXTS[0], *TEXTS[2:]]


def test_a_document_that_is_a_question_or_an_answer_of_a_test_is_not_trained_nor_the_reverse() -> None:
    assert left(Given(a=TEXTS, b=ASKED), OF_TEXTS, OF_ASKED, ()) == [TEXTS[0], TEXTS[3]]
    assert left(Given(a=ASKED, b=TEXTS), OF_ASKED, OF_TEXTS, ("{input}",)) == [ASKED[2]]


def test_where_all_documents_are_those_of_a_test_it_is_said() -> None:
    with pytest.raises(UserError, match=r"all 4 of a have the text of a test row \(of b-[0-9a-f]{8}\). Test on other rows."):
        left(Given(a=TEXTS, b=TEXTS), OF_TEXTS, OF_TEXTS, ())


@pytest.mark.parametrize(("train", "test", "wanted"), [
    ((TEXTS, OF_TEXTS, ()), ([*TEXTS[1:], {"text": "Six."}], {"document": "text"}), [{"text": "Six."}]),
    ((TEXTS, OF_TEXTS, ()), (ASKED, OF_ASKED), ASKED[2:]),
    ((ASKED, OF_ASKED, ("{input}",)), (TEXTS, {"document": "text"}), [TEXTS[0], TEXTS[3]]),
    ((ASKED, OF_ASKED, ("{input}",)), ([ASKED[0], {"input": "Who?", "output": "so"}], OF_ASKED),
     [{"input": "Who?", "output": "so"}]),
])
def test_a_task_does_not_ask_what_is_trained(train: Any, test: Any, wanted: list[dict[str, str]]) -> None:
    sources = Given(a=train[0], c=test[0])
    training = TrainingSet({"train": "a", **train[1]}, train[2], ())
    kept = task_items(sources, TaskSet({"test": "c", **test[1]}, (training,)), lambda each: training_items(sources, each))
    assert [dict(item["row"]) for item in kept.items] == wanted
