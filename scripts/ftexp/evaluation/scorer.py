"""Scorers. inspect-ai's own `exact` folds case and drops articles, which would hide capitalisation."""

from inspect_ai.scorer import CORRECT, INCORRECT, Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import TaskState


@scorer(name="exact", metrics=[accuracy(), stderr()])
def exact() -> Scorer:
    """1 where the answer equals the target after stripping outer white space, case-sensitive; otherwise 0."""

    async def score(state: TaskState, target: Target) -> Score:
        answer = state.output.completion
        return Score(value=CORRECT if answer.strip() == target.text.strip() else INCORRECT, answer=answer)

    return score
