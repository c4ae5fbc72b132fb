"""Answers graded by a model: the grades, the grader's words, and how a grader is reached."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ftexp.design.judging import SCORERS, Scorer
from ftexp.ground.errors import UserError
from ftexp.scoring import graders
from ftexp.scoring.judge import judge
from ftexp.scoring.verdicts import Question, Verdict
from helpers.questions import judged, question
from helpers.tiny_models import make_tiny_model
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelAPI, ModelOutput, modelapi

ASKED: list[str] = []
OPEN: list[int] = []


class SaysWhatItIsTold(ModelAPI):
    """A grader that says what the submission says it should, and notes what it was asked."""

    async def generate(self, input: list[ChatMessage], **_: Any) -> ModelOutput:
        ASKED.append(input[-1].text)
        if self.base_url:
            return ModelOutput.from_content("says", f"GRADE: {'C' if self.base_url == 'http://here/v1' else 'I'}")
        submission = input[-1].text.partition("[Submission]: ")[2].partition("\n***")[0]
        if submission == "raise":
            raise ConnectionError("nobody there")
        await asyncio.sleep(0)
        return ModelOutput.from_content("says", submission)

    async def aclose(self) -> None:
        OPEN.append(-1)


@modelapi(name="says")
def says() -> type[ModelAPI]:
    return SaysWhatItIsTold


@pytest.fixture(autouse=True)
def _nothing_asked() -> Iterator[None]:
    ASKED.clear()
    OPEN.clear()
    yield
    graders._in_models.cache_clear()


def graded(questions: list[Question], **options: Any) -> list[Verdict]:
    return judged("model_graded_qa", questions, model="says/it", **options)


def test_grades_are_numbers_and_the_graders_words_are_kept() -> None:
    answers = ["It is.\nGRADE: C", "No. GRADE: I", "first GRADE: C then GRADE: I", "grade: correct"]
    found = graded([question(answer, "Right") for answer in answers])
    assert found == [Verdict(value, says=words) for value, words in zip((1.0, 0.0, 0.0, 1.0), answers, strict=True)]
    assert "[Task]: What?" in ASKED[0] and "[Criterion]: Right" in ASKED[0] and OPEN == [-1]


def test_no_grade_is_a_gap_with_the_graders_words() -> None:
    words = ["I cannot say.", "GRADE: P", "GRADE: CI", ""]
    assert graded([question(each, "x") for each in words]) == [Verdict(None, "the grader gave no grade", each) for each in words]


def test_a_grader_that_does_not_answer_is_a_gap_that_is_not_kept() -> None:
    lost, right = graded([question("raise", "x"), question("GRADE: C", "x")])
    assert lost == Verdict(None, "ConnectionError: nobody there", is_final=False) and right.value == 1.0


def test_partial_credit_template_and_instructions_are_inspects(tmp_path: Path) -> None:
    assert graded([question("GRADE: P", "x")], partial_credit=True)[0].value == 0.5
    (tmp_path / "template.txt").write_text("{kind}? [Submission]: {answer}\n***\n{question} {criterion} {instructions}")
    asked = question("GRADE: C", "x", row={"kind": "polite"})
    assert graded([asked], template=str(tmp_path / "template.txt"), instructions="Grade.")[0].value == 1.0
    assert ASKED[-1] == "polite? [Submission]: GRADE: C\n***\nWhat? x Grade."


def test_a_grader_is_reached_where_the_site_says() -> None:
    scorer = Scorer("judge", "model_graded_qa", {**SCORERS["model_graded_qa"].options, "model": "says/it"})
    for url, wanted in (("http://here/v1", 1.0), ("http://there/v1", 0.0)):
        found = judge(scorer, [question("a", "b")], lambda name, url=url: graders.reached(name, {name: url}))
        assert [verdict.value for verdict in found] == [wanted]


def test_a_grader_is_asked_again_a_few_times_only() -> None:
    assert graders.reached("says/it").config.max_retries == graders.RETRIES
    assert graders.reached("says/it") is not graders.reached("says/it")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("llama", "model must be a folder in models/ or inspect-ai's name, provider/model, got llama. Correct it, or put"),
        ("no-such/llama", "no-such/llama cannot be reached, got ValueError: Model API no-such of model 'no-such/llama' not"),
        ("groq/llama", "groq/llama cannot be reached, got PrerequisiteError: ERROR: Groq API requires optional"),
    ],
)
def test_a_grader_that_there_is_not_is_a_mistake_of_one_sentence(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as raised:
        judged("model_graded_qa", [question("a", "b")], model=name)
    assert str(raised.value).startswith(f"experiment.yaml: evaluation.scorers: model_graded_qa: {message}")
    assert "\n" not in str(raised.value)


def test_a_grader_in_models_is_our_own_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model gives no grade, in the same words each time, whatever is asked beside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(graders, "MOST_TOKENS", 12)
    make_tiny_model(tmp_path / "models/tiny", "llama3_2", "llama3")
    questions = [question("apples", "brick"), question("figs", "drum")]
    first, second = (
        judged("model_graded_qa", asked, model="tiny", template="say: {answer}") for asked in (questions, questions[::-1])
    )
    assert first == second[::-1] and first[0].says != first[1].says and all(verdict.says for verdict in first)
    assert {verdict.reason for verdict in first} == {"the grader gave no grade"}
    model = graders.reached("tiny")
    assert model is graders.reached("tiny") and isinstance(model, Model) and model.config.max_tokens == 12
    words = asyncio.run(model.generate("say: apples", config=GenerateConfig(max_tokens=3))).completion
    assert len(words) < len(asyncio.run(model.generate("say: apples")).completion)
