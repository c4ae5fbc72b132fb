"""Scorers, and what is made of an item's several answers.

inspect-ai's own `exact` folds case and drops articles, which would hide capitalisation.
"""

import statistics

from inspect_ai.scorer import (
    CORRECT,
    INCORRECT,
    Score,
    Scorer,
    ScoreReducer,
    Target,
    accuracy,
    score_reducer,
    scorer,
    stderr,
    value_to_float,
)
from inspect_ai.solver import TaskState


@scorer(name="exact", metrics=[accuracy(), stderr()])
def exact() -> Scorer:
    """1 where the answer equals the target after stripping outer white space, case-sensitive; otherwise 0."""

    async def score(state: TaskState, target: Target) -> Score:
        answer = state.output.completion
        value = CORRECT if answer.strip() == target.text.strip() else INCORRECT
        return Score(value=value, answer=answer, metadata={"epoch": state.epoch})

    return score


@score_reducer(name="mean_with_answers")
def mean_with_answers() -> ScoreReducer:
    """The mean over an item's epochs, as inspect-ai's own, and beside it each answer with its epoch and score.

    There they are read without the samples, which takes 3 ms each (inspect-ai 0.3.285).
    """
    number = value_to_float()

    def reduce(scores: list[Score]) -> Score:
        values = [number(score.value) for score in scores]
        answers = [
            {"epoch": (score.metadata or {})["epoch"], "answer": score.answer or "", "score": value}
            for score, value in zip(scores, values, strict=True)
        ]
        return Score(value=statistics.mean(values), metadata={"answers": answers})

    return reduce
