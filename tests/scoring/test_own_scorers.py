"""Scorers of one's own: what they see, what their scores are worth, and what is said where a file holds none."""

import math
import sys
from pathlib import Path

import pytest
from ftexp.design.judging import Scorer
from ftexp.ground.errors import UserError
from ftexp.scoring.judge import judge
from ftexp.scoring.verdicts import Question, Verdict
from helpers.questions import judged, question

HEAD = """
from inspect_ai.scorer import CORRECT, Score, accuracy, mean, scorer

"""
OWN = HEAD + """
@scorer(metrics=[accuracy()])
def tone(word="please", worth=1.0):
    async def score(state, target):
        texts = state.input_text, state.user_prompt.text, state.messages[-1].text, target.text
        said = " ".join((f"{state.sample_id}/{state.epoch}:", *texts))
        value = worth if word in state.output.completion else 0.0
        return Score(value=value, explanation=f"{said} {state.metadata.get('kind')}")
    return score

async def plain(state, target):
    return Score(value=CORRECT if target.text in state.output.completion else "I")

@scorer(metrics=[mean()])
def given():
    import asyncio
    import surroundings

    async def score(state, target):
        await asyncio.sleep(0)
        return surroundings.score(state.output.completion)
    return score

class Held:
    async def __call__(self, state, target):
        return Score(value=len(state.output.completion))

def unready():
    return lambda state, target: Score(value=1)

def three():
    return 3

LEVEL = 3
"""
SURROUNDINGS = HEAD + """
import math
import sys

def score(answer):
    if answer == "none":
        return None
    if answer == "unscored":
        return Score.unscored(reason="no_tone", explanation="too short")
    if answer == "raise":
        raise LookupError("no such word\\nat all")
    return Score(value={"list": [1, 0], "mapping": {"a": 1}, "nan": math.nan, "inf": math.inf, "true": True}.get(answer, answer))
"""


@pytest.fixture(autouse=True)
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with scorers/judged.py, which imports a file beside it."""
    (tmp_path / "scorers").mkdir()
    (tmp_path / "scorers/judged.py").write_text(OWN)
    (tmp_path / "scorers/surroundings.py").write_text(SURROUNDINGS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scored(questions: list[Question], function: str, **options: object) -> list[Verdict]:
    return judged("own", questions, file="scorers/judged.py", function=function, **options)


def test_a_scorer_sees_the_answer_as_an_evaluation_leaves_it() -> None:
    questions = [
        Question("7", 2, "Ask nicely.", "Yes.", "Oh please", {"kind": "polite"}), question("No.", "Yes."),
    ]
    first, second = scored(questions, "tone")
    assert first == Verdict(1.0, says="7/2: Ask nicely. Ask nicely. Oh please Yes. polite")
    assert second == Verdict(0.0, says="0/1: What? What? No. Yes. None")


def test_a_scorer_is_called_with_its_options() -> None:
    found = scored([question("now", "x"), question("later", "x")], "tone", word="now", worth=2.5)
    assert [verdict.value for verdict in found] == [2.5, 0.0]


def test_a_scorer_need_not_be_decorated_nor_a_function() -> None:
    questions = [question("It is x", "x"), question("It is", "x")]
    assert [verdict.value for verdict in scored(questions, "plain")] == [1.0, 0.0]
    assert [verdict.value for verdict in scored(questions, "Held")] == [7.0, 5.0]


@pytest.mark.parametrize(
    ("answer", "value"),
    [("C", 1.0), ("I", 0.0), ("P", 0.5), ("N", 0.0), ("yes", 1.0), ("False", 0.0), ("true", 1.0), ("0.25", 0.25), ("-3", -3.0)],
)
def test_a_score_is_the_number_that_inspect_makes_of_it(answer: str, value: float) -> None:
    assert scored([question(answer, "x")], "given") == [Verdict(value)]


def test_what_is_no_score_is_a_gap_with_its_reason() -> None:
    answers = ["none", "unscored", "nan", "inf", "good", "raise", "C"]
    none, unscored, nan, infinite, word, raised, right = scored([question(answer, "x") for answer in answers], "given")
    assert none == Verdict(None, "the scorer gave no score")
    assert unscored == Verdict(None, "no_tone", "too short")
    assert nan == Verdict(None, "the scorer gave nan, which is no number")
    assert infinite == Verdict(None, "the scorer gave inf, which is no number")
    assert word == Verdict(None, "the scorer gave 'good', which is no number")
    assert raised == Verdict(None, r"LookupError: no such word\nat all", is_final=False)
    assert right == Verdict(1.0)


@pytest.mark.parametrize(("answer", "got"), [("list", "[1, 0]"), ("mapping", "{'a': 1}")])
def test_several_numbers_for_one_answer_are_a_mistake(answer: str, got: str) -> None:
    with pytest.raises(UserError) as raised:
        scored([question("C", "x"), question(answer, "x")], "given")
    assert str(raised.value) == (
        f"experiment.yaml: evaluation.scorers: scorers/judged.py@given must give one number for an answer, got {got}. "
        "Let it return Score(value=<number>)."
    )


@pytest.mark.parametrize(
    ("file", "function", "message"),
    [
        ("other.py", "tone", "other.py@tone: the file is missing. Put it there, or correct the name."),
        ("scorers/judged.py", "tonne", "scorers/judged.py has no function tonne. Did you mean 'tone'?"),
        ("scorers/judged.py", "LEVEL", "scorers/judged.py@LEVEL could not be called with no options, got TypeError: 'int' ob"),
        ("scorers/judged.py", "three", "scorers/judged.py@three must give a scorer of inspect-ai's, an async function of"),
        ("scorers/judged.py", "unready", "scorers/judged.py@unready must give a scorer of inspect-ai's, an async function of"),
        ("broken.py", "tone", "broken.py could not be imported, got SyntaxError: '(' was never closed (broken.py, line 1). "),
        ("absent.py", "tone", "absent.py could not be imported, got ModuleNotFoundError: No module named 'no_such_package'."),
    ],
)
def test_a_file_without_the_scorer_is_a_mistake_of_one_sentence(file: str, function: str, message: str) -> None:
    Path("broken.py").write_text("tone = (")
    Path("absent.py").write_text("import no_such_package\n")
    with pytest.raises(UserError) as raised:
        judged("own", [question("a", "b")], file=file, function=function)
    assert str(raised.value).startswith(f"experiment.yaml: evaluation.scorers: {message}") and "\n" not in str(raised.value)


def test_an_option_that_a_scorer_does_not_take_is_a_mistake() -> None:
    with pytest.raises(UserError, match=r"judged.py@tone could not be called with {'words': 1}, got TypeError: tone\(\) got an"):
        scored([question("a", "b")], "tone", words=1)


def test_a_changed_file_is_read_again(experiment: Path) -> None:
    assert scored([question("please", "x")], "tone")[0].value == 1.0
    (experiment / "scorers/judged.py").write_text(OWN.replace("worth=1.0", "worth=4.0"))
    assert scored([question("please", "x")], "tone")[0].value == 4.0


def test_the_root_can_be_imported_from_and_the_path_is_as_before(experiment: Path) -> None:
    (experiment / "words_of_the_root.py").write_text("POLITE = 'please'\n")
    with (experiment / "scorers/judged.py").open("a") as file:
        file.write("\nfrom words_of_the_root import POLITE\n")
    before = list(sys.path)
    assert scored([question("please", "x")], "tone")[0].value == 1.0
    assert sys.path == before


def test_options_may_have_any_name(experiment: Path) -> None:
    with (experiment / "scorers/judged.py").open("a") as file:
        file.write("\ndef asked(questions, options):\n    return tone(questions, options)\n")
    options = {"file": "scorers/judged.py", "function": "asked", "questions": "now", "options": 2.0}
    assert judge(Scorer("tone", "own", options), [question("now", "x")])[0].value == 2.0


def test_many_answers_are_scored_at_once() -> None:
    found = scored([question(str(number), "x") for number in range(1000)], "given")
    assert [verdict.value for verdict in found] == [float(number) for number in range(1000)]
    assert not any(math.isnan(verdict.value or 0) for verdict in found)
